"""Whose own credential a subagent shows: looked up in its root's ledger, where only its hash is kept.

It is good for as long as the Agent stands and holds its place: retired, expired, on its way out or in quarantine, it
is nobody's.
"""

import asyncio
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256

from mcp_agentspawn.core.expiry import BARREN, stands
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Root
from mcp_agentspawn.core.names import CREDENTIAL_PREFIX, LABEL, SUBDOMAIN
from mcp_agentspawn.operations.services import Services

CREDENTIAL = re.compile(rf"{CREDENTIAL_PREFIX}({LABEL}/{SUBDOMAIN})/({LABEL})/[A-Za-z0-9_-]{{43}}\Z")


@dataclass(frozen=True, slots=True)
class Shown:
    """A credential as it was shown: whose it says it is, and its hash."""

    root: Root
    agent: str
    hash: str


async def caller_of(services: Services, token: str) -> Caller | None:
    """The subagent whose credential this is; `None` for anything else. Raises what the ports raise."""
    shown = _read(token, services.roots)
    if shown is None or not _is_held(shown, await services.ledgers.look(shown.root.name, fresh=True)):
        return None
    agent, proposal = await asyncio.gather(
        services.agents.get(shown.root.home, shown.agent), services.proposals.get(shown.agent)
    )
    if agent is None or agent.virtual_user != shown.root.virtual_user or not stands(services.clock.now(), agent):
        return None
    is_leaving = proposal is None or proposal.phase in BARREN | FINAL_PHASES
    return None if is_leaving else Caller(shown.root, agent.id)


def _read(token: str, roots: Collection[Root]) -> Shown | None:
    match = CREDENTIAL.match(token)
    root = next((root for root in roots if match and root.name == match[1]), None)
    return Shown(root, match[2], sha256(token.encode()).hexdigest()) if match and root else None


def _is_held(shown: Shown, ledger: Ledger) -> bool:
    live = ledger.live.get(shown.agent)
    return live is not None and any(hmac.compare_digest(shown.hash, known) for known in live.credentials)

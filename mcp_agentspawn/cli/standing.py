"""Where a proposal stands: is it what it says it is, is it open, and how many have approved?"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from mcp_agentspawn.core.decisions import approvers, counted, is_denied
from mcp_agentspawn.core.digest import canonical, proposal_digest
from mcp_agentspawn.core.model import Approval, Proposal
from mcp_agentspawn.core.risk import PEOPLE

State = Literal["open", "expired", "lapsed", "applied"]
OVER = {
    "expired": "its time is over",
    "lapsed": "it was withdrawn or given up",
    "applied": "its agent has been made",
}
"""Why it is no longer open, by its state."""


def broken(proposal: Proposal) -> str:
    """What is wrong with its bytes; `""` when its digest is that of its manifest and grant, which is canonical JSON."""
    found = proposal_digest(proposal.manifest, proposal.grant)
    if found != proposal.digest:
        return f"its digest says {proposal.digest}, but what is stored has {found}"
    try:
        rewritten = canonical(json.loads(proposal.manifest))
    except (ValueError, RecursionError):
        return "its manifest can not be read"
    return (
        "" if rewritten == proposal.manifest else "its manifest is not canonical, so it may read in more than one way"
    )


def state_of(proposal: Proposal, now: datetime) -> State:
    """Whether people can still decide on it, or what became of it."""
    if proposal.phase == "proposed":
        return "open" if now < proposal.expires_at else "expired"
    return "lapsed" if proposal.phase == "lapsed" else "applied"


def tally(proposal: Proposal, decisions: Sequence[Approval]) -> str:
    """How far it has come, in a few words."""
    counting = counted(proposal, decisions)
    if is_denied(counting):
        return "denied"
    needed = PEOPLE[proposal.risk]
    return f"{len(approvers(counting))} of {needed} approvals" if needed else "nobody has to approve"


def waits(proposal: Proposal, decisions: Sequence[Approval], now: datetime) -> bool:
    """Whether it waits for people: open, not denied, and approved by fewer than its risk asks for."""
    counting = counted(proposal, decisions)
    enough = len(approvers(counting)) >= PEOPLE[proposal.risk]
    return state_of(proposal, now) == "open" and not enough and not is_denied(counting)

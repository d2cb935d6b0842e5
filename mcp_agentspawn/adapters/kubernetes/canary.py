"""Shows that the policies act: a policy that was just made, changed or removed acts up to a second later."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.policies import Policies
from mcp_agentspawn.adapters.kubernetes.principals import AsCanary
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS
from mcp_agentspawn.core.errors import Refused, Upstream
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import CANARY, DEPTH, LIFETIME, PROPOSAL, ROOT, SYSTEM_NAMESPACE

NAME = "sub-canary"
FROZEN_NAME = f"{NAME}-frozen"
"""The one name that a freeze of its own stops; under the others no freeze keeps it from trying lock and shape."""
DRY = {"dryRun": "All", "fieldValidation": "Strict"}


class Canary:
    """Tries, dry, as the built-in user `agentspawn:agentspawn-system:canary`, what must be refused.

    What it can not try, because it is no person and no kagent, it has looked up.
    """

    def __init__(self, client: Client, roots: Iterable[Root]) -> None:
        listed = tuple(roots)
        self._client = client
        self._homes = sorted({root.home for root in listed})
        self._policies = Policies(client, listed)

    async def problems(self) -> Sequence[str]:
        """What keeps this world from being ready, one sentence each; never raises."""
        tried = [self._without_proposal(home) for home in self._homes]
        tried += [self._without_tool_names(home) for home in self._homes]
        tried += [self._while_frozen(home) for home in self._homes]
        answers, unguarded = await asyncio.gather(asyncio.gather(*tried), self._unguarded())
        return [problem for problem in (*answers, *unguarded) if problem]

    async def _unguarded(self) -> Sequence[str]:
        try:
            return await self._policies.problems()
        except Exception as error:  # noqa: BLE001 - a probe that can not answer is a problem, not a crash
            return [f"the policies can not be looked at ({type(error).__name__})"]

    async def _without_proposal(self, home: str) -> str:
        return await self._expect("agentspawn-lock", _agent(home, tools=[]), AsCanary(home))

    async def _without_tool_names(self, home: str) -> str:
        server = {"kind": "RemoteMCPServer", "apiGroup": AGENTS.group, "name": "none"}
        agent = _agent(home, tools=[{"type": "McpServer", "mcpServer": server}])
        return await self._expect("agentspawn-shape", agent, AsCanary(home, NAME))

    async def _while_frozen(self, home: str) -> str:
        agent = _agent(home, tools=[], name=FROZEN_NAME)
        return await self._expect("agentspawn-freeze", agent, AsCanary(home, FROZEN_NAME))

    async def _expect(self, policy: str, agent: dict[str, Any], canary: AsCanary) -> str:
        """Say what is wrong unless this very policy refuses."""
        where = f"{policy} in {canary.home}"
        path = AGENTS.collection(canary.home)
        try:
            await self._client.request("POST", path, agent, as_=canary, query=DRY, asks=True)
        except Refused as refusal:
            acts = f"ValidatingAdmissionPolicy '{policy}'" in refusal.message
            return "" if acts else f"{where}: the canary was refused by something else: {refusal.message}"
        except Upstream as error:
            return f"{where}: the canary got no answer: {error}"
        except Exception as error:  # noqa: BLE001 - a probe that can not answer is a problem, not a crash
            return f"{where}: the canary failed ({type(error).__name__})"
        return f"{where}: does not act: it let the canary through"


def _agent(home: str, tools: list[dict[str, Any]], name: str = NAME) -> dict[str, Any]:
    """An Agent that is right in all but what is tried."""
    metadata = {
        "name": name,
        "namespace": home,
        "labels": {PROPOSAL: name},
        "annotations": {ROOT: Root(SYSTEM_NAMESPACE, CANARY, home).virtual_user, LIFETIME: "60", DEPTH: "0"},
    }
    declarative = {"runtime": "python", "systemMessage": "Sing.", "modelConfig": "none", "tools": tools}
    return AGENTS.object(metadata, spec={"type": "Declarative", "declarative": declarative})

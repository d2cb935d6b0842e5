"""Subagents by the thousand, as if each had been proposed and applied: Agent, proposal and a place in its ledger."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld
from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.ledger import Change, Ledger, Live
from mcp_agentspawn.core.model import Root, Subagent
from mcp_agentspawn.core.names import LIFETIME, PARENT
from tests.contracts.stages import manifest, proposal
from tests.faults.cluster import HOME, Cluster

AT_ONCE = 16
DAY = timedelta(hours=24)
INSTRUCTIONS = "You research one topic and answer with the source of every claim. " * 30
QUOTA = f"/api/v1/namespaces/{HOME}/resourcequotas/agentspawn"
ROOM = {"count/agents.kagent.dev": "100000"}
NUMBERS = count(1)


@dataclass(frozen=True)
class Population:
    """All that is made in one cluster, by these roots in turn."""

    cluster: Cluster
    world: KubernetesWorld
    roots: Sequence[Root]

    async def make_room(self) -> None:
        """Before anything is made: let the namespace hold as many as are wanted."""
        used = {"count/agents.kagent.dev": "0"}
        await self.cluster.patch(QUOTA, {"spec": {"hard": ROOM}})
        await self.cluster.patch(f"{QUOTA}/status", {"status": {"hard": ROOM, "used": used}})

    async def grow(self, agents: int) -> None:
        """Make so many more, evenly spread over the roots."""
        share, more = divmod(agents, len(self.roots))
        for number, root in enumerate(self.roots):
            await self.settle(root, share + (number < more))

    async def settle(self, root: Root, agents: int, lifetime: timedelta = DAY) -> list[Subagent]:
        """Make so many of one root: places first, as always."""
        ids = [f"sub-researcher-{next(NUMBERS)}" for _ in range(agents)]
        await self.world.ledgers.change(root.name, lambda ledger: (self._reserved(ledger, ids), None))
        waiting, made = iter(ids), list[Subagent]()
        await asyncio.gather(*(self._make(root, waiting, lifetime, made) for _ in range(AT_ONCE)))
        return made

    def _reserved(self, ledger: Ledger, ids: Iterable[str]) -> Ledger:
        now = self.world.clock.now()
        for id_ in ids:
            ledger = ledger.reserved(id_, Live(now, f"nonce-{id_}", "sha256:2"), Change(now))
        return replace(ledger, changes=())

    async def _make(self, root: Root, ids: Iterator[str], lifetime: timedelta, made: list[Subagent]) -> None:
        for id_ in ids:
            sent = _manifest(root, id_, lifetime)
            kept = self.world.clock.now() + DAY
            asked = proposal(root, id=id_, manifest=canonical(sent), expires_at=kept)
            stored = await self.world.proposals.create(asked)
            agent = await self.world.agents.create(root, id_, sent)
            await self.world.proposals.mark(stored, "starting", agent_uid=agent.uid)
            made.append(agent)


def _manifest(root: Root, id_: str, lifetime: timedelta) -> dict[str, Any]:
    sent = manifest(root, id_)
    sent["metadata"]["annotations"] |= {PARENT: "", LIFETIME: str(int(lifetime.total_seconds()))}
    sent["spec"]["declarative"]["systemMessage"] = INSTRUCTIONS
    return sent

"""What is seen of a world that is in this process: always all of it, as it is."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from mcp_agentspawn.adapters.memory.agents import MemoryAgents
from mcp_agentspawn.adapters.memory.delegation import MemoryTasks
from mcp_agentspawn.adapters.memory.stores import MemoryLedgers, MemoryProposals
from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.model import Root, Subagent

POKE_SECONDS = 0.5


class MemoryObserver:
    """Settable: `crashes` by agent, and whether it is `synced`."""

    def __init__(
        self,
        roots: Sequence[Root],
        agents: MemoryAgents,
        proposals: MemoryProposals,
        ledgers: MemoryLedgers,
        tasks: MemoryTasks,
    ) -> None:
        self.changed = asyncio.Event()
        self.crashes: dict[str, int] = {}
        self.synced = True
        self._roots = frozenset(root.name for root in roots)
        self._homes = sorted({root.home for root in roots})
        self._agents = agents
        self._proposals = proposals
        self._ledgers = ledgers
        self._tasks = tasks

    async def run(self) -> None:
        """Say twice a second that something may have changed, until cancelled."""
        while True:
            self.poke()
            await asyncio.sleep(POKE_SECONDS)

    def poke(self) -> None:
        """Something may have changed."""
        self.changed.set()

    def in_sync(self) -> bool:
        """See `core.watching.Observer.in_sync`."""
        return self.synced

    def problems(self) -> Sequence[str]:
        """What is not watched: nothing."""
        return ()

    def age_seconds(self) -> float:
        """How old is what is seen: not at all."""
        return 0.0

    def roots(self) -> Collection[str]:
        """See `core.watching.Observer.roots`."""
        agents = {agent.root for agent in self._standing()}
        return self._roots | agents | {proposal.root for proposal in self._proposals.held()}

    def take_changed(self) -> Collection[str]:
        """See `core.watching.Observer.take_changed`: all, each time."""
        return self.roots()

    def seen(self, root: str) -> Seen:
        """See `core.watching.Observer.seen`."""
        agents = {agent.id: agent for agent in self._standing() if agent.root == root}
        proposals = (proposal for proposal in self._proposals.held() if proposal.root == root)
        return Seen(
            agents=agents,
            proposals={proposal.id: replace(proposal, manifest="") for proposal in proposals},
            ledger=self._ledgers.held(root),
            tasks=tuple(
                replace(task, result="", pending=(), artifacts=()) for task in self._tasks.held() if task.root == root
            ),
            crashes={id_: count for id_, count in self.crashes.items() if id_ in agents and count},
        )

    def _standing(self) -> list[Subagent]:
        return [replace(agent, manifest={}) for home in self._homes for agent in self._agents.held(home)]

"""Proposals and ledgers that exist in this process only."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from mcp_agentspawn.adapters.memory.collection import MemoryCollection
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import FINAL_PHASES, Crashing, Phase, Proposal, Root, grown
from mcp_agentspawn.core.ports import Clock

T = TypeVar("T")


class MemoryProposals(MemoryCollection[Proposal]):
    """Proposals (`core.ports.Proposals`)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("proposal", clock)

    async def create(self, proposal: Proposal) -> Proposal:
        """See `core.ports.Proposals.create`."""
        fingerprint = hash_of(proposal.manifest.encode())
        return self._begin(replace(proposal, phase="proposed", agent_uid="", history=(), fingerprint=fingerprint))

    async def of_root(self, root: Root) -> Sequence[Proposal]:
        """See `core.ports.Proposals.of_root`."""
        return [proposal for proposal in self.held() if proposal.root == root.name]

    async def mark(self, proposal: Proposal, phase: Phase, *, agent_uid: str = "", reason: str = "") -> Proposal:
        """See `core.ports.Proposals.mark`."""
        stored = self._at_version_of(proposal)
        if stored.phase in FINAL_PHASES and phase != stored.phase:
            raise Refused("invalid", f"The proposal {proposal.id} is {stored.phase} and stays so.")
        marked = replace(stored, phase=phase, agent_uid=agent_uid or stored.agent_uid)
        return self._keep(replace(marked, history=grown(stored, phase, reason, self._clock.now())))

    async def note_crashes(self, proposal: Proposal, times: int) -> Proposal:
        """See `core.ports.Proposals.note_crashes`."""
        stored = self._at_version_of(proposal)
        since = stored.crashing.since if stored.crashing else self._clock.now()
        return self._keep(replace(stored, crashing=Crashing(times, since)))


class MemoryLedgers:
    """Ledgers by root. There is one thread and no step between reading and storing: nothing ever conflicts."""

    def __init__(self) -> None:
        self._stored: dict[str, Ledger] = {}

    async def look(self, root: str, *, fresh: bool = False) -> Ledger:  # noqa: ARG002 - it always is
        """See `core.ports.Ledgers.look`."""
        return self.held(root)

    def held(self, root: str) -> Ledger:
        """The one of this root, as it is stored."""
        return self._stored.get(root, Ledger(root))

    async def change(self, root: str, decide: Callable[[Ledger], tuple[Ledger, T]]) -> T:
        """See `core.ports.Ledgers.change`."""
        ledger = await self.look(root)
        changed, said = decide(ledger)
        if changed.spawned < ledger.spawned:
            raise Refused("invalid", "The count of what was ever spawned never falls.")
        if changed is not ledger:
            self._stored[root] = changed
        return said

    async def roots(self) -> Sequence[str]:
        """See `core.ports.Ledgers.roots`."""
        return list(self._stored)

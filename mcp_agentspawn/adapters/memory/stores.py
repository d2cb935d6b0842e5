"""Proposals and ledgers that exist in this process only."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar
from uuid import uuid4

from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import Conflict, Missing, Refused
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import FINAL_PHASES, Crashing, Phase, Proposal, Root, grown
from mcp_agentspawn.core.ports import Clock

T = TypeVar("T")


class MemoryProposals:
    """Proposals by id, each with a version that every change replaces."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[str, Proposal] = {}
        self._versions = count(1)

    async def create(self, proposal: Proposal) -> Proposal:
        """See `core.ports.Proposals.create`."""
        if proposal.id in self._stored:
            raise Conflict(f"There is a proposal {proposal.id} already.")
        created_at = self._clock.now().replace(microsecond=0)  # an object's creation is kept in whole seconds
        new = replace(proposal, phase="proposed", agent_uid="", created_at=created_at, uid=str(uuid4()), history=())
        return self._keep(replace(new, fingerprint=hash_of(new.manifest.encode())))

    async def get(self, id_: str) -> Proposal | None:
        """See `core.ports.Proposals.get`."""
        return self._stored.get(id_)

    async def of_root(self, root: Root) -> Sequence[Proposal]:
        """See `core.ports.Proposals.of_root`."""
        return [proposal for proposal in self._stored.values() if proposal.root == root.name]

    async def all(self) -> Sequence[Proposal]:
        """See `core.ports.Proposals.all`."""
        return self.held()

    def held(self) -> list[Proposal]:
        """All that are stored."""
        return list(self._stored.values())

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

    async def delete(self, proposal: Proposal) -> None:
        """See `core.ports.Proposals.delete`."""
        stored = self._stored.get(proposal.id)
        if stored is not None:
            self._expect(stored, proposal)
            del self._stored[proposal.id]

    def _at_version_of(self, proposal: Proposal) -> Proposal:
        stored = self._stored.get(proposal.id)
        if stored is None:
            raise Missing(f"There is no proposal {proposal.id}.")
        self._expect(stored, proposal)
        return stored

    def _keep(self, proposal: Proposal) -> Proposal:
        stored = replace(proposal, version=str(next(self._versions)))
        self._stored[proposal.id] = stored
        return stored

    def _expect(self, stored: Proposal, expected: Proposal) -> None:
        if stored.version != expected.version:
            raise Conflict(f"The proposal {expected.id} has changed.")


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

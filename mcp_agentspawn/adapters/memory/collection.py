"""Records that are moved on by whoever saw them last, in this process only."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Generic, TypeVar
from uuid import uuid4

from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.errors import Conflict, Missing
from mcp_agentspawn.core.model import Proposal
from mcp_agentspawn.core.ports import Clock

R = TypeVar("R", Proposal, Task)


class MemoryCollection(Generic[R]):
    """Records by id, each with a version that every change replaces. `what` names one for people."""

    def __init__(self, what: str, clock: Clock) -> None:
        self._what = what
        self._clock = clock
        self._stored: dict[str, R] = {}
        self._versions = count(1)

    async def get(self, id_: str) -> R | None:
        """Read one; `None` when there is none."""
        return self._stored.get(id_)

    async def all(self) -> Sequence[R]:
        """All there are."""
        return self.held()

    def held(self) -> list[R]:
        """All that are stored."""
        return list(self._stored.values())

    async def delete(self, record: R) -> None:
        """Remove it if it is still at its version; gone already is success. Raises `Conflict`."""
        if record.id in self._stored:
            self._at_version_of(record)
            del self._stored[record.id]

    def _begin(self, record: R) -> R:
        if record.id in self._stored:
            raise Conflict(f"There is a {self._what} {record.id} already.")
        created_at = self._clock.now().replace(microsecond=0)  # an object's creation is kept in whole seconds
        return self._keep(replace(record, uid=str(uuid4()), created_at=created_at))

    def _at_version_of(self, record: R) -> R:
        """What is stored of it. Raises `Missing`, and `Conflict` when somebody has changed it meanwhile."""
        stored = self._stored.get(record.id)
        if stored is None:
            raise Missing(f"There is no {self._what} {record.id}.")
        if stored.version != record.version:
            raise Conflict(f"The {self._what} {record.id} has changed.")
        return stored

    def _keep(self, record: R) -> R:
        stored = replace(record, version=str(next(self._versions)))
        self._stored[record.id] = stored
        return stored

"""Decisions of people on anything, in this process only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from mcp_agentspawn.core.delegation import TaskAnswer
from mcp_agentspawn.core.errors import Conflict
from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.core.ports import Clock

D = TypeVar("D", Approval, TaskAnswer)


class MemoryDecisions(Generic[D]):
    """Decisions by name; whoever creates one is taken to be its decider.

    `field` is what a decision calls the id of what was decided on.
    """

    def __init__(self, field: str, clock: Clock) -> None:
        self._field = field
        self._clock = clock
        self._stored: dict[str, D] = {}

    async def of(self, id_: str, *, fresh: bool = True) -> Sequence[D]:  # noqa: ARG002 - it always is
        """All about what has this id, also those about a namesake."""
        return [decision for decision in self._stored.values() if getattr(decision, self._field) == id_]

    async def all(self) -> Sequence[D]:
        """All there are."""
        return list(self._stored.values())

    async def create(self, decision: D) -> D:
        """Store a person's decision. Raises `Conflict`."""
        if decision.name in self._stored:
            raise Conflict(f"There is a decision {decision.name} already.")
        stored = replace(decision, decided_at=self._clock.now().replace(microsecond=0))
        self._stored[stored.name] = stored
        return stored

    async def delete(self, decision: D) -> None:
        """Remove it; gone already is success."""
        self._stored.pop(decision.name, None)

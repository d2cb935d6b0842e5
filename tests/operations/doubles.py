"""Ports that behave as the real ones do on a bad day."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.ports import Ledgers

T = TypeVar("T")


def failing(error: BaseException) -> Any:
    """A method that always raises."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@dataclass
class OldLook:
    """Ledgers whose cached copy is old."""

    real: Ledgers
    old: Ledger

    async def look(self, root: str, *, fresh: bool = False) -> Ledger:
        return await self.real.look(root) if fresh else self.old

    async def change(self, root: str, decide: Callable[[Ledger], tuple[Ledger, T]]) -> T:
        return await self.real.change(root, decide)

    async def roots(self) -> Sequence[str]:
        return await self.real.roots()

"""A ledger's store without a cluster, whose reads and writes fail as a test says, and decisions to try on it."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mcp_agentspawn.adapters.kubernetes.ledger_objects import MOST_WRITES, StoredLedger
from mcp_agentspawn.core.errors import Conflict
from mcp_agentspawn.core.ledger import Change, Ledger, Live

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Shelf:
    """One ledger with compare-and-swap, whose reads and writes can be made to fail in order."""

    stored: StoredLedger = field(default_factory=lambda: StoredLedger(Ledger("agents/orchestrator"), "1"))
    reads: int = 0
    writes: int = 0
    before_write: list[Exception | None] = field(default_factory=list)
    after_write: list[Exception | None] = field(default_factory=list)
    on_read: list[Exception | None] = field(default_factory=list)
    late: StoredLedger | None = None
    time: float = 0.0

    async def read(self) -> StoredLedger:
        await asyncio.sleep(0)
        self.reads += 1
        self._fail(self.on_read)
        return self.stored

    async def write(self, base: StoredLedger, ledger: Ledger, write: str) -> StoredLedger:
        await asyncio.sleep(0)
        self.writes += 1
        marks = (*base.writes, write)[-MOST_WRITES:]
        self.late = StoredLedger(ledger, f"late {write}", marks)
        self._fail(self.before_write)
        if base.version != self.stored.version:
            raise Conflict("changed")
        self.stored = StoredLedger(ledger, str(int(self.stored.version.split()[-1], 36) + 1), marks)
        self._fail(self.after_write)
        return self.stored

    def somebody(self, id_: str, times: int = 1) -> None:
        """Another replica takes a slot, and writes that often."""
        for number in range(times):
            ledger = reserve(id_, 99)(self.stored.ledger)[0]
            writes = (*self.stored.writes, f"{id_} {number}")[-MOST_WRITES:]
            self.stored = StoredLedger(ledger, str(int(self.stored.version) + 1), writes)

    @property
    def live(self) -> list[str]:
        return list(self.stored.ledger.live)

    @staticmethod
    def _fail(script: list[Exception | None]) -> None:
        error = script.pop(0) if script else None
        if error is not None:
            raise error


def reserve(id_: str, limit: int = 3) -> Callable[[Ledger], tuple[Ledger, bool]]:
    def decide(ledger: Ledger) -> tuple[Ledger, bool]:
        if id_ in ledger.live:
            return ledger, True
        if len(ledger.live) >= limit:
            return ledger, False
        return ledger.reserved(id_, Live(NOON, id_, ""), Change(NOON)), True

    return decide


def count_up(ledger: Ledger) -> tuple[Ledger, int]:
    """A decision that would show if it counted twice."""
    return replace(ledger, spawned=ledger.spawned + 1), ledger.spawned + 1


def look(ledger: Ledger) -> tuple[Ledger, list[str]]:
    return ledger, list(ledger.live)


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until it is so; each step of theirs may be the one that counts."""
    async with asyncio.timeout(5):
        for _ in itertools.repeat(None):
            if condition():
                return
            await asyncio.sleep(0)

"""What is known of one registry, how current it is, and when it is to be read again."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mcp_agentspawn.adapters.registry.breaker import Backoff, Breaker, Chance
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.items import Dialect
from mcp_agentspawn.adapters.registry.jobs import ReadReport
from mcp_agentspawn.core.ports import Clock
from mcp_agentspawn.core.registry import Freshness, Standing

FORGOTTEN_AFTER = timedelta(hours=24)
OVERDUE_AFTER_SECONDS = 60.0
JITTER = 0.1


@dataclass(slots=True)
class Known:
    """One registry. `snapshot` is the file of its last good reading; `""` when nothing is known of it."""

    endpoint: Endpoint
    clock: Clock
    chance: Chance = random.random
    breaker: Breaker = field(init=False)
    snapshot: str = ""
    dialect: Dialect | None = None
    entries: int = 0
    as_of: datetime | None = None
    problems: Mapping[str, int] = field(default_factory=dict)
    told: tuple[Freshness, tuple[str, ...]] = ("away", ())
    """The state that was last logged."""
    _read_at: datetime | None = None
    _next: datetime | None = None
    _backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.clock, self.chance)

    @property
    def due(self) -> bool:
        """Whether it is to be read now; also when the clock was set back behind its last reading."""
        now = self.clock.now()
        if self._backoff.failures:
            return self._backoff.over(now)
        return self._read_at is None or self._next is None or not self._read_at <= now < self._next

    def take(self, report: ReadReport) -> None:
        """What its reading came to. What is known stays when a reading fails."""
        now = self.clock.now()
        self.problems = report.problems
        if not report.snapshot:
            self._backoff = self._backoff.failed(now, self.chance)
            self.breaker.failed()
            return
        self._backoff = Backoff()
        self.breaker.succeeded()
        self.snapshot, self.dialect, self.entries = report.snapshot, report.dialect, report.entries
        seconds = self.endpoint.refresh * (1 + JITTER * (2 * self.chance() - 1))
        self.as_of, self._read_at, self._next = now, now, now + timedelta(seconds=seconds)

    def forget_what_is_old(self) -> None:
        """What nobody could confirm for a day is no longer known."""
        if self.as_of is not None and self.clock.now() - self.as_of > FORGOTTEN_AFTER:
            self.snapshot, self.entries, self.as_of = "", 0, None

    def standing(self) -> Standing:
        """How current it is."""
        return Standing(self.endpoint.name, self._freshness(), self.as_of, tuple(sorted(self.problems)))

    def _freshness(self) -> Freshness:
        if self.as_of is None:
            return "away"
        return "stale" if self._backoff.failures or self._overdue else "fresh"

    @property
    def _overdue(self) -> bool:
        """Whether nobody read it although it was due, and by now it is due a second time."""
        late = timedelta(seconds=max(OVERDUE_AFTER_SECONDS, self.endpoint.refresh))
        return self._next is not None and self.clock.now() > self._next + late

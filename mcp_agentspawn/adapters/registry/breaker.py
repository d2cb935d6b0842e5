"""When a registry that failed may be asked again: later each time, and by one caller alone once it is given up."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_agentspawn.core.ports import Clock

FIRST_SECONDS = 2.0
MOST_SECONDS = 600.0
MOST_DOUBLINGS = 10
GIVEN_UP_AFTER = 5

Chance = Callable[[], float]
"""A number from 0 to 1 by chance."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often in a row something failed, and the pause since: from `since` to `until`."""

    failures: int = 0
    since: datetime | None = None
    until: datetime | None = None

    def failed(self, now: datetime, chance: Chance) -> "Backoff":
        """After one more failure: a pause of any length up to a bound that doubles, so that replicas spread."""
        most = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(self.failures, MOST_DOUBLINGS))
        return Backoff(self.failures + 1, now, now + timedelta(seconds=most * chance()))

    def over(self, now: datetime) -> bool:
        """Whether the pause is over; also when the clock was set back behind its beginning."""
        if self.since is None or self.until is None:
            return True
        return not self.since <= now < self.until


class Breaker:
    """Lets everybody ask until five failures in a row; then one at a time, each after a pause, until one succeeds."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._backoff = Backoff()
        self._probing = False

    @property
    def given_up(self) -> bool:
        """Whether it failed so often that not everybody may ask."""
        return self._backoff.failures >= GIVEN_UP_AFTER

    def admits(self) -> bool:
        """Whether the caller may ask now. Who may must say how it went: `succeeded`, `failed` or `left`."""
        if not self.given_up:
            return True
        if self._probing or not self._backoff.over(self._clock.now()):
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._backoff, self._probing = Backoff(), False

    def failed(self) -> None:
        """It did not answer."""
        self._backoff, self._probing = self._backoff.failed(self._clock.now(), self._chance), False

    def left(self) -> None:
        """The caller went away before there was an answer."""
        self._probing = False

"""What one caller can take from the others: so many refusals a minute for each tool, so many calls at a time."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

REFUSALS_A_MINUTE = 60
MOST_BUCKETS = 4096
CALLS_AT_A_TIME = 32
WAITS_SECONDS = 5.0


class RefusalBuckets:
    """How many refusals each one has left at this replica; they come back evenly over a minute."""

    def __init__(self, a_minute: int = REFUSALS_A_MINUTE, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._monotonic = monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_empty(self, who: str) -> bool:
        """Whether this one was refused too often of late."""
        return self._now_left(who) < 1

    def take(self, who: str) -> None:
        """Count one refusal."""
        self._left[who] = (self._now_left(who) - 1, self._monotonic())
        self._left.move_to_end(who)
        if len(self._left) > MOST_BUCKETS:
            self._left.popitem(last=False)

    def _now_left(self, who: str) -> float:
        left, at = self._left.get(who, (self._a_minute, self._monotonic()))
        return min(self._a_minute, left + (self._monotonic() - at) * self._a_minute / 60)


class Turns:
    """How many calls of one caller run at a time; a caller's others wait for theirs, and nobody else's do."""

    def __init__(
        self, at_a_time: int = CALLS_AT_A_TIME, waits_seconds: float = WAITS_SECONDS, most_waiting: float = math.inf
    ) -> None:
        """`most_waiting` of one caller's calls wait: a bound for where a caller may be anybody."""
        self._at_a_time = at_a_time
        self._waits_seconds = waits_seconds
        self._most = at_a_time + most_waiting
        self._running: dict[str, asyncio.Semaphore] = {}
        self._interested: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[bool]:
        """Run the block when it is this call's turn; False when that did not come in time, or too many wait for it."""
        if self._interested.get(who, 0) >= self._most:
            yield False
            return
        running = self._running.setdefault(who, asyncio.Semaphore(self._at_a_time))
        self._interested[who] = self._interested.get(who, 0) + 1
        try:
            mine = await _acquired(running, self._waits_seconds)
            try:
                yield mine
            finally:
                if mine:
                    running.release()
        finally:
            self._leave(who)

    def _leave(self, who: str) -> None:
        self._interested[who] -= 1
        if not self._interested[who]:
            del self._interested[who], self._running[who]


async def _acquired(semaphore: asyncio.Semaphore, within_seconds: float) -> bool:
    try:
        async with asyncio.timeout(within_seconds):
            return await semaphore.acquire()
    except TimeoutError:
        return False

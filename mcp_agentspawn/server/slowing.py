"""What is refused over and over is answered without asking anybody: a bucket of refusals for each caller and tool."""

import time
from collections import OrderedDict
from collections.abc import Callable

REFUSALS_A_MINUTE = 60
MOST_BUCKETS = 4096


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

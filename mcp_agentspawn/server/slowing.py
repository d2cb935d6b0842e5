"""What is refused over and over is answered without asking anybody: a bucket of refusals for each caller."""

import time
from collections import OrderedDict
from collections.abc import Callable

REFUSALS_A_MINUTE = 60
MOST_CALLERS = 4096


class RefusalBuckets:
    """How many refusals each caller has left at this replica; they come back evenly over a minute."""

    def __init__(self, a_minute: int = REFUSALS_A_MINUTE, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._monotonic = monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_empty(self, caller: str) -> bool:
        """Whether this caller was refused too often of late."""
        return self._now_left(caller) < 1

    def take(self, caller: str) -> None:
        """Count one refusal."""
        self._left[caller] = (self._now_left(caller) - 1, self._monotonic())
        self._left.move_to_end(caller)
        if len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)

    def _now_left(self, caller: str) -> float:
        left, at = self._left.get(caller, (self._a_minute, self._monotonic()))
        return min(self._a_minute, left + (self._monotonic() - at) * self._a_minute / 60)

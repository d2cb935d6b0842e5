"""What is remembered of each agent: how often it failed in a row, how many wait for it, and which wire it speaks."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

MOST_REMEMBERED = 4096
MOST_AT_ONCE = 8
MOST_OF_A_ROOT = 20
"""Requests on behalf of one root at a time: less than a third of all connections, whatever its agents do."""
GIVEN_UP_AFTER = 5
FIRST_SECONDS = 10.0
MOST_SECONDS = 60.0

Wire = Literal["0.3", "1.0"]
Admission = Literal["no", "yes", "alone"]
Seconds = Callable[[], float]
"""A time that only ever grows."""

K = TypeVar("K")
V = TypeVar("V")


class Breaker:
    """Lets everybody ask until five failures in a row; then one alone after each pause, until one is answered."""

    def __init__(self, now: Seconds) -> None:
        self._now = now
        self._failures = 0
        self._pause = FIRST_SECONDS
        self._until = 0.0
        self._trying = False

    def admits(self) -> Admission:
        """Whether the caller may ask now. Who may says how it went: `succeeded`, `failed` or, alone, `left`."""
        if self._failures < GIVEN_UP_AFTER:
            return "yes"
        if self._trying or self._now() < self._until:
            return "no"
        self._trying = True
        return "alone"

    def succeeded(self) -> None:
        """It answered."""
        self._failures, self._pause, self._trying = 0, FIRST_SECONDS, False

    def failed(self) -> None:
        """It did not answer; the pause is twice as long after each one who asked alone."""
        self._failures += 1
        if self._trying:
            self._pause = min(MOST_SECONDS, self._pause * 2)
        if self._trying or self._failures == GIVEN_UP_AFTER:
            self._until = self._now() + self._pause
        self._trying = False

    def left(self) -> None:
        """The one who asked alone went away before there was an answer."""
        self._trying = False


@dataclass(slots=True)
class Known:
    """One agent. `room` is for those who ask it at the same time, `answering` for one who answers what it asks."""

    breaker: Breaker
    wire: Wire | None = None
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    answering: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Shared:
    """What those on whose behalf the same root asks share: room, and the place for one answer that is large."""

    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_OF_A_ROOT))
    large: asyncio.Lock = field(default_factory=asyncio.Lock)


class Memory:
    """The agents that were asked last, a bounded number of them."""

    def __init__(self, now: Seconds) -> None:
        self._now = now
        self._known: OrderedDict[Hashable, Known] = OrderedDict()
        self._shared: OrderedDict[str, Shared] = OrderedDict()

    def of(self, agent: Hashable) -> Known:
        """What is remembered of this one, anew if nothing is."""
        return _remembered(self._known, agent, lambda: Known(Breaker(self._now)))

    def shared_by(self, user: str) -> Shared:
        """What those on whose behalf the same user asks have to share."""
        return _remembered(self._shared, user, Shared)


def _remembered(known: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """Of too many, the one that was asked for longest ago is forgotten."""
    if key not in known:
        known[key] = make()
    known.move_to_end(key)
    if len(known) > MOST_REMEMBERED:
        known.popitem(last=False)
    return known[key]

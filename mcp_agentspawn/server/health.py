"""Alive and ready: what a probe is told, and why not."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

PART_ANSWERS_WITHIN_SECONDS = 3.0
REMEMBERED_SECONDS = 1.0

Part = Callable[[], Awaitable[str]]
"""One thing that must work: answers `""`, or what is wrong in words fit for strangers."""


class Health:
    """Whether this server can serve. `draining` is set when it is about to end."""

    def __init__(self, parts: Mapping[str, Part], monotonic: Callable[[], float] = time.monotonic) -> None:
        self.draining = False
        self._parts = parts
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._problems: dict[str, str] = {}
        self._asked_at = float("-inf")

    async def problems(self) -> Mapping[str, str]:
        """What is wrong, by part; empty when ready. Remembered for a second: anybody may ask, as often as they like."""
        async with self._lock:
            if self._monotonic() - self._asked_at >= REMEMBERED_SECONDS:
                answers = await asyncio.gather(*(_ask(part) for part in self._parts.values()))
                self._problems = {name: answer for name, answer in zip(self._parts, answers, strict=True) if answer}
                self._asked_at = self._monotonic()
        return self._problems | ({"server": "draining"} if self.draining else {})


async def _ask(part: Part) -> str:
    try:
        async with asyncio.timeout(PART_ANSWERS_WITHIN_SECONDS):
            return await part()
    except Exception as error:  # noqa: BLE001 - a part that can not be asked is not ready
        return f"no answer ({type(error).__name__})"

"""The helpers of a server that reads registries: when they ran, and the memory that they took. Linux alone."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.02
SETTLED_SECONDS = 0.1
"""So long after a helper's end, what it made may still be opened."""
OVER_SECONDS = 0.5
PROCESSES = Path("/proc")


@dataclass
class Reading:
    """One pass over the registries: helpers that ran one after the other, and the most megabytes that one took."""

    began: float
    ended: float
    megabytes: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first helper's start to the last one's end."""
        return self.ended - self.began


@dataclass
class Helpers:
    """Watches the children of a process; an async context manager."""

    server: int
    readings: list[Reading] = field(default_factory=list)
    _alive: set[str] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._look()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()

    def quiet(self) -> bool:
        """No helper runs, and none did a moment ago."""
        return self._still_for(SETTLED_SECONDS)

    def over(self, count: int) -> bool:
        """Whether so many readings have ended."""
        return len(self.readings) >= count and self._still_for(OVER_SECONDS)

    def _still_for(self, seconds: float) -> bool:
        return not self._alive and (not self.readings or perf_counter() - self.readings[-1].ended > seconds)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        """Only processes that were not there before are asked whose they are."""
        now = perf_counter()
        there = {found.name for found in PROCESSES.iterdir() if found.name.isdecimal()}
        children = {name for name in there - self._known if _parent(name) == self.server}
        helpers = {name for name in children if _is_helper(name)}
        if helpers and self._still_for(OVER_SECONDS):
            self.readings.append(Reading(now, now))
        self._known = there - (children - helpers)  # what is the server's copy yet may be a helper in a moment
        self._alive = {name for name in (self._alive | helpers) & there if _peak(name)}  # a zombie has no memory
        for name in self._alive:
            self.readings[-1].ended = now
            self.readings[-1].megabytes = max(self.readings[-1].megabytes, _peak(name))


def _parent(process: str) -> int:
    told = _told(process, "PPid")
    return int(told) if told else 0


def _is_helper(process: str) -> bool:
    try:
        return b"_worker" in (PROCESSES / process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _peak(process: str) -> float:
    return megabytes(process, "VmHWM")


def megabytes(process: int | str, what: str) -> float:
    """What the kernel says of a process's memory (`VmRSS`: now, `VmHWM`: at most); 0 when it is gone."""
    return int(_told(process, what).partition(" ")[0] or 0) / 1024


def forget_peak(process: int) -> None:
    """Let its `VmHWM` begin anew."""
    (PROCESSES / str(process) / "clear_refs").write_text("5", encoding="ascii")


def _told(process: int | str, key: str) -> str:
    try:
        lines = (PROCESSES / str(process) / "status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:")), "")

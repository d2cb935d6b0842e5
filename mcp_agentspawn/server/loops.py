"""Work that is done again and again while the server runs. What fails is logged, and goes on."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from mcp_agentspawn.server.results import frames

ENDS_WITHIN_SECONDS = 10.0
LEAST_PAUSE_SECONDS = 1.0
BEGIN_ANEW_SECONDS = 1.0
JITTER = 0.2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Loop:
    """One such work: every so many seconds, or sooner when `wanted` is set."""

    name: str
    seconds: float
    work: Callable[[], Awaitable[None]]
    wanted: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def running(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Run them until the block is left; a pass that was begun then is finished, within ten seconds."""
    ending = asyncio.Event()
    tasks = [asyncio.create_task(_run(loop, ending), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        ending.set()
        _, late = await asyncio.wait(tasks, timeout=ENDS_WITHIN_SECONDS) if tasks else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def kept_going(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do work that never ends until the block is left, where it is broken off; what fails is logged, and begun anew."""
    task = asyncio.create_task(_keep_going(name, work), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - begun anew, it may succeed
            log.error("broken off", work=name, error=type(error).__name__, at=frames(error))  # noqa: TRY400 - its text may quote
        await asyncio.sleep(BEGIN_ANEW_SECONDS)


async def _run(loop: Loop, ending: asyncio.Event) -> None:
    while not ending.is_set():
        loop.wanted.clear()
        try:
            await loop.work()
        except Exception as error:  # noqa: BLE001 - the next pass may succeed
            where = frames(error)
            log.error("a pass failed", loop=loop.name, error=type(error).__name__, at=where)  # noqa: TRY400 - its text may quote
        await _pause(loop, ending)


async def _pause(loop: Loop, ending: asyncio.Event) -> None:
    """Wait for the next pass. Replicas that started together do not stay together."""
    least = min(LEAST_PAUSE_SECONDS, loop.seconds)
    await _first_of([ending], least)
    await _first_of([ending, loop.wanted], loop.seconds * random.uniform(1 - JITTER, 1 + JITTER) - least)  # noqa: S311 - no secret


async def _first_of(events: Sequence[asyncio.Event], seconds: float) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()

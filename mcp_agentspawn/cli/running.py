"""Running until somebody says stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

STOPS = (signal.SIGINT, signal.SIGTERM)


def run_until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run it with an event that Ctrl-C and SIGTERM set; a second one ends the waiting for a clean end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_stoppable(work))


async def _stoppable(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(work(stop))
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            running.cancel()
        stop.set()

    for number in STOPS:
        loop.add_signal_handler(number, asked)
    await running

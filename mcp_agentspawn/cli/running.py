"""Running until somebody says stop."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import uvloop

STOPS = (signal.SIGINT, signal.SIGTERM)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run it until it ends, or until Ctrl-C or SIGTERM cancel it; what it opened is closed in its own order.

    A second signal cuts the closing short.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_stoppable(work))


async def _stoppable(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()

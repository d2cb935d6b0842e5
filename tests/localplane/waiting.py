import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

BOUND_SECONDS = 30.0


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for a condition; TimeoutError when it does not come true in time."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.05)


def until_now(condition: Callable[[], bool]) -> None:
    """Wait for a condition without an event loop; TimeoutError when it does not come true in time."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def processes_of(folder: Path) -> list[str]:
    """List the running commands that have the folder in their arguments."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(folder) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def left_behind(folder: Path) -> list[str]:
    """List what still runs on, or lies in, a folder for temporary files."""
    return [*processes_of(folder), *(str(path) for path in folder.iterdir())]

"""Waiting for what comes by itself, with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from mcp_agentspawn.core.errors import Unavailable

POLL_SECONDS = 0.1


async def until(condition: Callable[[], Awaitable[bool]], within_seconds: float, complaint: str) -> None:
    """Ask again and again until it is so. Raises Unavailable with the complaint when it does not become so in time."""
    deadline = time.monotonic() + within_seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise Unavailable(complaint)
        await asyncio.sleep(POLL_SECONDS)

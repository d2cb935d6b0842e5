"""One edge that the tests of a module share, when they leave nothing behind."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.server.edges import RunningEdge, serving


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edge() -> AsyncIterator[RunningEdge]:
    async with serving() as running:
        yield running

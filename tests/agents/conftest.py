from collections.abc import AsyncIterator

import pytest_asyncio

from mcp_agentspawn.localplane import Binaries
from tests.agents import village as villages
from tests.agents.village import Village


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole_village(control_plane_binaries: Binaries) -> AsyncIterator[Village]:
    async with villages.village(control_plane_binaries) as found:
        yield found


@pytest_asyncio.fixture
async def village(whole_village: Village) -> AsyncIterator[Village]:
    """The same world for every test, without anything of the others in it."""
    yield whole_village
    await whole_village.clear()

"""One battlefield for all attacks; every test is a caller that nobody was before."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mcp_agentspawn.localplane import ControlPlane
from tests.attacks.battlefield import Battlefield, battlefield
from tests.attacks.orchestrators import Orchestrator
from tests.faults.cluster import equip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def field(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Battlefield]:
    async with equip(control_plane) as cluster, battlefield(cluster, tmp_path_factory.mktemp("attacks")) as field:
        yield field


@pytest_asyncio.fixture
async def orchestrator(field: Battlefield) -> AsyncIterator[Orchestrator]:
    """A caller with nothing; what it leaves standing is removed."""
    orchestrator = await field.newcomer()
    yield orchestrator
    await field.cluster.clear(orchestrator.root)

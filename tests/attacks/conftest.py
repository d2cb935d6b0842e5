"""One battlefield for all attacks; every test is a caller that nobody was before.

Its servers repair what they find for as long as the session lasts, so its control plane is its own.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mcp_agentspawn.localplane import Binaries, ControlPlane
from tests.attacks.battlefield import Battlefield, battlefield
from tests.attacks.orchestrators import Orchestrator
from tests.faults.cluster import equip
from tests.plane_fixtures import KINDS, PEOPLE


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def field(
    control_plane_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Battlefield]:
    folder = tmp_path_factory.mktemp("attacks")
    async with (
        ControlPlane(control_plane_binaries, users=PEOPLE, kinds=[KINDS]) as plane,
        equip(plane) as cluster,
        battlefield(cluster, folder) as field,
    ):
        yield field


@pytest_asyncio.fixture
async def orchestrator(field: Battlefield) -> AsyncIterator[Orchestrator]:
    """A caller with nothing; what it leaves standing is removed."""
    orchestrator = await field.newcomer()
    yield orchestrator
    await field.cluster.clear(orchestrator.root)

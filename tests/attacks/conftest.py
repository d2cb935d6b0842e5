"""One battlefield for all attacks; every test is a caller that nobody was before.

Its servers repair what they find for as long as the session lasts, so its control plane is its own.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import Binaries, ControlPlane
from tests.attacks.battlefield import Battlefield, battlefield
from tests.attacks.orchestrators import Orchestrator
from tests.attacks.published import MAIN, OLDER, STOCK
from tests.attacks.registries import Library, Shelf, library, reading_roots, seeing, until_read
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


READERS, KNOWN_TO_THE_LIBRARY = 95, 70


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def readers(field: Battlefield) -> Iterator[Root]:
    """Roots that nobody was yet, for servers that read registries."""
    return iter(await reading_roots(field.cluster, [f"registry-{number}" for number in range(READERS)]))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shelves(
    field: Battlefield, readers: Iterator[Root], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Library]:
    """A server that reads a registry of each dialect."""
    roots = [next(readers) for _ in range(KNOWN_TO_THE_LIBRARY)]
    visible = seeing("main", namespaces=["default"]), seeing("stock"), seeing("older")
    shown = {"registry": "main", "namespaces": ["shown"]}
    policy = visible[0] | {"see": [shown, *(rule for section in visible for rule in section["see"])]}
    content = {"main": Shelf(MAIN), "stock": Shelf(STOCK, "inventory"), "older": Shelf(OLDER, "v0.3")}
    folder = tmp_path_factory.mktemp("library")
    async with library(field, folder, content, roots, {"default": policy}) as shelves:
        await until_read(await shelves.newcomer(), *content)
        yield shelves

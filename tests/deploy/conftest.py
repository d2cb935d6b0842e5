from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mcp_agentspawn.localplane import Binaries, ControlPlane
from tests.deploy.cluster import Cluster
from tests.deploy.world import KAGENT_OPTION, Everybody, everybody, kagent_kinds, set_up

KAGENT_VERSIONS = ("reduced", "0.9.12", "0.10.0-rc3")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def on_reduced(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everybody]:
    """deploy/ over the reduced CRDs, on the session's control plane."""
    async with Cluster(control_plane) as cluster:
        await set_up(control_plane, cluster, tmp_path_factory.mktemp("onboarding"))
        yield await everybody(cluster)


@pytest_asyncio.fixture
async def everyone(on_reduced: Everybody) -> AsyncIterator[Everybody]:
    yield on_reduced
    await on_reduced.tidy()


@pytest.fixture(scope="session", params=KAGENT_VERSIONS)
def kagent_version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def on_kagent(
    kagent_version: str,
    on_reduced: Everybody,
    control_plane_binaries: Binaries,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Everybody]:
    """The same over the reduced CRDs, and over kagent's own where they are there."""
    if kagent_version == "reduced":
        yield on_reduced
        return
    kinds, folder = kagent_kinds(kagent_version), tmp_path_factory.mktemp("onboarding")
    async with ControlPlane(control_plane_binaries, kinds=[kinds]) as plane, Cluster(plane) as cluster:
        await set_up(plane, cluster, folder)
        yield await everybody(cluster)


@pytest_asyncio.fixture
async def everyone_on_kagent(on_kagent: Everybody) -> AsyncIterator[Everybody]:
    yield on_kagent
    await on_kagent.tidy()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def before_1_36(
    control_plane_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Everybody]:
    """The same with impersonation as it was before, and with the option about kagent's controller."""
    kinds, folder = kagent_kinds("reduced"), tmp_path_factory.mktemp("onboarding")
    async with ControlPlane(control_plane_binaries, kinds=[kinds]) as plane, Cluster(plane) as cluster:
        await set_up(plane, cluster, folder, constrained=False, also=[KAGENT_OPTION])
        yield await everybody(cluster)


@pytest_asyncio.fixture
async def everyone_before_1_36(before_1_36: Everybody) -> AsyncIterator[Everybody]:
    yield before_1_36
    await before_1_36.tidy()

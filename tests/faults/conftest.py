"""One cluster with deploy/ on it for all tests here; every test has a root of its own."""

from collections.abc import AsyncIterator
from itertools import count

import pytest_asyncio

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import ControlPlane
from tests.faults.cluster import Cluster, equip
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica, start

NUMBERS = count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with equip(control_plane) as equipped:
        yield equipped


@pytest_asyncio.fixture
async def root(cluster: Cluster) -> AsyncIterator[Root]:
    """A root that nobody else has; what it leaves standing is removed, so that the namespace's quota stays free."""
    root = await cluster.onboard(f"faults-{next(NUMBERS)}")
    yield root
    await cluster.clear(root)


@pytest_asyncio.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(cluster.plane.url, cluster.plane.connection("").ssl_context()) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def replica(cluster: Cluster, root: Root, proxy: FaultProxy) -> AsyncIterator[Replica]:
    """A replica behind the proxy."""
    async with start(cluster, root, proxy) as replica:
        yield replica


@pytest_asyncio.fixture
async def other(cluster: Cluster, root: Root) -> AsyncIterator[Replica]:
    """Another replica, with its own way to the API server."""
    async with start(cluster, root) as replica:
        yield replica

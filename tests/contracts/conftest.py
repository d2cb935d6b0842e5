"""Every contract is played on both worlds, with a stage of its own for each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes.schema import ManifestSchema
from mcp_agentspawn.localplane import ControlPlane
from tests.contracts.stages import MemoryStage, Stage, agent_schema, kubernetes_stage, memory_stage
from tests.faults.cluster import Cluster, equip


@pytest.fixture(scope="session")
def schema() -> ManifestSchema:
    return agent_schema()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with equip(control_plane) as cluster:
        await cluster.onboard("contract-a")
        await cluster.onboard("contract-b")
        yield cluster


@pytest.fixture
def memory(schema: ManifestSchema) -> MemoryStage:
    return memory_stage(schema)


@pytest_asyncio.fixture
async def kubernetes(cluster: Cluster) -> AsyncIterator[Stage]:
    async with kubernetes_stage(cluster) as stage:
        yield stage


@pytest.fixture(params=["memory", "kubernetes"])
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.getfixturevalue(request.param)
    return found

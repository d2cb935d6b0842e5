"""One cluster for all tests here; every test has a root, rules and a server of its own."""

from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.core.expiry import Action
from mcp_agentspawn.localplane import ControlPlane
from mcp_agentspawn.operations.reconcile import Reconciler
from tests.drift.stages import Stage, staged
from tests.faults.cluster import Cluster, equip
from tests.faults.spawning import offer_spawning

NUMBERS = count(1)


async def _nothing(_reconciler: Reconciler) -> Sequence[Action]:
    return []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with equip(control_plane) as equipped:
        await offer_spawning(equipped)
        yield equipped


@pytest_asyncio.fixture
async def stage(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """What drifts is seen by an apply here, not cleared away by a reconciler that comes first."""
    monkeypatch.setattr(Reconciler, "run_pass", _nothing)
    root = await cluster.onboard(f"drift-{next(NUMBERS)}")
    async with staged(cluster, root, tmp_path) as stage:
        yield stage
        await stage.agents()
    await cluster.clear(root)

"""An informer before a real API server that knows no WatchList, and that is killed and started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.adapters.kubernetes.informer import Informer
from mcp_agentspawn.adapters.kubernetes.principals import Gate
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import Binaries, ControlPlane
from mcp_agentspawn.localplane.probes import api_server_is_ready, wait_until_ready
from mcp_agentspawn.localplane.processes import Component
from tests.adapters.kubernetes.watched_api import Remembered
from tests.localplane.waiting import until

KINDS = Path(__file__).parents[3] / "dev" / "kagent-crds"
ROOT = Root("agents", "orchestrator", "default")
PATH = AGENTS.collection("default")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane_binaries: Binaries) -> AsyncIterator[ControlPlane]:
    flags = ["--feature-gates=WatchList=false"]
    async with ControlPlane(control_plane_binaries, kinds=[KINDS], api_server_flags=flags) as plane:
        yield plane


@pytest_asyncio.fixture
async def admin(plane: ControlPlane) -> AsyncIterator[aiohttp.ClientSession]:
    async with plane.admin.session() as session:
        yield session


async def put(admin: aiohttp.ClientSession, *names: str) -> None:
    for name in names:
        spec = {"type": "BYO", "byo": {"deployment": {"image": "x"}}}
        agent = {"apiVersion": "kagent.dev/v1alpha2", "kind": "Agent", "metadata": {"name": name}, "spec": spec}
        async with admin.post(PATH, json=agent) as response:
            assert response.status == 201, await response.text()


@asynccontextmanager
async def started_again(plane: ControlPlane) -> AsyncIterator[None]:
    """Kill the API server, and start it where it was."""
    process = psutil.Process(plane.process_ids["kube-apiserver"])
    command = process.cmdline()
    process.kill()
    await asyncio.to_thread(process.wait, 10)
    component = Component("kube-apiserver", command, plane.folder / "again.log", plane._group)
    try:
        await wait_until_ready(component, plane.admin, api_server_is_ready, 60)
        yield
    finally:
        await component.stop(5)


async def test_an_api_server_that_knows_no_watch_list_is_read_in_pages_and_found_again_after_a_restart(
    plane: ControlPlane, admin: aiohttp.ClientSession
) -> None:
    await put(admin, "one", "two")
    records = Remembered()
    async with Transport(await load_credentials(plane.admin_kubeconfig), Gate([ROOT])) as transport:
        informer = Informer(Client(transport), "agents", PATH, records)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(informer.run())
            await until(lambda: informer.synced and set(records.objects) == {"one", "two"})
            assert informer._in_pages
            await put(admin, "three")
            await until(lambda: "three" in records.objects)

            async with started_again(plane), plane.admin.session() as anew:
                await put(anew, "four")
                await until(lambda: set(records.objects) == {"one", "two", "three", "four"})
                assert informer.watching

            running.cancel()

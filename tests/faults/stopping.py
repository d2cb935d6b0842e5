"""Writers that are stopped between two steps: servers that are killed there, and replicas that stand still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import NamedTuple

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Answer as Answered
from mcp_agentspawn.operations.answers import Proposed
from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.paths import CREATE_AGENT
from tests.faults.proxy import Fault, FaultProxy
from tests.faults.replicas import Replica
from tests.faults.servers import Answer, Rules, Server, serve


class Servers(NamedTuple):
    """One behind the proxy that will be killed, and one that will not."""

    doomed: Server
    healthy: Server


@asynccontextmanager
async def two_servers(cluster: Cluster, root: Root, rules: Rules, proxy: FaultProxy) -> AsyncIterator[Servers]:
    async with serve(cluster, [root], rules, proxy) as doomed, serve(cluster, [root], rules) as healthy:
        yield Servers(doomed, healthy)


async def killed(server: Server, fault: Fault, reached: Awaitable[None], call: Awaitable[Answer]) -> None:
    """Kill the server when its request has come so far; what is held goes no further."""
    calling, reaching = asyncio.ensure_future(call), asyncio.ensure_future(reached)
    await asyncio.wait([calling, reaching], return_when=asyncio.FIRST_COMPLETED)
    await reaching
    server.kill()
    fault.drop()
    await asyncio.wait([calling])


class Paused(NamedTuple):
    """An apply that stands still: of what, before which request, and the attempt itself."""

    proposal: Proposed
    create: Fault
    applying: asyncio.Task[Answered]


async def paused_before_create(replica: Replica, proxy: FaultProxy) -> Paused:
    """An apply of a new proposal whose agent is about to be created."""
    proposal = await replica.propose()
    create = proxy.on(*CREATE_AGENT, faults.hold)
    applying = asyncio.create_task(replica.applied(proposal))
    await create.arrived()
    return Paused(proposal, create, applying)

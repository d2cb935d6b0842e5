"""What both worlds show of themselves, and a wire to the API server that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.adapters.kubernetes.observer import KubernetesObserver
from mcp_agentspawn.adapters.kubernetes.principals import Gate
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from mcp_agentspawn.adapters.memory import MemoryWorld
from mcp_agentspawn.adapters.memory.observer import MemoryObserver
from mcp_agentspawn.core.watching import Observer
from mcp_agentspawn.localplane.connection import Connection
from tests.contracts.stages import Stage
from tests.faults.cluster import Cluster
from tests.localplane.waiting import until


@asynccontextmanager
async def observing(stage: Stage) -> AsyncIterator[Observer]:
    """An observer of the stage's world, in sync."""
    world = stage.world
    observer = (
        MemoryObserver(world.roots, world.agents, world.proposals, world.ledgers, world.tasks)
        if isinstance(world, MemoryWorld)
        else KubernetesObserver(world._client, world.roots)
    )
    async with running(observer):
        yield observer


@asynccontextmanager
async def running(observer: MemoryObserver | KubernetesObserver) -> AsyncIterator[None]:
    """Let it run, and wait until it is in sync."""
    task = asyncio.create_task(observer.run())
    try:
        await until(observer.in_sync)
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Relay:
    """Passes bytes on to one API server, until it is cut."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._upstream = (parts.hostname, parts.port)
        self._open: set[asyncio.StreamWriter] = set()
        self.closed = False
        """Whether nobody new is let through."""

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        if self.closed:
            writer.transport.abort()
            return
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*self._upstream)
            self._open |= {writer, far_writer}
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def relayed(cluster: Cluster, stage: Stage) -> AsyncIterator[tuple[Relay, KubernetesObserver]]:
    """An observer whose connections can be cut, in sync."""
    relay = Relay(cluster.plane.url)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connection = Connection(url, cluster.plane.certificate_authority, token=cluster.server_token)
    file = connection.write_kubeconfig(cluster.plane.folder / "relayed.kubeconfig", "agentspawn")
    try:
        async with Transport(await load_credentials(file), Gate(stage.world.roots)) as transport:
            observer = KubernetesObserver(Client(transport), stage.world.roots)
            async with running(observer):
                yield relay, observer
    finally:
        server.close()
        relay.cut()

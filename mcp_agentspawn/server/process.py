"""The HTTP server as a part of a process: it takes its port, serves, drains and ends; signals are its starter's."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.server.health import Health

GRACE_SECONDS = 15
IDLE_SECONDS = 120
"""Longer than clients keep a connection (Go 90 s, aiohttp 15 s): closing one just as it is used breaks a call."""
START_POLL_SECONDS = 0.01
BACKLOG = 2048


class DrainingServer(uvicorn.Server):
    """A server that says it is not ready while it still serves, before it stops listening."""

    def __init__(self, config: uvicorn.Config, health: Health, drain_seconds: float) -> None:
        super().__init__(config)
        self._health = health
        self._drain_seconds = drain_seconds

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override] # uvicorn's is a generator's
        """Leave the signals alone."""
        return nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end."""
        self._health.draining = True
        await asyncio.sleep(self._drain_seconds)
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that serves."""

    server: DrainingServer
    health: Health
    ended: "asyncio.Task[None]"

    async def wait(self) -> None:
        """Wait until the server ends by itself, which raises Unavailable."""
        await asyncio.wait({self.ended})
        raise _failed(self.ended)

    async def stop(self) -> None:
        """Drain, finish what was begun, and end."""
        self.server.should_exit = True
        await self.ended


@asynccontextmanager
async def served(
    app: ASGIApp, health: Health, listener: socket.socket, drain_seconds: float = 0.0
) -> AsyncIterator[Serving]:
    """Serve on this socket until the block is left. Raises Unavailable when it can not be begun."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=IDLE_SECONDS,
    )
    server = DrainingServer(config, health, drain_seconds)
    serving = Serving(server, health, asyncio.create_task(server.serve(sockets=[listener])))
    try:
        await _started(serving)
        yield serving
    finally:
        await serving.stop()


async def _started(serving: Serving) -> None:
    while not serving.server.started:
        if serving.ended.done():
            raise _failed(serving.ended)
        await asyncio.sleep(START_POLL_SECONDS)


def _failed(ended: "asyncio.Task[None]") -> Unavailable:
    error = None if ended.cancelled() else ended.exception()
    return Unavailable(f"The HTTP server ended by itself ({type(error).__name__}).")


def listen(host: str, port: int) -> socket.socket:
    """Take the port, 0 for any that is free. Raises Unavailable when it can not be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    except OSError as error:
        listener.close()
        raise Unavailable(f"{host} port {port} can not be had: {error.strerror or error}") from error
    return listener


def url_of(listener: socket.socket, path: str) -> str:
    """Where a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


def own_origins(listener: socket.socket) -> tuple[str, ...]:
    """The origins of pages that this very port serves to this machine; none when others reach it, too."""
    host, port = listener.getsockname()[:2]
    if not ip_address(host).is_loopback:
        return ()
    return (url_of(listener, ""), f"http://localhost:{port}")

"""Small real MCP servers behind what the sample templates name, so that nothing named is missing on this machine."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import mcp_types as types
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.routing import Mount

from mcp_agentspawn.localplane import library

READS_ONLY = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
LOOPBACK = "127.0.0.1"
STOP_WITHIN_SECONDS = 5.0
POLL_SECONDS = 0.01

HitLimit = Annotated[int, Field(ge=1, le=library.MOST_HITS, description="How many documents at most")]
LineLimit = Annotated[int, Field(ge=1, le=library.MOST_LINES, description="How many lines at most")]
Text = Annotated[str, Field(max_length=500)]


class Hits(BaseModel):
    """What a search found, the best first."""

    hits: list[library.Hit]


class Found(BaseModel):
    """One whole document."""

    address: str
    title: str
    text: str


class Streams(BaseModel):
    """Which log streams there are."""

    streams: list[library.Stream]


class Lines(BaseModel):
    """Log lines by time; `truncated` says that there are more."""

    lines: list[library.LogLine]
    truncated: bool


@dataclass(frozen=True, slots=True)
class ToolServers:
    """Where the running servers are, by the name that templates use."""

    urls: Mapping[str, str]


def web_search() -> MCPServer[Any]:
    """Search and fetch over the bundled documents; nothing leaves this machine."""
    server: MCPServer[Any] = MCPServer("web-search", log_level="WARNING")
    documents = library.documents()

    @server.tool(annotations=READS_ONLY)
    async def search(query: Text, limit: HitLimit = 5) -> Hits:
        """Find documents by words; returns titles, addresses and excerpts."""
        return Hits(hits=library.find(documents, query, limit))

    @server.tool(annotations=READS_ONLY)
    async def fetch(address: Text) -> Found:
        """Read one whole document by the address that search returned."""
        if address not in documents:
            raise ToolError("There is no document with this address. Use one that search returned.")
        return Found.model_validate(documents[address], from_attributes=True)

    return server


def log_store() -> MCPServer[Any]:
    """Query bundled synthetic logs of one incident."""
    server: MCPServer[Any] = MCPServer("log-store", log_level="WARNING")
    lines = library.logs()

    @server.tool(annotations=READS_ONLY)
    async def list_streams() -> Streams:
        """Name the log streams, with how many lines they have and from when to when."""
        return Streams(streams=library.streams(lines))

    @server.tool(annotations=READS_ONLY)
    async def query_logs(
        stream: Text = "", contains: Text = "", since: Text = "", until: Text = "", limit: LineLimit = 50
    ) -> Lines:
        """Read log lines by time, of one stream or all; since and until are times such as 2026-03-17T09:38:00Z."""
        found = library.select(lines, stream, contains, since, until, len(lines))
        return Lines(lines=found[:limit], truncated=len(found) > limit)

    return server


SERVERS: Mapping[str, Callable[[], MCPServer[Any]]] = {"web-search": web_search, "log-store": log_store}


@contextlib.asynccontextmanager
async def tool_servers() -> AsyncIterator[ToolServers]:
    """Run all servers in this process, on one free port of the loopback interface, until the block ends."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = _Quiet(uvicorn.Config(_application(), log_config=None, access_log=False, lifespan="on"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _started(server, running)
            port = listener.getsockname()[1]
            yield ToolServers({name: f"http://{LOOPBACK}:{port}/{name}/mcp" for name in SERVERS})
        finally:
            server.should_exit = True
            await asyncio.wait({running}, timeout=STOP_WITHIN_SECONDS)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class _Quiet(uvicorn.Server):
    """Leaves the process's signals to whoever runs this one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _started(server: uvicorn.Server, running: asyncio.Task[None]) -> None:
    while not server.started:
        done, _ = await asyncio.wait({running}, timeout=POLL_SECONDS)
        if done:
            raise OSError("the local tool servers ended before they had started")


def _application() -> Starlette:
    servers = {name: build() for name, build in SERVERS.items()}
    applications = {
        name: server.streamable_http_app(json_response=True, stateless_http=True, host=LOOPBACK)
        for name, server in servers.items()
    }

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for server in servers.values():
                await stack.enter_async_context(server.session_manager.run())
            yield

    return Starlette(routes=[Mount(f"/{name}", app) for name, app in applications.items()], lifespan=lifespan)

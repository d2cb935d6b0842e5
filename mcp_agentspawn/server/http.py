"""The HTTP face: POST /mcp, the resource's metadata, probes and metrics; and the process that serves them."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agentspawn.core.ports import Tokens
from mcp_agentspawn.server.calls import Calls
from mcp_agentspawn.server.health import Health
from mcp_agentspawn.server.identity import Identity
from mcp_agentspawn.server.protocol import mcp_server

MCP_PATH = "/mcp"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
MOST_BODY_BYTES = 256 * 1024
GRACE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Edge:
    """What the HTTP face is made of.

    `public_url` is the MCP endpoint as callers see it, `issuer` who issues the tokens (both go into the RFC 9728
    metadata). A host or origin `name:*` stands for every port, and not for none.
    """

    calls: Calls
    tokens: Tokens
    health: Health
    public_url: str
    issuer: str
    allowed_hosts: Sequence[str]
    allowed_origins: Sequence[str] = ()
    world: str = ""


@dataclass(frozen=True, slots=True)
class Front:
    """ASGI middleware against DNS rebinding: a Host that is not ours is 421, an Origin that is not allowed 403."""

    app: ASGIApp
    security: TransportSecurityMiddleware

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on, or answer at once."""
        refused = await self.security.validate_request(Request(scope))
        await (refused or self.app)(scope, receive, send)


def application(edge: Edge) -> Starlette:
    """Build the ASGI application."""
    manager = StreamableHTTPSessionManager(
        mcp_server(edge.calls, edge.world), json_response=True, stateless=True, max_request_body_size=MOST_BODY_BYTES
    )
    settings = TransportSecuritySettings(
        allowed_hosts=list(edge.allowed_hosts), allowed_origins=list(edge.allowed_origins)
    )
    roots = {root.name: root for root in edge.calls.services.roots}
    identity = Identity(StreamableHTTPASGIApp(manager), edge.tokens, roots, metadata_url(edge.public_url))
    front = Front(identity, TransportSecurityMiddleware(settings))
    routes = [Route(MCP_PATH, front, methods=["POST"]), *_metadata(edge), *_probes(edge.health)]
    return Starlette(routes=routes, lifespan=_lifespan(manager, edge.calls))


def metadata_url(public_url: str) -> str:
    """Where RFC 9728 puts a resource's metadata: the well-known path goes before the resource's own."""
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path}"


def _metadata(edge: Edge) -> list[Route]:
    document = {
        "resource": edge.public_url,
        "authorization_servers": [edge.issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "mcp-agentspawn",
    }

    async def metadata(_request: Request) -> Response:
        return JSONResponse(document, headers={"Access-Control-Allow-Origin": "*"})

    paths = dict.fromkeys([WELL_KNOWN + urlsplit(edge.public_url).path, WELL_KNOWN + MCP_PATH, WELL_KNOWN])
    return [Route(path, metadata) for path in paths]


def _probes(health: Health) -> list[Route]:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        problems = await health.problems()
        if problems:
            return JSONResponse({"status": "not ready", "problems": dict(problems)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ready"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _lifespan(manager: StreamableHTTPSessionManager, calls: Calls) -> Any:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            gc.collect()
            gc.freeze()  # what is there at start stays: walking it again and again costs the slowest calls 50 ms
            yield
        await calls.writes.settle()
        await calls.services.later.settle()

    return lifespan


class DrainingServer(uvicorn.Server):
    """A server that says it is not ready while it still serves, before it stops listening.

    Signals are its starter's business: set `should_exit`.
    """

    def __init__(self, config: uvicorn.Config, health: Health, drain_seconds: float) -> None:
        super().__init__(config)
        self._health = health
        self._drain_seconds = drain_seconds

    def capture_signals(self) -> AbstractAsyncContextManager[None]:  # type: ignore[override] # uvicorn's is not typed so
        """Leave the signals alone."""
        return nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end."""
        self._health.draining = True
        if not self.force_exit:
            await asyncio.sleep(self._drain_seconds)
        await super().shutdown(sockets)


def http_server(app: ASGIApp, health: Health, drain_seconds: float = 0.0) -> DrainingServer:
    """The process's HTTP server, to be run with `serve(sockets=[...])`."""
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
    )
    return DrainingServer(config, health, drain_seconds)


def listen(host: str, port: int) -> socket.socket:
    """Take the port, 0 for any that is free. Raises OSError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listener

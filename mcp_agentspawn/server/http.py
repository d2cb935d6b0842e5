"""The HTTP face: POST /mcp, the resource's metadata, probes and metrics."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
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
from mcp_agentspawn.server.subagents import Subagents

MCP_PATH = "/mcp"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
MOST_BODY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Edge:
    """What the HTTP face is made of.

    `metrics` gives their text and its content type. `public_url` is the MCP endpoint as callers see it, `issuer` who
    issues the tokens: both go into the RFC 9728 metadata. A host or origin `name:*` is any port, but not none.
    """

    calls: Calls
    tokens: Tokens
    health: Health
    metrics: Callable[[], tuple[bytes, str]]
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
    subagents = Subagents(edge.calls.services)
    identity = Identity(StreamableHTTPASGIApp(manager), edge.tokens, subagents, metadata_url(edge.public_url))
    front = Front(identity, TransportSecurityMiddleware(settings))
    routes = [Route(MCP_PATH, front, methods=["POST"]), *_metadata(edge), *_probes(edge)]
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


def _probes(edge: Edge) -> list[Route]:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        problems = await edge.health.problems()
        if problems:
            return JSONResponse({"status": "not ready", "problems": dict(problems)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ready"})

    async def metrics(_request: Request) -> Response:
        content, kind = edge.metrics()
        return Response(content, media_type=kind)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _lifespan(manager: StreamableHTTPSessionManager, calls: Calls) -> Any:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield
        await calls.writes.settle()
        await calls.services.later.settle()

    return lifespan

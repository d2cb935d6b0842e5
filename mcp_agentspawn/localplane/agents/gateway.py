"""Agents at the addresses where kagent's controller serves them: `/api/a2a/{namespace}/{name}/`."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from aiohttp import web

LOOPBACK = "127.0.0.1"
STOP_WITHIN_SECONDS = 0.5
ADDRESS = re.compile(
    r"/api/a2a/(?P<namespace>[a-z0-9-]+)/(?P<name>[a-z0-9-]+)(?P<rest>/?|/\.well-known/agent(-card)?\.json)"
)
WIRE = "0.3"
PASSED_ON = ("Content-Type", "Accept", "Authorization", "traceparent")
"""What the controller hands on to an agent, beside who asks."""
NOBODY = "admin@kagent.dev"
NOT_THERE = "there is no such agent, or not yet"

PortOf = Callable[[str, str], int | None]
"""Namespace and name to the port where an agent listens; 0 while it does not, None for one that is not there."""


class Gateway:
    """Hands requests on to agents. `url` is where, with `{namespace}` and `{name}` to be filled in."""

    def __init__(self, port_of: PortOf, upstream: aiohttp.ClientSession) -> None:
        self._port_of = port_of
        self._upstream = upstream
        self.url = ""

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, the agent's own answer unread. 404 says that no agent has heard it, 502 that one may."""
        address = ADDRESS.fullmatch(request.path)
        port = self._port_of(address["namespace"], address["name"]) if address else None
        if address is None or not port:
            return web.Response(status=HTTPStatus.NOT_FOUND, text=NOT_THERE)
        if not request.headers.get("A2A-Version", WIRE).startswith(WIRE):
            return web.Response(status=HTTPStatus.BAD_REQUEST, text=f"agents on this machine speak A2A {WIRE} only")
        try:
            return await self._hand_on(request, f"http://{LOOPBACK}:{port}{address['rest'] or '/'}")
        except aiohttp.ClientConnectorError:
            return web.Response(status=HTTPStatus.NOT_FOUND, text=NOT_THERE)
        except (aiohttp.ClientError, ValueError):
            return web.Response(status=HTTPStatus.BAD_GATEWAY, text="the agent does not answer")

    async def _hand_on(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        headers["X-User-Id"] = request.headers.get("X-User-Id", NOBODY)
        body = request.content if request.can_read_body else None
        async with self._upstream.request(request.method, url, headers=headers, data=body) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            response.content_length = answer.content_length
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except aiohttp.ClientError:
                _break_off(request)
            return response


def _break_off(request: web.BaseRequest) -> None:
    """Hang up as the agent did: who asked must neither wait for the rest nor take half an answer for a whole one."""
    if request.transport:
        request.transport.abort()


@asynccontextmanager
async def gateway(port_of: PortOf) -> AsyncIterator[Gateway]:
    """Serve on a free port of the loopback interface until the block ends."""
    unlimited = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=unlimited, connector=aiohttp.TCPConnector(limit=0)) as upstream:
        served = Gateway(port_of, upstream)
        runner = web.ServerRunner(web.Server(served.serve, access_log=None), shutdown_timeout=STOP_WITHIN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            served.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}/api/a2a/{{namespace}}/{{name}}/"
            yield served
        finally:
            await asyncio.shield(runner.cleanup())

"""A reverse proxy that writes down what a client really sends to the MCP server."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from tests.clients.scripted_model import serving

OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-encoding"})
"""What belongs to one connection, or is made anew by the next client or server."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as it came: the query string is part of `path`; header names match in any case."""

    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes
    status: int


@dataclass
class RecordingProxy:
    target: str
    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    def calls(self) -> list[str]:
        """Name the tools that were called, in order."""
        messages = [json.loads(seen.body) for seen in self.seen if seen.body]
        return [message["params"]["name"] for message in messages if message["method"] == "tools/call"]

    async def forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = _passed_on(request.headers)
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, self.target, headers=headers, data=body) as answer,
        ):
            content = await answer.read()
        self.seen.append(Seen(request.method, request.path_qs, CIMultiDict(request.headers), body, answer.status))
        return web.Response(status=answer.status, headers=_passed_on(answer.headers), body=content)


@asynccontextmanager
async def recording_proxy(target: str) -> AsyncIterator[RecordingProxy]:
    """Stand before the endpoint `target`; every request to any path goes there."""
    proxy = RecordingProxy(target)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", proxy.forward)
    async with serving(application) as base:
        proxy.url = base + urlsplit(target).path
        yield proxy


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in OWN_HEADERS)

"""Sends one request to the API server: bounded in time and size, with exactly the headers that its principal allows.

A thin client of our own because it needs about a third of the official one's CPU, and because of its last step: what
is about to leave is compared, header by header, with what was decided.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from mcp_agentspawn.adapters.kubernetes.credentials import Credentials
from mcp_agentspawn.adapters.kubernetes.errors import TooLong, error_of_failure, lost
from mcp_agentspawn.adapters.kubernetes.principals import Call, Gate
from mcp_agentspawn.core.errors import Refused

MOST_BYTES = 32 * 1024 * 1024
MOST_CONNECTIONS = 64
UNBOUNDED = 0
CONNECT_SECONDS = 3.0
USER_AGENT = "mcp-agentspawn"
OBJECT = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
LOST = (aiohttp.ClientError, TimeoutError, OSError)


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    retry_after: bool


class Stream(NamedTuple):
    """What comes in bit by bit. When `status` says no, `body` says why, and nothing comes."""

    status: int
    body: bytes
    chunks: AsyncIterator[bytes]


class Transport:
    """A pool of connections to one API server; an async context manager."""

    def __init__(self, credentials: Credentials, gate: Gate) -> None:
        self._credentials = credentials
        self._gate = gate

    async def __aenter__(self) -> Self:
        self._session = self._pool(MOST_CONNECTIONS)
        self._streams = self._pool(UNBOUNDED)  # they last for minutes, and must not keep requests waiting
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._streams.close()

    async def send(self, call: Call) -> Answer:
        """Send it once. Raises Refused unsent, and Unavailable or UnknownOutcome when there is no answer."""
        async with self._asked(self._session, call, _timeout(call.timeout_seconds)) as response:
            body = await _bounded(response, changes=call.changes)
            return Answer(response.status, body, "Retry-After" in response.headers)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        """Ask for what comes bit by bit; the call's timeout bounds each silence. Raises as `send` does."""
        bounds = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=call.timeout_seconds)
        async with self._asked(self._streams, call, bounds) as response:
            body = b"" if response.ok else await _bounded(response, changes=call.changes)
            yield Stream(response.status, body, response.content.iter_any())

    @asynccontextmanager
    async def _asked(
        self, session: aiohttp.ClientSession, call: Call, bounds: aiohttp.ClientTimeout
    ) -> AsyncIterator[ClientResponse]:
        headers = dict(self._gate.impersonation(call)) | await self._own_headers(call)
        try:
            async with session.request(
                call.method,
                URL(self._credentials.url + call.path, encoded=True).with_query(call.query),
                data=call.body,
                headers=headers,
                middlewares=(_Seal(headers, changes=call.changes),),
                allow_redirects=False,
                proxy=self._credentials.proxy,
                server_hostname=self._credentials.server_hostname,
                timeout=bounds,
            ) as response:
                yield response
        except LOST as error:
            raise error_of_failure(error, changes=call.changes) from error

    def _pool(self, connections: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=self._credentials.ssl_context),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
            trust_env=False,
        )

    async def _own_headers(self, call: Call) -> dict[str, str]:
        headers = {"Accept": METADATA if call.partial else OBJECT, "User-Agent": USER_AGENT}
        if call.body is not None:
            headers["Content-Type"] = OBJECT
        if authorization := await self._credentials.authorization():
            headers["Authorization"] = authorization
        return headers


class _Seal:
    """The last step before the wire: the header set is the one that was decided, or nothing is sent.

    It also stops aiohttp from sending a change a second time when a kept connection was closed under it.
    """

    def __init__(self, decided: Mapping[str, str], *, changes: bool) -> None:
        self._decided = {name.lower(): value for name, value in decided.items()}
        self._changes = changes

    async def __call__(self, request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        leaving = [(name.lower(), value) for name, value in request.headers.items()]
        framing = {"host": request.headers.get("Host"), "content-length": request.headers.get("Content-Length")}
        allowed = self._decided | {name: value for name, value in framing.items() if value is not None}
        if sorted(leaving) != sorted(allowed.items()):
            raise Refused("forbidden.headers", "The request was about to carry other headers, so nothing was sent.")
        try:
            return await send(request)
        except aiohttp.ClientError as error:
            if not self._changes:
                raise
            raise error_of_failure(error, changes=True) from error


async def _bounded(response: ClientResponse, *, changes: bool) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            message = "The API server's answer is too long."
            raise lost(message, changes=True) if changes else TooLong(message)
    return bytes(body)


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, connect=min(seconds, CONNECT_SECONDS))

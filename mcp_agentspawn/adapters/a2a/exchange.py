"""One request and its answer: bounded in bytes and time, and nothing followed, unpacked or sent along.

It is done below `httpx.AsyncClient`, where there are no redirects, cookies, proxies or credentials to be switched off.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from mcp_agentspawn.adapters.a2a.failures import Failed, Kind

MOST_ANSWER_BYTES = 24 * 1024 * 1024
"""Ten megabytes are said twice by kagent's runtime, as an artifact and as a message, and are to be cut, not refused."""
LARGE_BYTES = 1024 * 1024
MOST_LARGE_AT_ONCE = 3
READ_ASIDE_BYTES = 16 * 1024
"""What is longer is read in a thread: even the most crowded answer of this length is read in milliseconds."""
MOST_CONNECTIONS = 64
CONNECT_SECONDS = 3.0
IDLE_SECONDS = 2.0
"""Shorter than servers keep idle connections, so that a message is seldom written to one that is being closed."""
HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
SUCCESS = 200
UNAVAILABLE = 503
TOO_MANY = 429
NOT_FOUND = 404
SERVER_ERROR = 500
ABSENT = frozenset({NOT_FOUND, TOO_MANY})

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, of whom; `body` is `None` to fetch. `deadline` is the loop's time.

    `large` is taken for a large answer, so that no root takes more than one of the few places for these.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    deadline: float
    large: asyncio.Lock


class Exchange:
    """A bounded pool of connections, to be closed. Everything it raises is `Failed`, or what `read` raises.

    Large answers are few at a time, over all agents, and are read one after the other in a thread.
    """

    def __init__(self, *, secure: bool) -> None:
        limits = httpx.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=IDLE_SECONDS)
        # Where no TLS is spoken no authority is needed, and loading them costs megabytes.
        trusted = ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._transport = httpx.AsyncHTTPTransport(verify=trusted, trust_env=False, limits=limits)
        self._large = asyncio.Semaphore(MOST_LARGE_AT_ONCE)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="a2a-reader")

    async def close(self) -> None:
        """End all connections; what is being read is not waited for."""
        await self._transport.aclose()
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def ask(self, call: Call, read: Callable[[bytes], Read]) -> Read:
        """What `read` makes of the answer's body; a `ValueError` of it says that it can not be read."""
        sent = _Sent()
        try:
            async with asyncio.timeout_at(call.deadline):
                response = await self._transport.handle_async_request(_request(call, sent))
                try:
                    _check_head(response)
                    return await self._read(response, call.large, read)
                finally:
                    await response.aclose()
        except ValueError:
            raise Failed("unreadable") from None
        except (httpx.TransportError, TimeoutError, OSError):
            # What an agent sends may stand in the error's own text, so it is not kept.
            raise Failed(sent.came_to) from None

    async def _read(self, response: httpx.Response, own: asyncio.Lock, read: Callable[[bytes], Read]) -> Read:
        body = bytearray()
        async with AsyncExitStack() as room:
            async for chunk in response.aiter_raw():
                if len(body) <= LARGE_BYTES < len(body) + len(chunk):
                    await room.enter_async_context(own)
                    await room.enter_async_context(self._large)
                body += chunk
                if len(body) > MOST_ANSWER_BYTES:
                    raise Failed("too_large")
            if len(body) <= READ_ASIDE_BYTES:
                return read(bytes(body))
            return await asyncio.get_running_loop().run_in_executor(self._reader, read, bytes(body))


class _Sent:
    """How far a request has come, as its connection tells it: nothing is told before it has one."""

    def __init__(self) -> None:
        self.came_to: Kind = "crowded"

    async def hear(self, event: str, _: Mapping[str, Any]) -> None:
        if event.startswith("http11.send_request"):
            self.came_to = "lost"
        elif self.came_to == "crowded":
            self.came_to = "unsent"


def _request(call: Call, sent: _Sent) -> httpx.Request:
    headers = {**HEADERS, **call.headers, **({} if call.body is None else {"content-type": "application/json"})}
    extensions = {"timeout": {"connect": CONNECT_SECONDS}, "trace": sent.hear}
    method = "GET" if call.body is None else "POST"
    return httpx.Request(method, call.url, headers=headers, content=call.body, extensions=extensions)


def _check_head(response: httpx.Response) -> None:
    if response.status_code in ABSENT:
        raise Failed("absent")
    if response.status_code == UNAVAILABLE:
        raise Failed("away")
    if response.status_code >= SERVER_ERROR:
        raise Failed("lost")
    if response.status_code != SUCCESS:
        raise Failed("denied")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or response.headers.get("content-encoding", "identity") != "identity":
        raise Failed("unreadable")
    if int(response.headers.get("content-length", "0")) > MOST_ANSWER_BYTES:
        raise Failed("too_large")

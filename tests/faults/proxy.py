"""A proxy before the API server where requests are held, cut, delayed or lost: the product knows nothing of it."""

import asyncio
import random
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

LOOPBACK = "127.0.0.1"
ARRIVES_WITHIN_SECONDS = 20.0
QUIET_SECONDS = 0.3
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
)

Forward = Callable[[], Awaitable[web.Response]]
Effect = Callable[["Fault", web.BaseRequest, Forward], Awaitable[web.Response]]


class Fault:
    """What happens to the nth request that matches, once. The test sees it arrive and decides how it goes on."""

    def __init__(self, method: str, path: str, nth: int, effect: Effect) -> None:
        self._method = re.compile(rf"(?:{method})\Z")
        self._path = re.compile(path)
        self._left = nth
        self._effect = effect
        self._arrived = asyncio.Event()
        self._forwarded = asyncio.Event()
        self._answered = asyncio.Event()
        self._go_on: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def takes_watches(self) -> bool:
        """Whether it is about watches, which go their own way otherwise."""
        return "watch" in self._path.pattern

    def takes(self, request: web.BaseRequest) -> bool:
        """Whether this is the request that it waits for; counts those that match."""
        if self._left == 0 or not self._method.match(request.method) or not self._path.search(request.raw_path):
            return False
        self._left -= 1
        return self._left == 0

    async def strike(self, request: web.BaseRequest, forward: Forward) -> web.Response:
        """Let it happen."""
        self._arrived.set()

        async def forwarding() -> web.Response:
            answer = await forward()
            self._forwarded.set()
            return answer

        try:
            return await self._effect(self, request, forwarding)
        finally:
            self._answered.set()

    async def arrived(self) -> None:
        """Wait until the request has come to the proxy."""
        await asyncio.wait_for(self._arrived.wait(), ARRIVES_WITHIN_SECONDS)

    async def forwarded(self) -> None:
        """Wait until the API server has answered."""
        await asyncio.wait_for(self._forwarded.wait(), ARRIVES_WITHIN_SECONDS)

    async def over(self) -> None:
        """Wait until the proxy is done with the request: it has answered or cut it."""
        await asyncio.wait_for(self._answered.wait(), ARRIVES_WITHIN_SECONDS)

    @property
    def came(self) -> bool:
        """Whether the request has come to the proxy."""
        return self._arrived.is_set()

    def release(self) -> None:
        """Let a held request go on to the API server."""
        self._decide(to_go_on=True)

    def drop(self) -> None:
        """Let a held request never come to the API server; its connection is cut."""
        self._decide(to_go_on=False)

    async def decision(self) -> bool:
        """Wait until the test has said whether the request goes on."""
        return await self._go_on

    def _decide(self, *, to_go_on: bool) -> None:
        if not self._go_on.done():
            self._go_on.set_result(to_go_on)


async def hold(fault: Fault, request: web.BaseRequest, forward: Forward) -> web.Response:
    """Keep the request until the test says release or drop."""
    return await forward() if await fault.decision() else _cut(request)


async def hold_answer(fault: Fault, request: web.BaseRequest, forward: Forward) -> web.Response:
    """Let the API server do it, and keep its answer until the test says release or drop."""
    answer = await forward()
    return answer if await fault.decision() else _cut(request)


async def cut_before(_fault: Fault, request: web.BaseRequest, _forward: Forward) -> web.Response:
    """Cut the connection: the API server never sees the request."""
    return _cut(request)


async def cut_after(_fault: Fault, request: web.BaseRequest, forward: Forward) -> web.Response:
    """Let the API server do it, and lose its answer."""
    await forward()
    return _cut(request)


async def gateway_timeout(_fault: Fault, _request: web.BaseRequest, forward: Forward) -> web.Response:
    """Let the API server do it, and answer 504."""
    await forward()
    return web.Response(status=504, text="Gateway Timeout")


def delay(seconds: float) -> Effect:
    """Pass the request on later."""

    async def effect(_fault: Fault, _request: web.BaseRequest, forward: Forward) -> web.Response:
        await asyncio.sleep(seconds)
        return await forward()

    return effect


def answers(status: int, text: str = "", **headers: str) -> Effect:
    """Answer this; the API server never sees the request."""

    async def effect(_fault: Fault, _request: web.BaseRequest, _forward: Forward) -> web.Response:
        return web.Response(
            status=status, text=text, headers={name.replace("_", "-"): headers[name] for name in headers}
        )

    return effect


class Weather(Fault):
    """One effect on every request that matches, until it is ended."""

    def __init__(self, method: str, path: str, effect: Effect) -> None:
        super().__init__(method, path, 0, effect)
        self.ended = False

    def takes(self, request: web.BaseRequest) -> bool:
        """Whether this one is struck."""
        return not self.ended and bool(self._method.match(request.method) and self._path.search(request.raw_path))

    def end(self) -> None:
        """Let everything go its way again, also what is held."""
        self.ended = True
        self.release()


class Storm(Fault):
    """Faults at random, as long as it lasts: this share of all requests is cut, lost, answered 504 or late."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__("", "", 0, hold)
        self.share = share
        self._random = random.Random(seed)  # noqa: S311 - a test's dice, thrown the same way again

    def takes(self, request: web.BaseRequest) -> bool:
        """Whether this one is struck."""
        return self._random.random() < self.share

    async def strike(self, request: web.BaseRequest, forward: Forward) -> web.Response:
        """Do one of the things that can go wrong."""
        late = delay(self._random.uniform(0, 0.05))
        effect = self._random.choice([cut_before, cut_after, gateway_timeout, late])
        return await effect(self, request, forward)


class FaultProxy:
    """Plain HTTP on loopback before one API server; an async context manager.

    Credentials and impersonation travel on as they came. `forwarded` lists what the API server was sent.
    """

    def __init__(self, upstream: str, upstream_ssl: ssl.SSLContext | None = None) -> None:
        self._upstream = upstream
        self._upstream_ssl = upstream_ssl
        self._faults: list[Fault] = []
        self.forwarded: list[tuple[str, str]] = []
        self.url = ""
        self._under_way = 0
        self._last = 0.0

    def on(self, method: str, path: str, effect: Effect, *, nth: int = 1) -> Fault:
        """Add a fault for the nth request from now on of this method whose path and query hold the pattern."""
        fault = Fault(method, path, nth, effect)
        self._faults.append(fault)
        return fault

    def always(self, method: str, path: str, effect: Effect) -> "Weather":
        """Do this to every such request until it is ended."""
        weather = Weather(method, path, effect)
        self._faults.append(weather)
        return weather

    def clear(self) -> None:
        """Forget all faults, and what was forwarded so far."""
        for fault in self._faults:
            fault.drop()
        self._faults.clear()
        self.forwarded.clear()

    async def quiet(self) -> None:
        """Wait until no request is under way and none has come for a while."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ARRIVES_WITHIN_SECONDS):
            while self._under_way or loop.time() - self._last < QUIET_SECONDS:  # noqa: ASYNC110 - a bounded wait on a condition
                await asyncio.sleep(QUIET_SECONDS / 4)

    def storm(self, share: float, seed: int) -> Storm:
        """Let things go wrong at random; set its `share` to 0 to end it."""
        storm = Storm(share, seed)
        self._faults.append(storm)
        return storm

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._upstream_ssl or True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        self._listener = socket.create_server((LOOPBACK, 0))
        await web.SockSite(self._runner, self._listener).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fault in self._faults:
            fault.drop()
        # asyncio loses, and never closes, a connection that is being accepted while its server closes.
        asyncio.get_running_loop().remove_reader(self._listener)
        await asyncio.sleep(0)
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.query.get("watch") in {"1", "true"} and not any(fault.takes_watches for fault in self._faults):
            return await self._stream(request)
        self._under_way += 1
        try:
            return await self._treat(request)
        finally:
            self._under_way -= 1
            self._last = asyncio.get_running_loop().time()

    async def _treat(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        fault = next((fault for fault in self._faults if fault.takes(request)), None)
        if fault is None:
            return await self._forward(request, body)
        return await fault.strike(request, lambda: self._forward(request, body))

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        async with self._sent(request, body) as answer:
            return web.Response(status=answer.status, headers=_kept(answer.headers), body=await answer.read())

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        async with self._sent(request, b"") as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    def _sent(self, request: web.BaseRequest, body: bytes) -> Any:
        self.forwarded.append((request.method, request.raw_path))
        return self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=_kept(request.headers),
            data=body or None,
            allow_redirects=False,
        )


def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP | named)


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:  # it is gone already when the client was killed
        request.transport.abort()
    return web.Response(status=502)

"""An API server with one collection, which tells it as the real one does and fails as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import web

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.informer import Informer
from mcp_agentspawn.adapters.kubernetes.principals import Gate
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from tests.adapters.kubernetes.fake_api import ROOT, credentials

PATH = "/apis/example.dev/v1/namespaces/subagents/things"
Stored = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse] | None]
"""What becomes of a request; `None`: what should."""
CUT = b"cut"


@dataclass
class WatchedApi:
    """`objects` by name, the `log` of all that became of them, and a queue for each watch that is open.

    `faults` answer the next requests, one each, in place of it; `None` lets one through. `before` this version
    everything is forgotten. `knows_watch_lists`, `bookmarks`: what it is able to.
    """

    objects: dict[str, Stored] = field(default_factory=dict)
    log: list[tuple[int, str, Stored]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    before: int = 0
    knows_watch_lists: bool = True
    page: int = 2
    url: str = ""
    version: int = 0
    _watches: list[asyncio.Queue[bytes | None]] = field(default_factory=list)
    _lists: dict[str, list[Stored]] = field(default_factory=dict)
    _tokens: Iterator[int] = field(default_factory=lambda: count(1))

    def put(self, name: str, **said: Any) -> None:
        """Make or change one."""
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.version += 1
        stored = {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(self.version)}, **said}
        self.objects[name] = stored
        self._happened(kind, stored)

    def remove(self, name: str) -> None:
        """Remove one; nothing when there is none."""
        if name in self.objects:
            self.version += 1
            stored = self.objects.pop(name)
            metadata = {**stored["metadata"], "resourceVersion": str(self.version)}
            self._happened("DELETED", {**stored, "metadata": metadata})

    def say(self, line: bytes) -> None:
        """Say anything at all to everybody who watches."""
        for watch in self._watches:
            watch.put_nowait(line)

    def bookmark(self) -> None:
        self.version += 1
        self.say(bookmark(self.version))

    def end(self) -> None:
        """End all watches, as when their time is over."""
        for watch in self._watches:
            watch.put_nowait(None)
        self._watches.clear()

    def cut(self, part: bytes) -> None:
        """Break all connections after part of a line."""
        self.say(part)
        self.say(CUT)
        self._watches.clear()

    def forget(self) -> None:
        """No version that anybody has seen is known from now on."""
        self.version += 1
        self.before = self.version

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        fault = self.faults.pop(0)(request) if self.faults else None
        if fault is not None:
            return await fault
        if "watch" not in request.query:
            return self._list(request)
        initial = "sendInitialEvents" in request.query
        if initial and not self.knows_watch_lists:
            return failed(400, "sendInitialEvents is forbidden")
        if not initial and int(request.query["resourceVersion"]) < self.before:
            return failed(410, "too old resource version")
        return await self._watch(request, initial=initial)

    def _list(self, request: web.Request) -> web.Response:
        token = request.query.get("continue") or f"{next(self._tokens)}/{self.version}"
        number, version = token.split("/")[:2]
        rest = self._lists.setdefault(number, list(self.objects.values()))
        items, self._lists[number] = rest[: self.page], rest[self.page :]
        metadata = {"resourceVersion": version} | ({"continue": token} if self._lists[number] else {})
        return web.json_response({"metadata": metadata, "items": items})

    async def _watch(self, request: web.Request, *, initial: bool) -> web.StreamResponse:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for told in self._begin(request, initial=initial):
            queue.put_nowait(told)
        self._watches.append(queue)
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await queue.get()) is not None:
            if line is CUT:
                assert request.transport is not None
                request.transport.close()
                break
            await response.write(line)
        return response

    def _begin(self, request: web.Request, *, initial: bool) -> list[bytes]:
        if initial:
            told = [event("ADDED", stored) for stored in self.objects.values()]
            return [*told, bookmark(self.version, end=True)]
        since = int(request.query["resourceVersion"])
        return [event(kind, stored) for version, kind, stored in self.log if version > since]

    def _happened(self, kind: str, stored: Stored) -> None:
        self.log.append((self.version, kind, stored))
        self.say(event(kind, stored))


def event(kind: str, stored: Stored) -> bytes:
    return json.dumps({"type": kind, "object": stored}).encode() + b"\n"


def bookmark(version: int, *, end: bool = False) -> bytes:
    annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if end else {}
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version), **annotations}})


def failed(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


def answers(code: int) -> Fault:
    """A fault: this status."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return failed(code, "no")

    return answer


async def hangs(request: web.Request) -> web.StreamResponse:
    """A fault: never an answer."""
    await asyncio.Event().wait()
    raise AssertionError


def only(line: bytes) -> Fault:
    """A fault: a watch that says this and ends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=line)

    return answer


def passes(request: web.Request) -> None:
    """No fault."""


@dataclass
class Remembered:
    """Records as they are, and how often everything was read again."""

    objects: dict[str, Any] = field(default_factory=dict)
    renewed: int = 0

    def put(self, name: str, stored: Any) -> None:
        self.objects[name] = stored

    def drop(self, name: str) -> None:
        self.objects.pop(name, None)

    def names(self) -> set[str]:
        return set(self.objects)

    def read_again(self) -> None:
        self.renewed += 1


@dataclass
class Pauses:
    """Passes at once, and writes down how long it would have been."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0.001)


@dataclass
class Watching:
    """An informer at work."""

    api: WatchedApi
    informer: Informer
    records: Remembered
    pauses: Pauses

    def agrees(self) -> bool:
        """Whether it knows what is there and nothing else."""
        return self.informer.synced and self.records.objects == self.api.objects


@asynccontextmanager
async def watched_api() -> AsyncIterator[WatchedApi]:
    api = WatchedApi()
    application = web.Application()
    application.router.add_get("/{path:.*}", api.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        api.end()
        await runner.cleanup()


@asynccontextmanager
async def watching(api: WatchedApi) -> AsyncIterator[Watching]:
    records, pauses = Remembered(), Pauses()
    async with Transport(credentials(api.url), Gate([ROOT])) as transport:
        informer = Informer(Client(transport), "things", PATH, records, pause=pauses)
        running = asyncio.create_task(informer.run())
        try:
            yield Watching(api, informer, records, pauses)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

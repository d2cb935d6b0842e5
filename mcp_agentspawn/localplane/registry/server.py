"""The stand-in itself: an HTTP server on the loopback interface, for as long as a block lasts."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from mcp_agentspawn.localplane.registry import current, cursors, inventory, legacy, wire
from mcp_agentspawn.localplane.registry.answers import Answer, Refused, page_of_the_site, problem, unauthorized
from mcp_agentspawn.localplane.registry.cursors import Dialect
from mcp_agentspawn.localplane.registry.faults import ELSEWHERE, Call, Fault, Slow
from mcp_agentspawn.localplane.registry.parameters import Query
from mcp_agentspawn.localplane.registry.published import Content

LOOPBACK = "127.0.0.1"
STOP_WITHIN_SECONDS = 1.0
DIALECTS: Mapping[Dialect, Callable[[Content, Sequence[str], Query], Any]] = {
    "v0.4": current.answer,
    "v0.3": legacy.answer,
    "inventory": inventory.answer,
}
PROBES: Mapping[str, Mapping[str, Any]] = {
    "/v0/ping": {"pong": True},
    "/v0/health": {"status": "ok", "platform_mode": "kubernetes"},
    "/v0/version": {"version": "dev", "git_commit": "unknown", "build_time": "unknown"},
}


@dataclass(slots=True)
class Seen:
    """A request that came in. No header's value is kept."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    header_names: tuple[str, ...]
    bearer_shown: bool
    """Whether it carried the token that the stand-in asks for."""
    sent: int = 0
    """How many bytes of an answer it was given."""


class Standin:
    """A registry that runs. All of it may be changed meanwhile."""

    def __init__(self, content: Content, dialect: Dialect, bearer: str) -> None:
        self.content, self.dialect, self.bearer = content, dialect, bearer
        self.faults: list[Fault] = []
        self.requests: list[Seen] = []
        self.held = 0
        self.url = ""
        self._struck: Counter[int] = Counter()
        self._pages: dict[str, int] = {}
        self._released = asyncio.Event()
        self._closing = False

    def inject(self, *faults: Fault) -> None:
        """From now on these are wrong, and nothing else is."""
        self.faults = list(faults)
        self._struck.clear()

    def heal(self) -> None:
        """Nothing is wrong any more, and nobody waits."""
        self.inject()
        self.release()

    def release(self) -> None:
        """Answer those who wait now."""
        self._released.set()
        self._released = asyncio.Event()

    def close(self) -> None:
        """Answer those who wait, and let nobody wait again."""
        self._closing = True
        self._released.set()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, as wrong as it is meant to be."""
        seen = self._note(request)
        call = self._call(request)
        faults = [fault for fault in self.faults if self._strikes(fault, call)]
        for fault in faults:
            if isinstance(fault, Slow):
                await self._pause(fault.seconds)
        answer = self._answer(seen, call, request.query)
        if answer.status == HTTPStatus.OK:
            for fault in faults:
                answer = fault.spoil(answer, call)
        self._remember(answer, call)
        for fault in faults:
            fault.afterwards(call)

        def count(sent: int) -> None:
            seen.sent += sent

        return await wire.send(request, answer, faults, self._pause, count)

    def _note(self, request: web.BaseRequest) -> Seen:
        shown = bool(self.bearer) and request.headers.get("Authorization") == f"Bearer {self.bearer}"
        names = tuple(request.headers)
        seen = Seen(request.method, request.path, tuple(request.query.items()), names, shown)
        self.requests.append(seen)
        return seen

    def _call(self, request: web.BaseRequest) -> Call:
        cursor = request.query.get("cursor", "")
        page = self._pages.get(cursor, 1)
        path = request.rel_url.raw_path
        return Call(self.dialect, path, request.path_qs, cursor, page, self.content)

    def _strikes(self, fault: Fault, call: Call) -> bool:
        if not fault.strikes(call, self._struck[id(fault)]):
            return False
        self._struck[id(fault)] += 1
        return True

    def _answer(self, seen: Seen, call: Call, query: Query) -> Answer:
        path = call.path.removeprefix(ELSEWHERE)
        if path in PROBES:
            return Answer(PROBES[path])
        if not path.startswith("/v0/"):
            return page_of_the_site()
        if self.bearer and not seen.bearer_shown:
            return unauthorized()
        if path.endswith("/"):
            return Answer(raw=b"", status=308, headers={"Location": path.rstrip("/")})
        try:
            return self._found(seen.method, path, query)
        except Refused as refused:
            return problem(refused)

    def _found(self, method: str, path: str, query: Query) -> Answer:
        if method != "GET":
            raise Refused(405, "Method Not Allowed")
        segments = [unquote(segment) for segment in path.removeprefix("/v0/").split("/")]
        return Answer(DIALECTS[self.dialect](self.content, segments, query))

    def _remember(self, answer: Answer, call: Call) -> None:
        if isinstance(answer.document, dict):
            with contextlib.suppress(AttributeError):  # spoilt: then nothing leads on
                if cursor := cursors.next_of(answer.document):
                    self._pages[cursor] = call.page + 1

    async def _pause(self, seconds: float | None) -> None:
        if self._closing:
            return
        self.held += 1
        try:
            async with asyncio.timeout(seconds):
                await self._released.wait()
        except TimeoutError:
            pass
        finally:
            self.held -= 1


@contextlib.asynccontextmanager
async def registry_standin(
    content: Content | None = None, *, dialect: Dialect = "v0.4", bearer: str = "", port: int = 0
) -> AsyncIterator[Standin]:
    """Run a stand-in until the block ends; nothing of it is left then."""
    standin = Standin(content or Content(), dialect, bearer)
    runner = web.ServerRunner(web.Server(standin.serve, access_log=None), shutdown_timeout=STOP_WITHIN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        await site.start()
        standin.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
        yield standin
    finally:
        standin.close()
        await runner.cleanup()

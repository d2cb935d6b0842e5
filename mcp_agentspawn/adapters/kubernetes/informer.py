"""Knows all objects of one collection: reads them once, then follows what becomes of them, for as long as it runs.

All are read by a watch that tells first what is there (WatchList), or in pages. A read that fails is tried the other
way, so that an API server which knows but one of them is read as well. What was cut is gone on from where it was; when
the API server has forgotten that, or says what can not be read, all is read again, and what is gone by then leaves.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn, Protocol

from mcp_agentspawn.adapters.kubernetes.errors import ReadAgain, read
from mcp_agentspawn.adapters.kubernetes.resources import PAGE
from mcp_agentspawn.adapters.kubernetes.watching import BOOKMARK, DELETED, PUT, Event, each
from mcp_agentspawn.core.errors import Unavailable, Upstream

SILENCE_SECONDS = 150.0
"""A bookmark comes each minute: whoever says nothing for so long is gone."""
INITIAL_SECONDS = 120.0
"""For all that is there, told by a watch. One that does not end then is of a server that does not know how."""
LEAST_WATCH_SECONDS, MOST_WATCH_SECONDS = 300, 600
LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS = 0.2, 30.0
MOST_DOUBLINGS = 10
HEALTHY_SECONDS = 60.0
PATIENCE = 5
"""After so many failures in a row all is read again: an API server that was restored knows no such version."""
GRACE_SECONDS = 10.0
"""A watch that is begun anew so soon was not missed."""
INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


class Source(Protocol):
    """What an informer needs of a client."""

    def stream(
        self, path: str, query: Mapping[str, str], *, silence_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """See `client.Client.stream`."""
        ...

    def pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """See `client.Client.pages`."""
        ...


class Records(Protocol):
    """What is kept of a collection's objects, by name."""

    def put(self, name: str, stored: Mapping[str, Any]) -> None:
        """Keep what is needed of an object; never raises for its content."""
        ...

    def drop(self, name: str) -> None:
        """It is gone; so may it have been before."""
        ...

    def names(self) -> Collection[str]:
        """Of all that are kept."""
        ...

    def read_again(self) -> None:
        """All that is there was put, and nothing else is kept."""
        ...


class Informer:
    """Keeps the records of one collection up to date while `run` runs. `what` names it for people."""

    def __init__(
        self,
        source: Source,
        what: str,
        path: str,
        records: Records,
        *,
        selector: str = "",
        page: int = PAGE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.what = what
        self._source = source
        self._path = path
        self._records = records
        self._selector = {"labelSelector": selector} if selector else {}
        self._page = page
        self._clock = clock
        self._pause = pause
        self._version = ""
        self._in_pages = False
        self._failures = 0
        self._synced = False
        self._problem = ""
        self._broken_at: float | None = clock()
        self._heard_at = clock()
        self._told: set[str] = set()
        self._deadline = 0.0

    @property
    def synced(self) -> bool:
        """Whether all that is there was read at least once."""
        return self._synced

    @property
    def problem(self) -> str:
        """What keeps it from watching; `""` for nothing that lasts."""
        return f"{self.what}: {self._problem}" if self._problem and not self.watching else ""

    @property
    def watching(self) -> bool:
        """Whether it was read, and is being watched but for a moment."""
        missed = self._broken_at is not None and self._clock() - self._broken_at >= GRACE_SECONDS
        return self._synced and not missed

    @property
    def tried(self) -> bool:
        """Whether it was read, or can not be for now."""
        return self._synced or bool(self._problem)

    @property
    def age_seconds(self) -> float:
        """How long ago the API server said anything of it."""
        return self._clock() - self._heard_at

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        while True:
            began = self._clock()
            try:
                await self._watch()
                self._problem = "The watch ended."
            except Upstream as error:
                self._give_up(error)
            finally:
                self._broken_at = self._clock() if self._broken_at is None else self._broken_at
            self._failures = 1 if self._clock() - began >= HEALTHY_SECONDS else self._failures + 1
            await self._pause(_pause_after(self._failures))

    async def _watch(self) -> None:
        """Until the connection ends."""
        if self._version:
            await self._follow({"resourceVersion": self._version})
        elif self._in_pages:
            await self._read_pages()
            await self._follow({"resourceVersion": self._version})
        else:
            await self._follow_from_the_start()

    def _give_up(self, error: Upstream) -> None:
        self._problem = str(error)
        if not self._version:
            self._in_pages = not self._in_pages
        if isinstance(error, ReadAgain) or self._failures >= PATIENCE:
            self._version = ""

    async def _follow_from_the_start(self) -> None:
        """What is there is told as if it had just been made, until a bookmark says that this was all."""
        self._told, self._deadline = set(), self._clock() + INITIAL_SECONDS
        async with self._stream(INITIAL) as chunks:
            await each(chunks, self._take_initial)
        if not self._version:
            raise Unavailable("The API server did not say to the end what is there.")

    def _take_initial(self, event: Event) -> None:
        if self._version:
            self._take_news(event)
            return
        self._take(event)
        self._told.add(event.name)
        if event.ends_the_initial:
            self._complete(self._told, event.version)
        elif self._clock() > self._deadline:
            raise Unavailable("The API server does not say when it has told what is there.")

    async def _read_pages(self) -> None:
        told: set[str] = set()
        version = ""
        async for page in self._source.pages(self._path, {"limit": str(self._page), **self._selector}):
            for name, stored in read(_named_objects, page):
                self._records.put(name, stored)
                told.add(name)
            version = read(lambda page: str(page["metadata"]["resourceVersion"]), page)
            await asyncio.sleep(0)
        self._complete(told, version)

    async def _follow(self, query: Mapping[str, str]) -> None:
        async with self._stream(query) as chunks:
            self._connected()
            await each(chunks, self._take_news)

    def _take_news(self, event: Event) -> None:
        self._take(event)
        self._version = event.version

    def _stream(self, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        seconds = random.randint(LEAST_WATCH_SECONDS, MOST_WATCH_SECONDS)  # noqa: S311 - no secret
        common = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds), **self._selector}
        return self._source.stream(self._path, {**common, **query}, silence_seconds=SILENCE_SECONDS)

    def _take(self, event: Event) -> None:
        self._heard_at = self._clock()
        if event.kind in PUT:
            self._records.put(event.name, event.stored)
        elif event.kind == DELETED:
            self._records.drop(event.name)
        elif event.kind != BOOKMARK:
            raise ReadAgain("The API server said what nobody knows.")

    def _complete(self, told: Collection[str], version: str) -> None:
        for name in set(self._records.names()) - set(told):
            self._records.drop(name)
        self._records.read_again()
        self._told = set()
        self._version = version
        self._synced = True
        self._connected()

    def _connected(self) -> None:
        self._heard_at = self._clock()
        self._broken_at = None
        self._problem = ""


def _named_objects(page: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(item["metadata"]["name"]), item) for item in page["items"]]


def _pause_after(failures: int) -> float:
    """Twice as long each time; replicas that were cut together do not come back together."""
    longest = min(LEAST_PAUSE_SECONDS * 2.0 ** min(failures - 1, MOST_DOUBLINGS), MOST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

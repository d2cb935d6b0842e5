"""Registries that are read in the background, by processes of their own; what was read last is what is searched."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import structlog

from mcp_agentspawn.adapters.registry.breaker import Backoff
from mcp_agentspawn.adapters.registry.client import TIMEOUTS_OF_A_READING, Client
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.helpers import HelperFailed, helped
from mcp_agentspawn.adapters.registry.indexes import Indexes, Scopes
from mcp_agentspawn.adapters.registry.items import Dialect
from mcp_agentspawn.adapters.registry.jobs import CRASHED, IndexJob, ReadJob, ReadReport, index_files
from mcp_agentspawn.adapters.registry.known import Known
from mcp_agentspawn.adapters.registry.reading import read_one
from mcp_agentspawn.adapters.registry.scratch import scratch_folder
from mcp_agentspawn.adapters.registry.weighing import weighed
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ports import Clock
from mcp_agentspawn.core.registry import Handle, Page, Query, RegistryEntry, Standing, View

READER = "mcp_agentspawn.adapters.registry.read_worker"
INDEXER = "mcp_agentspawn.adapters.registry.index_worker"
READERS_AT_ONCE = 2
WEIGHING_SECONDS = 300.0
"""How much longer than the reading itself the helper may take, to look through what it read."""
INDEXING_SECONDS = 120.0
ONE_SECONDS = 4.0
ONE_BYTES = 2 * 1024 * 1024
"""What it may take to read a single entry, while a caller waits."""
OF_THE_ENTRY = frozenset(
    {"registry.bad_request", "registry.dialect", "registry.too_large", "registry.unreadable_entry"}
)
"""What may be wrong with one entry alone: whoever asks for it again and again does not keep others from theirs."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a reading came to: how the registry stands now, how many entries are known, and its problems, counted."""

    standing: Standing
    entries: int
    problems: Mapping[str, int]
    succeeded: bool


class LiveRegistries:
    """Real registries (`core.registry.Registries`); an async context manager.

    Call `show` with what the policies show, at the start and whenever it changes, and `refresh` again and again: every
    few seconds, and when `wanted` is set. `stop` ends a pass early. `refreshed` is told of every reading.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], clock: Clock) -> None:
        self.wanted = asyncio.Event()
        self.refreshed: Callable[[Refreshed], None] = lambda _: None
        self._clock = clock
        self._known = {name: Known(endpoints[name], clock) for name in sorted(endpoints)}
        self._shown: frozenset[Scopes] = frozenset()
        self._indexed: dict[Scopes, Mapping[str, str]] = {}
        self._indexing = Backoff()
        self._places = asyncio.Semaphore(READERS_AT_ONCE)
        self._news = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def __aenter__(self) -> Self:
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(scratch_folder())
        self._indexes = Indexes()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with self._stack:
            await asyncio.gather(*self._running, return_exceptions=True)
            await self._indexes.close()

    def show(self, views: Collection[View]) -> None:
        """From now on these are searched. Until a new one is indexed, which needs no registry, it has its templates."""
        self._shown = frozenset(view.scopes for view in views)
        self._news.set()
        self.wanted.set()

    def stop(self) -> None:
        """End the pass that is under way, and its helpers, now; there is no other one."""
        self._stopped = True
        self._news.set()
        for task in self._running:
            task.cancel()

    async def find(self, view: View, query: Query) -> Page:
        """See `core.registry.Registries.find`."""
        return await self._indexes.find(view, query)

    async def read(self, handle: Handle) -> RegistryEntry | None:
        """See `core.registry.Registries.read`. A registry that was never read is not asked for one entry either."""
        known = self._known.get(handle.registry)
        if known is None or known.dialect is None:
            raise Unavailable(f"There is no registry {handle.registry}, or it was never read.")
        if not known.breaker.admits():
            raise Unavailable(f"Registry {handle.registry} failed so often that it is not asked at the moment.")
        try:
            found = await _one(known, known.dialect, handle)
        except ReadingFailed as failure:
            (known.breaker.left if failure.code in OF_THE_ENTRY else known.breaker.failed)()
            raise
        except BaseException:
            known.breaker.left()
            raise
        known.breaker.succeeded()
        return None if found is None else await asyncio.to_thread(weighed, found)

    def standings(self) -> Sequence[Standing]:
        """See `core.registry.Registries.standings`."""
        return [known.standing() for known in self._known.values()]

    async def refresh(self) -> None:
        """One pass: read what is due, each registry apart from the others, and index whatever is new at once."""
        self._forget()
        begun = [self._begin(self._read(known)) for known in self._known.values() if known.due and not self._stopped]
        try:
            while not self._stopped:
                self._news.clear()
                begun.append(self._begin(self._index()))
                await asyncio.wait(begun[-1:])
                if all(task.done() for task in begun) and not self._news.is_set():
                    break
                await self._news.wait()
        finally:
            await _ended(begun)
        self._sweep()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _forget(self) -> None:
        for known in self._known.values():
            known.forget_what_is_old()
            _log_change(known)

    async def _read(self, known: Known) -> None:
        try:
            async with self._places:
                report = await self._report(ReadJob(self._folder, known.endpoint, known.snapshot))
            known.take(report)
            _log_change(known)
            self.refreshed(Refreshed(known.standing(), known.entries, known.problems, bool(report.snapshot)))
        finally:
            self._news.set()

    async def _report(self, job: ReadJob) -> ReadReport:
        seconds = TIMEOUTS_OF_A_READING * job.endpoint.timeout + WEIGHING_SECONDS
        try:
            report = ReadReport.read(await helped(READER, job.document(), seconds))
        except (HelperFailed, ValueError) as error:
            log.error("a registry's reader failed", registry=job.endpoint.name, error=str(error))  # noqa: TRY400 - our own words only
            return ReadReport.failed(CRASHED)
        return report

    async def _index(self) -> None:
        """Make the indexes of what is shown and not indexed as it is known now; drop all others."""
        sources = {scopes: self._sources(scopes) for scopes in self._shown}
        await self._indexes.keep([scopes for scopes, source in sources.items() if source])
        self._indexed = {scopes: self._indexed.get(scopes, {}) if source else {} for scopes, source in sources.items()}
        outdated = [scopes for scopes, source in sources.items() if self._indexed[scopes] != source]
        if not outdated or not self._indexing.over(self._clock.now()):
            return
        try:
            await self._build({scopes: sources[scopes] for scopes in outdated})
            self._indexing = Backoff()
        except (HelperFailed, ValueError, OSError, sqlite3.Error) as error:
            self._indexing = self._indexing.failed(self._clock.now(), random.random)
            log.error("an index could not be made", error=type(error).__name__)  # noqa: TRY400 - its text may quote

    def _sources(self, scopes: Scopes) -> Mapping[str, str]:
        """The files that an index of these scopes is made of, by registry."""
        named = {name: self._known[name].snapshot for name in View(scopes).registries if name in self._known}
        return {name: snapshot for name, snapshot in named.items() if snapshot}

    async def _build(self, wanted: Mapping[Scopes, Mapping[str, str]]) -> None:
        snapshots = {name: file for sources in wanted.values() for name, file in sources.items()}
        views = {f"view-{number}": View(scopes) for number, scopes in enumerate(wanted)}
        job = IndexJob(self._folder, snapshots, views)
        files = index_files(await helped(INDEXER, job.document(), INDEXING_SECONDS), job)
        for name, view in views.items():
            await self._indexes.put(view.scopes, files[name])
            self._indexed[view.scopes] = wanted[view.scopes]

    def _sweep(self) -> None:
        """Remove what is known no more, and what a helper that ended early left there."""
        if self._stopped:
            return  # the folder goes as a whole
        current = {known.snapshot for known in self._known.values()}
        for file in self._folder.iterdir():
            if file.name not in current:
                file.unlink()


async def _one(known: Known, dialect: Dialect, handle: Handle) -> RegistryEntry | None:
    endpoint = replace(
        known.endpoint,
        timeout=min(ONE_SECONDS, known.endpoint.timeout),
        most_bytes=min(ONE_BYTES, known.endpoint.most_bytes),
    )
    try:
        async with asyncio.timeout(ONE_SECONDS), Client(endpoint) as client:
            return await read_one(client, dialect, handle, handle.registry)
    except TimeoutError:
        raise ReadingFailed("registry.timeout", "no answer in time") from None


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let none of them go on, and none of their errors be lost. Whoever was cancelled already is cleaning up."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def _log_change(known: Known) -> None:
    now = known.standing()
    state = (now.freshness, now.problems)
    if state == known.told:
        return
    known.told = state
    tell = log.info if now.freshness == "fresh" else log.warning
    tell(
        "a registry changed its state",
        registry=now.registry,
        freshness=now.freshness,
        problems=dict(known.problems),
        entries=known.entries,
    )

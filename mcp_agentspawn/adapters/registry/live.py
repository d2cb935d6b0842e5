"""Registries that are read in the background, by processes of their own; what was read last is what is searched."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from mcp_agentspawn.adapters.registry.client import TIMEOUTS_OF_A_READING, Client
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.helpers import HelperFailed, helped
from mcp_agentspawn.adapters.registry.indexes import Scopes
from mcp_agentspawn.adapters.registry.indexing import Indexing
from mcp_agentspawn.adapters.registry.items import Dialect
from mcp_agentspawn.adapters.registry.jobs import CRASHED, ReadJob, ReadReport
from mcp_agentspawn.adapters.registry.known import Known
from mcp_agentspawn.adapters.registry.reading import read_one
from mcp_agentspawn.adapters.registry.scratch import scratch_folder
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ports import Clock
from mcp_agentspawn.core.registry import UNREADABLE_ENTRY, Handle, Page, Query, RegistryEntry, Standing, View

READER = "mcp_agentspawn.adapters.registry.read_worker"
READERS_AT_ONCE = 4
"""Each registry has one place, so that a slow one does not hold up the others."""
LOOKS_EVERY_SECONDS = 1.0
WEIGHING_SECONDS = 300.0
"""How much longer than the reading itself the helper may take, to look through what it read."""
ONE_SECONDS = 3.0
ONE_BYTES = 2 * 1024 * 1024
"""What it may take to read a single entry, while a caller waits whose call has to be answered in its time too."""
OF_THE_REGISTRY = frozenset({"registry.slowed", "registry.timeout", "registry.tls", "registry.unreachable"})
"""What is no answer at all. Whatever else one entry answers, nobody keeps others from theirs by asking for it."""
OF_THE_ENTRY = frozenset({"registry.bad_request", "registry.dialect", "registry.too_large", UNREADABLE_ENTRY})
"""What may be wrong with one entry alone: then there is no such entry, whether it is hidden from the caller or not."""

Task = asyncio.Task[None]

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
        self._known = {name: Known(endpoints[name], clock) for name in sorted(endpoints)}
        self._indexing = Indexing(self._known, clock)
        self._places = asyncio.Semaphore(READERS_AT_ONCE)
        self._news = asyncio.Event()
        self._reading: dict[str, Task] = {}
        self._making: dict[Scopes, Task] = {}
        self._passing = asyncio.Lock()
        self._stopped = False

    async def __aenter__(self) -> Self:
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(scratch_folder())
        self._indexing.open(self._folder)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with self._stack:
            async with self._passing:
                await self._indexing.close()

    def show(self, views: Collection[View]) -> None:
        """From now on these are searched. Until a new one is indexed, which needs no registry, it has its templates."""
        self._indexing.show(views)
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
        return await self._indexing.find(view, query)

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
            (known.breaker.failed if failure.code in OF_THE_REGISTRY else known.breaker.left)()
            if failure.code in OF_THE_ENTRY:
                return None
            raise
        except BaseException:
            known.breaker.left()
            raise
        known.breaker.succeeded()
        return found

    def standings(self) -> Sequence[Standing]:
        """See `core.registry.Registries.standings`."""
        return [self._indexing.standing(known.standing()) for known in self._known.values()]

    async def refresh(self, *, again: bool = True) -> None:
        """One pass: read what is due, each registry apart from the others, and index whatever is new at once.

        What becomes due while others are still read is read too, unless `again` is denied.
        """
        async with self._passing:
            try:
                await self._pass(again=again)
            finally:
                await self._end()

    async def _pass(self, *, again: bool) -> None:
        begun = set[str]()
        while not self._stopped:
            self._news.clear()
            await self._take_ended()
            begun |= self._begin(set() if again else begun)
            if not self._running and not self._news.is_set():
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOKS_EVERY_SECONDS)

    @property
    def _running(self) -> Sequence[Task]:
        return [*self._reading.values(), *self._making.values()]

    async def _take_ended(self) -> None:
        """What is over changed what is known, or its error is one of ours."""
        for task in [task for task in self._running if task.done()]:
            task.result()
        self._reading = {name: task for name, task in self._reading.items() if not task.done()}
        self._making = {scopes: task for scopes, task in self._making.items() if not task.done()}
        self._forget()
        await self._indexing.settle()
        self._sweep()

    def _begin(self, but: set[str]) -> set[str]:
        """Begin what is due, but the readings of these; the readings that were begun."""
        due = {name for name, known in self._known.items() if known.due} - self._reading.keys() - but
        self._reading |= {name: self._task(self._read(self._known[name])) for name in sorted(due)}
        for scopes in self._indexing.due(self._making.keys()):
            self._making[scopes] = self._task(self._indexing.make(scopes))
        return due

    def _task(self, work: Coroutine[Any, Any, None]) -> Task:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._news.set())
        return task

    async def _end(self) -> None:
        """Let nothing go on, and no error be lost. Whoever was cancelled already is cleaning up."""
        running, self._reading, self._making = self._running, {}, {}
        for task in running:
            if not task.cancelling():
                task.cancel()
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _forget(self) -> None:
        """Not while it is read: its reader looks at what is known."""
        for name in self._known.keys() - self._reading.keys():
            self._known[name].forget_what_is_old()
            _log_change(self._known[name])

    async def _read(self, known: Known) -> None:
        async with self._places:
            report = await self._report(ReadJob(self._folder, known.endpoint, known.snapshot))
        known.take(report)
        _log_change(known)
        self.refreshed(Refreshed(known.standing(), known.entries, known.problems, bool(report.snapshot)))

    async def _report(self, job: ReadJob) -> ReadReport:
        seconds = TIMEOUTS_OF_A_READING * job.endpoint.timeout + WEIGHING_SECONDS
        try:
            report = ReadReport.read(await helped(READER, job.document(), seconds))
        except (HelperFailed, ValueError) as error:
            log.error("a registry's reader failed", registry=job.endpoint.name, error=str(error))  # noqa: TRY400 - our own words only
            return ReadReport.failed(CRASHED)
        return report

    def _sweep(self) -> None:
        """Remove what is known no more, and what a helper that ended early left there."""
        for file in self._folder.iterdir():
            if not self._is_needed(file):
                file.unlink(missing_ok=True)

    def _is_needed(self, file: Path) -> bool:
        """Of what is read just now all is: its reader has not said yet which file is the new one."""
        registry, *_ = file.name.split(".")
        current = {known.snapshot for known in self._known.values()}
        return file.name in current or registry in self._reading or self._indexing.needs(file.name)


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
        problems=sorted(known.problems),
        entries=known.entries,
    )

"""Keeps an index of what was read for each set of scopes, each made by a helper of its own: none waits for another."""

import random
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

import structlog

from mcp_agentspawn.adapters.registry.breaker import Backoff
from mcp_agentspawn.adapters.registry.helpers import HelperFailed, helped
from mcp_agentspawn.adapters.registry.indexes import Indexes, Scopes
from mcp_agentspawn.adapters.registry.jobs import IndexJob, check_indexed
from mcp_agentspawn.adapters.registry.known import Known
from mcp_agentspawn.core.ports import Clock
from mcp_agentspawn.core.registry import Page, Query, Standing, View

INDEXER = "mcp_agentspawn.adapters.registry.index_worker"
INDEXING_SECONDS = 120.0
INDEXERS_AT_ONCE = 2
NOT_INDEXED = "registry.not_indexed"
"""What is searched is not what was read last: its index is being made, or could not be made."""

Sources = Mapping[str, str]
"""The files that an index is made of, by registry."""

log = structlog.get_logger()


@dataclass(slots=True)
class Shown:
    """One set of scopes: of which files the index that is searched was made, and how current they were."""

    file: str
    searched: Sources = field(default_factory=dict)
    as_of: dict[str, datetime | None] = field(default_factory=dict)
    backoff: Backoff = field(default_factory=Backoff)


class Indexing:
    """The indexes of what is shown. Call `settle` after every change, and `make` for each that is then `due`."""

    def __init__(self, known: Mapping[str, Known], clock: Clock) -> None:
        self._known = known
        self._clock = clock
        self._numbers = count()
        self._shown: dict[Scopes, Shown] = {}
        self._making: dict[str, Sources] = {}

    def open(self, folder: Path) -> None:
        """Work in this folder from now on."""
        self._folder = folder
        self._indexes = Indexes()

    async def close(self) -> None:
        """Nothing more is asked of it."""
        await self._indexes.close()

    async def find(self, view: View, query: Query) -> Page:
        """See `core.registry.Registries.find`."""
        return await self._indexes.find(view, query)

    def show(self, views: Collection[View]) -> None:
        """From now on these are searched."""
        wanted = {view.scopes for view in views}
        kept = {scopes: shown for scopes, shown in self._shown.items() if scopes in wanted}
        self._shown = kept | {scopes: Shown(f"view-{next(self._numbers)}.index") for scopes in wanted - kept.keys()}

    async def settle(self) -> None:
        """Drop the indexes of which nothing is known any more; note how current all others are."""
        sources = {scopes: self._sources(scopes) for scopes in self._shown}
        await self._indexes.keep([scopes for scopes, source in sources.items() if source])
        for scopes, shown in self._shown.items():
            if not sources.get(scopes):
                shown.searched, shown.as_of = {}, {}
            for name, file in shown.searched.items():
                if file == self._known[name].snapshot:
                    shown.as_of[name] = self._known[name].as_of

    def due(self, making: Collection[Scopes]) -> Iterator[Scopes]:
        """Which ones to make now beside these; whichever was made last comes last.

        Of those in which the same registry is the largest, one at a time: views without it do not wait for it.
        """
        taken, places = {self._largest(scopes) for scopes in making}, INDEXERS_AT_ONCE - len(making)
        waiting = [scopes for scopes in self._shown if scopes not in making and self._is_outdated(scopes)]
        for scopes in waiting:
            largest = self._largest(scopes)
            if places > 0 and largest not in taken:
                taken, places = taken | {largest}, places - 1
                yield scopes

    async def make(self, scopes: Scopes) -> None:
        """Make the index of these scopes as they are known now, and search it."""
        shown, sources = self._shown.pop(scopes), self._sources(scopes)
        self._shown[scopes] = shown
        as_of = {name: self._known[name].as_of for name in sources}
        self._making[shown.file] = sources
        try:
            await self._made(IndexJob(self._folder, shown.file, sources, View(scopes)))
            shown.searched, shown.as_of, shown.backoff = sources, as_of, Backoff()
        except (HelperFailed, ValueError, OSError, sqlite3.Error) as error:
            shown.backoff = shown.backoff.failed(self._clock.now(), random.random)
            log.error("an index could not be made", registries=sorted(sources), error=type(error).__name__)  # noqa: TRY400 - its text may quote
        finally:
            del self._making[shown.file]

    def needs(self, file: str) -> bool:
        """Whether a helper reads or writes this file of the folder."""
        return file in self._making or any(file in sources.values() for sources in self._making.values())

    def standing(self, read: Standing) -> Standing:
        """How current what is searched is; `read` says how current what was read is."""
        name = read.registry
        behind = [shown for scopes, shown in self._shown.items() if self._is_behind(scopes, shown, name)]
        if not behind:
            return read
        every = [shown for scopes, shown in self._shown.items() if name in View(scopes).registries]
        searched = [as_of for shown in every if (as_of := shown.as_of.get(name))]
        problems = tuple(sorted({*read.problems, NOT_INDEXED}))
        return Standing(name, "stale" if searched else "away", min(searched, default=None), problems)

    async def _made(self, job: IndexJob) -> None:
        try:
            check_indexed(await helped(INDEXER, job.document(), INDEXING_SECONDS), job)
            await self._indexes.put(job.view.scopes, job.folder / job.file)
        finally:
            (job.folder / job.file).unlink(missing_ok=True)

    def _sources(self, scopes: Scopes) -> Sources:
        named = {name: self._known[name].snapshot for name in View(scopes).registries if name in self._known}
        return {name: snapshot for name, snapshot in named.items() if snapshot}

    def _is_outdated(self, scopes: Scopes) -> bool:
        shown, sources = self._shown[scopes], self._sources(scopes)
        return bool(sources) and shown.searched != sources and shown.backoff.over(self._clock.now())

    def _is_behind(self, scopes: Scopes, shown: Shown, name: str) -> bool:
        return name in View(scopes).registries and shown.searched.get(name, "") != self._known[name].snapshot

    def _largest(self, scopes: Scopes) -> str:
        """The registry that has the most to index."""
        sources = self._sources(scopes)
        return max(sources, key=lambda name: ((self._folder / sources[name]).stat().st_size, name), default="")

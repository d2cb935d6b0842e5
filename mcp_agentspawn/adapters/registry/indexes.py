"""The indexes that are searched: one for each set of scopes, all in one thread, so that nothing else waits for them."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.registry import Blueprint, Page, Query, Scope, View

T = TypeVar("T")
Scopes = frozenset[Scope]


@dataclass(slots=True)
class Shelved:
    """An index, and the templates that are in it at the moment."""

    index: Index
    blueprints: tuple[Blueprint, ...] = ()

    def find(self, view: View, query: Query) -> Page:
        """Search it with the view's templates in it."""
        if self.blueprints != view.blueprints:
            self.index.set_blueprints(view.blueprints)
            self.blueprints = view.blueprints
        return self.index.find(view.routes, query)


class Indexes:
    """Where there is no index for a view, its templates are found all the same."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry-index")
        self._shelf: dict[Scopes, Shelved] = {}
        self._templates = Shelved(Index.empty())

    async def find(self, view: View, query: Query) -> Page:
        """Search the index of the view. Raises Unavailable when it can not be read."""
        try:
            return await self._in_thread(lambda: self._shelf.get(view.scopes, self._templates).find(view, query))
        except sqlite3.Error as error:
            raise Unavailable(f"The index can not be read ({type(error).__name__}).") from None

    async def put(self, scopes: Scopes, file: Path) -> None:
        """Search this file from now on; once it is open, nobody else can."""
        await self._in_thread(lambda: self._put(scopes, file))

    async def keep(self, wanted: Collection[Scopes]) -> None:
        """Drop all others."""
        await self._in_thread(lambda: self._keep(wanted))

    async def close(self) -> None:
        """Drop all, and end the thread."""
        await self.keep(())
        await self._in_thread(self._templates.index.close)
        self._thread.shutdown()

    def _put(self, scopes: Scopes, file: Path) -> None:
        index = Index.open(file)
        file.unlink()
        self._drop(scopes)
        self._shelf[scopes] = Shelved(index)

    def _keep(self, wanted: Collection[Scopes]) -> None:
        for scopes in self._shelf.keys() - set(wanted):
            self._drop(scopes)

    def _drop(self, scopes: Scopes) -> None:
        if dropped := self._shelf.pop(scopes, None):
            dropped.index.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

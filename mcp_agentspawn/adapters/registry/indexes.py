"""The indexes that are searched: one for each set of scopes, all in one thread, so that nothing else waits for them."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.adapters.index.templates import Templates
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.registry import Page, Query, Scope, View

T = TypeVar("T")
Scopes = frozenset[Scope]


class Indexes:
    """Where there is no index for a view, its templates are found all the same."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry-index")
        self._templates = Templates()
        self._nothing = Index.empty(self._templates)
        self._shelf: dict[Scopes, Index] = {}

    async def find(self, view: View, query: Query) -> Page:
        """Search the index of the view. Raises Unavailable when it can not be read."""
        try:
            return await self._in_thread(lambda: self._find(view, query))
        except sqlite3.Error as error:
            raise Unavailable(f"The index can not be read ({type(error).__name__}).") from None

    async def put(self, scopes: Scopes, file: Path) -> None:
        """Search this file from now on; once it is open, nobody else can. No search waits for opening and closing."""
        index = await asyncio.to_thread(_opened, file, self._templates)
        before = await self._in_thread(lambda: self._put(scopes, index))
        if before:
            await asyncio.to_thread(before.close)

    async def keep(self, wanted: Collection[Scopes]) -> None:
        """Drop all others."""
        await self._in_thread(lambda: self._keep(wanted))

    async def close(self) -> None:
        """Drop all, and end the thread."""
        await self.keep(())
        await self._in_thread(self._nothing.close)
        await self._in_thread(self._templates.close)
        self._thread.shutdown()

    def _find(self, view: View, query: Query) -> Page:
        index = self._shelf.get(view.scopes, self._nothing)
        index.set_blueprints(view.blueprints)
        return index.find(view.routes, query)

    def _put(self, scopes: Scopes, index: Index) -> Index | None:
        before = self._shelf.get(scopes)
        self._shelf[scopes] = index
        return before

    def _keep(self, wanted: Collection[Scopes]) -> None:
        for scopes in self._shelf.keys() - set(wanted):
            self._shelf.pop(scopes).close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _opened(file: Path, templates: Templates) -> Index:
    index = Index.open(file, templates)
    file.unlink()
    return index

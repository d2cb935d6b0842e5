"""The templates that one caller or another may use, as shelves that are kept ready from search to search."""

import sqlite3
from collections.abc import Iterable

from mcp_agentspawn.adapters.index.build import write_blueprints
from mcp_agentspawn.adapters.index.shelf import Shelf
from mcp_agentspawn.core.registry import Blueprint

MOST_SHELVES = 32
"""So many sets of templates are kept, a few dozen kilobytes each; the one that was asked longest ago goes first."""


class Templates:
    """Shelves of templates, each written once, whichever policies, callers and indexes ask for it."""

    def __init__(self) -> None:
        self._shelves: dict[frozenset[Blueprint], Shelf] = {}

    def shelf(self, blueprints: Iterable[Blueprint]) -> Shelf:
        """The shelf of these alone: others change neither a rank nor a score."""
        wanted = frozenset(blueprints)
        found = self._shelves.pop(wanted, None)
        if found is None:
            found = _written(wanted)
            self._forget(MOST_SHELVES - 1)
        self._shelves[wanted] = found
        return found

    def close(self) -> None:
        """Nothing more is asked of it."""
        self._forget(0)

    def _forget(self, most: int) -> None:
        while len(self._shelves) > most:
            self._shelves.pop(next(iter(self._shelves))).close()


def _written(blueprints: frozenset[Blueprint]) -> Shelf:
    file = in_memory()
    write_blueprints(file, blueprints)
    return Shelf(file)


def in_memory() -> sqlite3.Connection:
    """A database that is there as long as it is open, for any thread."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

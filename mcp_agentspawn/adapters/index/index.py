"""Find what fits a query, in order, page by page, with why it fits."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from mcp_agentspawn.adapters.index import build, fields, records
from mcp_agentspawn.adapters.index.asking import Asking
from mcp_agentspawn.adapters.index.gathering import gather, only
from mcp_agentspawn.adapters.index.ranking import Ranking
from mcp_agentspawn.adapters.index.related import meanings
from mcp_agentspawn.adapters.index.routes import routed
from mcp_agentspawn.adapters.index.shelf import Candidate, Shelf
from mcp_agentspawn.adapters.index.templates import Templates, in_memory
from mcp_agentspawn.core.registry import TEMPLATE_SOURCE, Blueprint, Finding, Page, Place, Query, RegistryEntry, Route


@dataclass(frozen=True, slots=True)
class Found:
    """A finding that is not read yet: its place, where it is kept, and how to say why it is one."""

    place: Place
    shelf: Shelf
    id: int
    why: Callable[[], tuple[str, ...]]


class Index:
    """What the callers of one policy can find. One query at a time, from any thread.

    Those that share `templates` are asked one at a time too, and do not close them.
    """

    def __init__(self, entries: Shelf, templates: Templates | None = None) -> None:
        self._entries = entries
        self._blueprints: Mapping[str, Blueprint] = {}
        self._templates = templates or Templates()
        self._own = () if templates else (self._templates,)
        self._lock = Lock()
        meanings()

    @classmethod
    def open(cls, path: Path, templates: Templates | None = None) -> "Index":
        """What `build` wrote; the file may be unlinked then."""
        address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        return cls(Shelf(sqlite3.connect(address, uri=True, check_same_thread=False)), templates)

    @classmethod
    def of(cls, entries: Iterable[RegistryEntry], templates: Templates | None = None) -> "Index":
        """An index in memory."""
        file = in_memory()
        build.write_entries(file, entries)
        return cls(Shelf(file), templates)

    @classmethod
    def empty(cls, templates: Templates | None = None) -> "Index":
        """An index in memory without entries."""
        return cls.of((), templates)

    def set_blueprints(self, blueprints: Iterable[Blueprint]) -> None:
        """From now on, these are the templates."""
        with self._lock:
            self._blueprints = {blueprint.name: blueprint for blueprint in blueprints}

    def find(self, routes: Sequence[Route], query: Query) -> Page:
        """The findings behind `query.after`, at most `query.limit`."""
        with self._lock:
            found = self._ranked(routes, query) if query.text.strip() else self._listed(query)
            behind = [one for one in found if query.after is None or one.place.order > query.after.order]
            page = sorted(behind, key=lambda one: one.place.order)
            return Page(tuple(self._read(one) for one in page[: query.limit]), more=len(page) > query.limit)

    def close(self) -> None:
        """Nothing more is asked of it."""
        with self._lock:
            for one in (self._entries, *self._own):
                one.close()

    def _usable(self, query: Query) -> Shelf:
        """The templates that the caller may use."""
        return self._templates.shelf(self._blueprints[name] for name in query.templates & self._blueprints.keys())

    def _shelves(self, query: Query) -> Sequence[Shelf]:
        return (self._usable(query), self._entries)

    def _ranked(self, routes: Sequence[Route], query: Query) -> Sequence[Found]:
        shelves = self._shelves(query)
        asking = Asking(query.text, shelves)
        ranking, narrowing = Ranking(asking), fields.facets(query.source, query.labels)
        found = {
            candidate.key: _placed(ranking, candidate, shelf)
            for shelf in shelves
            for candidate in gather(asking, shelf, narrowing)
        }
        return list((found | self._led_to(ranking, routes, query)).values())

    def _led_to(self, ranking: Ranking, routes: Sequence[Route], query: Query) -> dict[str, Found]:
        shelf, found = self._usable(query), {}
        for name, phrase in routed(routes, query.text).items():
            blueprint = self._blueprints.get(name)
            if name in query.templates and blueprint and _fits(blueprint, query):
                for candidate in shelf.named(fields.blueprint_key(blueprint)):
                    found[candidate.key] = _placed(ranking, candidate, shelf, phrase)
        return found

    def _listed(self, query: Query) -> Sequence[Found]:
        after = (query.after.suspected, query.after.key) if query.after else None
        match = " AND ".join(only(fields.facets(query.source, query.labels)))
        return [
            Found(Place(bool(suspected), routed=False, score=0.0, key=key), shelf, number, tuple)
            for shelf in self._shelves(query)
            for number, suspected, key in shelf.listed(match, after, query.limit + 1)
        ]

    def _read(self, found: Found) -> Finding:
        record = found.shelf.record(found.id)
        if found.shelf is self._entries:
            return Finding(found.place, found.why(), entry=records.read(record))
        return Finding(found.place, found.why(), blueprint=self._blueprints[record])


def _placed(ranking: Ranking, candidate: Candidate, shelf: Shelf, phrase: str = "") -> Found:
    def why() -> tuple[str, ...]:
        return (*((f"route {phrase}",) if phrase else ()), *ranking.matched(candidate))

    place = Place(candidate.suspected, bool(phrase), ranking.score(candidate), candidate.key)
    return Found(place, shelf, candidate.id, why)


def _fits(blueprint: Blueprint, query: Query) -> bool:
    return query.source in {"", TEMPLATE_SOURCE} and set(query.labels) <= set(blueprint.keywords)

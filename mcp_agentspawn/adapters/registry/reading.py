"""Reads a registry: all of it, or one entry. All or nothing: a reading that fails leaves nothing behind."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_agentspawn.adapters.registry import envelopes
from mcp_agentspawn.adapters.registry.client import Client
from mcp_agentspawn.adapters.registry.companions import NOT_OURS, companions_of
from mcp_agentspawn.adapters.registry.dialects import dialect_of, items_of, version_of
from mcp_agentspawn.adapters.registry.envelopes import Companions
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.items import Dialect, Entries
from mcp_agentspawn.adapters.registry.paging import PAGE, Listing, check_count
from mcp_agentspawn.adapters.registry.texts import Unreadable
from mcp_agentspawn.core.registry import UNREADABLE_ENTRY, Handle, RegistryEntry

INCOMPLETE = "registry.incomplete"


@dataclass(frozen=True, slots=True)
class Reading:
    """All entries of a registry with all their tags, and what could not be read of it: counts by code.

    `entries` are by namespace and name; of one name, the tag that a spawn would take is the first. There are so many
    `names`. Not `complete` when the registry has more than it shows.
    """

    entries: Collection[RegistryEntry]
    names: int
    dialect: Dialect
    problems: Mapping[str, int]
    complete: bool


async def read_all(client: Client) -> Reading:
    """Read a registry to its end. Raises `ReadingFailed`."""
    listing, problems = Listing(client, "agents"), Counter[str]()
    page = await listing.page()
    dialect = dialect_of(page)
    companions = await companions_of(client, problems) if dialect == "v0.4" else Companions()
    gathering = _Gathering(client, dialect, companions, problems)
    while page is not None:
        gathering.take(page)
        page = await listing.page()
    complete = not (dialect == "inventory" and listing.pages == 1 and gathering.count == PAGE)
    if not complete:
        problems[INCOMPLETE] += 1
    return Reading(gathering.entries, gathering.entries.names, dialect, dict(problems), complete)


class _Gathering:
    """What the pages hold, as it is kept: the pages themselves are not."""

    def __init__(self, client: Client, dialect: Dialect, companions: Companions, problems: Counter[str]) -> None:
        self._endpoint = client.endpoint
        self._dialect = dialect
        self._companions = companions
        self._problems = problems
        self.entries = Entries()
        self.count = 0

    def take(self, page: Any) -> None:
        found = items_of(page, self._dialect)
        self.count += len(found)
        check_count(self.count, self._endpoint.most_entries)
        for item in found:
            self._take(item)

    def _take(self, item: Any) -> None:
        try:
            found = version_of(self._endpoint.name, item, self._dialect, self._companions)
        except Unreadable:
            self._problems[UNREADABLE_ENTRY] += 1
        else:
            if found:
                self.entries.add(found)


async def read_one(client: Client, dialect: Dialect, handle: Handle, registry: str) -> RegistryEntry | None:
    """The entry of this name and tag as it is now, whatever its hash; `None` when it is gone.

    What helps to find it (skills) is not read again. Raises `ReadingFailed`.
    """
    item = await _got(client, *_place(dialect, handle))
    if item is None:
        return None
    try:
        prompts = await _prompts(client, item) if dialect == "v0.4" else Companions()
        found = version_of(registry, item, dialect, prompts)
    except Unreadable:
        raise ReadingFailed(UNREADABLE_ENTRY, "this entry is not what it should be") from None
    if found and (found.entry.namespace, found.entry.name, found.entry.tag) != _named(handle):
        raise ReadingFailed("registry.dialect", "another entry than the one that was asked for")
    return found.entry if found else None


def _named(handle: Handle) -> tuple[str, str, str]:
    return (handle.namespace, handle.name, handle.tag)


def _place(dialect: Dialect, handle: Handle) -> tuple[tuple[str, ...], Mapping[str, str]]:
    if dialect == "v0.4":
        return ("v0", "agents", handle.name, handle.tag), {"namespace": handle.namespace}
    return ("v0", "agents", handle.name, "versions", handle.tag), {}


async def _prompts(client: Client, agent: Any) -> Companions:
    """The one prompt that an agent refers to."""
    wanted = envelopes.prompt_of(agent)
    if wanted is None:
        return Companions()
    try:
        found = await _got(client, ("v0", "prompts", wanted.name, wanted.tag), {"namespace": wanted.namespace})
    except ReadingFailed as failure:
        if failure.code not in NOT_OURS:
            raise
        found = None
    return Companions() if found is None else Companions({wanted: envelopes.prompt_content(found)})


async def _got(client: Client, path: tuple[str, ...], query: Mapping[str, str]) -> Any:
    try:
        return await client.get(path, query)
    except ReadingFailed as failure:
        if failure.code != "registry.not_found":
            raise
        return None

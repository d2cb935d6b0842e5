"""One item of a listing, whatever its dialect: what all of them have, and which version of it a spawn would take."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mcp_agentspawn.adapters.registry.strict_json import is_deeper
from mcp_agentspawn.adapters.registry.texts import LONG_AGO, Unreadable, fitting
from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.registry import NAME, NAMESPACE, TAG, RegistryEntry

Dialect = Literal["v0.4", "v0.3", "inventory"]

DEFAULT_NAMESPACE = "default"
LATEST = "latest"
MOST_DEPTH = 32
MOST_TOOL_SERVERS = 64
MOST_OTHER_TAGS = 20
NAMESPACE_FORM = re.compile(rf"{NAMESPACE}\Z")
NAME_FORM = re.compile(rf"{NAME}\Z")
TAG_FORM = re.compile(rf"{TAG}\Z")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an entry: when it was written, and whether the registry calls it the latest."""

    entry: RegistryEntry
    moment: datetime
    latest: bool

    @property
    def order(self) -> tuple[bool, datetime, str]:
        """What to sort by: the one that a spawn would take is the greatest."""
        return (self.latest, self.moment, self.entry.tag)


def version(entry: RegistryEntry, moment: datetime, *, latest: bool) -> Version:
    """A version with its moment written down, if there is one."""
    written = "" if moment == LONG_AGO else moment.isoformat().replace("+00:00", "Z")
    return Version(replace(entry, updated_at=written), moment, latest)


def hash_of(content: Any) -> str:
    """The hash of what was served. Raises `Unreadable` for what canonical JSON can not hold."""
    if is_deeper(content, MOST_DEPTH):
        raise Unreadable
    try:
        return digest_of(content)
    except ValueError:
        raise Unreadable from None


def tool_servers_of(names: Iterable[Any]) -> tuple[str, ...]:
    """MCP servers by name, each once. More than can be shown make the entry unreadable: it would be another one."""
    found = tuple(dict.fromkeys(fitting(NAME_FORM, name) for name in names))
    if len(found) > MOST_TOOL_SERVERS:
        raise Unreadable
    return found


def collapsed(versions: Iterable[Version]) -> Iterator[RegistryEntry]:
    """Each entry once, by namespace and name: in the version that a spawn would take, with its other tags.

    One that was seen twice, since the listing changed as it was read, is taken as it was last.
    """
    entries: dict[tuple[str, str], dict[str, Version]] = defaultdict(dict)
    for found in versions:
        tags = entries[found.entry.namespace, found.entry.name]
        before = tags.get(found.entry.tag)
        if before is None or before.moment <= found.moment:
            tags[found.entry.tag] = found
    for _, tags in sorted(entries.items()):
        first, *others = sorted(tags.values(), key=lambda found: found.order, reverse=True)
        yield replace(first.entry, other_tags=tuple(other.entry.tag for other in others[:MOST_OTHER_TAGS]))

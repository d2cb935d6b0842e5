"""One item of a listing, whatever its dialect: what all of them have, and which version of it a spawn would take."""

import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mcp_agentspawn.adapters.index import records
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


@dataclass(frozen=True, slots=True)
class Packed:
    """A version as small as it gets."""

    order: tuple[bool, datetime, str]
    content: bytes

    @classmethod
    def of(cls, found: Version) -> "Packed":
        """The version, packed."""
        written = records.written(found.entry).encode("utf-8", "surrogatepass")
        return cls(found.order, zlib.compress(written, zlib.Z_BEST_SPEED))

    def entry(self) -> RegistryEntry:
        """What was packed."""
        return records.read(zlib.decompress(self.content).decode("utf-8", "surrogatepass"))


class Entries(Collection[RegistryEntry]):
    """Each entry once, by namespace and name: in the version that a spawn would take, with its other tags.

    A registry has thousands, and each is looked at alone: what is not looked at is packed.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[str, Packed]] = {}

    def add(self, found: Version) -> None:
        """One that was seen twice, since the listing changed as it was read, is taken as it was last."""
        tags = self._found.setdefault((found.entry.namespace, found.entry.name), {})
        before = tags.get(found.entry.tag)
        if before is None or before.order[1] <= found.moment:
            tags[found.entry.tag] = Packed.of(found)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[RegistryEntry]:
        return map(_collapsed, (tags for _, tags in sorted(self._found.items(), key=lambda found: found[0])))

    def __contains__(self, entry: object) -> bool:
        return any(entry == one for one in self)


def _collapsed(tags: Mapping[str, Packed]) -> RegistryEntry:
    newest = sorted(tags, key=lambda tag: tags[tag].order, reverse=True)
    return replace(tags[newest[0]].entry(), other_tags=tuple(newest[1 : 1 + MOST_OTHER_TAGS]))

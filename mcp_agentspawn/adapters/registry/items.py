"""One item of a listing, whatever its dialect: what all of them have, and which version of it a spawn would take."""

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mcp_agentspawn.adapters.index import records
from mcp_agentspawn.adapters.registry.strict_json import is_deeper
from mcp_agentspawn.adapters.registry.texts import Unreadable, fitting
from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.registry import NAME, NAMESPACE, TAG, RegistryEntry

Dialect = Literal["v0.4", "v0.3", "inventory"]

DEFAULT_NAMESPACE = "default"
MOST_DEPTH = 32
MOST_TOOL_SERVERS = 64
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
        return cls(found.order, zlib.compress(records.written(found.entry), zlib.Z_BEST_SPEED))

    def entry(self) -> RegistryEntry:
        """What was packed."""
        return records.read(zlib.decompress(self.content))


class Entries(Collection[RegistryEntry]):
    """Every version of each entry, by namespace and name; of one entry the version first that a spawn would take.

    A registry has thousands, and each is looked at alone: what is not looked at is packed.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Packed] = {}

    @property
    def names(self) -> int:
        """How many entries there are, each with all of its versions."""
        return len({(namespace, name) for namespace, name, _ in self._found})

    def add(self, found: Version) -> None:
        """One that was seen twice, since the listing changed as it was read, is taken as it was last."""
        place = (found.entry.namespace, found.entry.name, found.entry.tag)
        before = self._found.get(place)
        if before is None or before.order[1] <= found.moment:
            self._found[place] = Packed.of(found)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[RegistryEntry]:
        best_first = sorted(self._found.items(), key=lambda found: found[1].order, reverse=True)
        return (packed.entry() for _, packed in sorted(best_first, key=lambda found: found[0][:2]))

    def __contains__(self, entry: object) -> bool:
        return any(entry == one for one in self)

"""What registries hold, in neutral words. An entry is a stranger's text until a policy takes it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from mcp_agentspawn.core.names import LABEL

TEMPLATE_SOURCE = "template"
"""The source of hits that are templates; no registry can have this name."""
EVERY_NAMESPACE = "*"
LATEST = "latest"
"""The tag that a spawn takes where there is one."""
UNREADABLE_ENTRY = "registry.unreadable_entry"
"""The problem of a registry that is one of a single entry, and of nobody who may not see it."""

MOST_TITLE_CHARACTERS = 200
MOST_DESCRIPTION_CHARACTERS = 1000
MOST_INSTRUCTIONS_CHARACTERS = 65536
MOST_LABELS = 32
MOST_LABEL_CHARACTERS = 128
MOST_SKILLS = 20

NAMESPACE = r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?"
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}"
HANDLE = re.compile(
    rf"(?P<registry>{LABEL})/(?P<namespace>{NAMESPACE})/(?P<name>{NAME})@(?P<tag>{TAG})#(?P<hash>sha256:[0-9a-f]{{64}})\Z"
)

Form = Literal["declarative", "image", "other"]
"""What an entry can become: an agent of instructions, one of an image, or none (source code only, for example)."""
Freshness = Literal["fresh", "stale", "away"]
"""Whether what is known of a registry is of its last due reading, of an earlier one, or nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Handle:
    """Names one version of one entry: the tag may move, the hash may not.

    Written as `registry/namespace/name@tag#sha256:…`.
    """

    registry: str
    namespace: str
    name: str
    tag: str
    hash: str

    @classmethod
    def read(cls, text: str) -> "Handle | None":
        """What a hit's handle names; `None` when this is none."""
        found = HANDLE.match(text)
        return cls(**found.groupdict()) if found else None

    def __str__(self) -> str:
        """As it is written in a hit."""
        return f"{self.registry}/{self.namespace}/{self.name}@{self.tag}#{self.hash}"


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One agent that a registry offers, bounded and plain.

    `hash` is over all of it that was served and over the prompt that it refers to. `tool_servers` are its MCP servers
    by name. `running` is the ready Agent (`namespace/name`) that it already is; `""` when there is none.
    `missing_prompt`: it refers to instructions that are not there. `suspected_by` are the rules of the content guard
    that any of its texts fall under.
    """

    registry: str
    namespace: str
    name: str
    tag: str
    hash: str
    title: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    skills: tuple[str, ...] = ()
    tool_servers: tuple[str, ...] = ()
    form: Form = "other"
    image: str = ""
    protocol: str = "A2A"
    instructions: str = ""
    missing_prompt: bool = False
    running: str = ""
    suspected_by: tuple[str, ...] = ()

    @property
    def handle(self) -> Handle:
        """What names this version of it."""
        return Handle(self.registry, self.namespace, self.name, self.tag, self.hash)

    @property
    def label_words(self) -> tuple[str, ...]:
        """Its labels as `key=value`, sorted."""
        return tuple(sorted(f"{key}={value}" for key, value in self.labels.items()))


@dataclass(frozen=True, slots=True)
class Scope:
    """Some of a registry's entries: those in these namespaces (`*` is every one) that bear all of these labels."""

    registry: str
    namespaces: frozenset[str]
    labels: frozenset[tuple[str, str]] = frozenset()

    def reaches(self, registry: str, namespace: str) -> bool:
        """Whether any entry of that namespace can be one of them."""
        return registry == self.registry and not self.namespaces.isdisjoint({namespace, EVERY_NAMESPACE})

    def holds(self, entry: RegistryEntry) -> bool:
        """Whether the entry is one of them."""
        return self.reaches(entry.registry, entry.namespace) and self.labels <= entry.labels.items()


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a template says of itself to whoever searches."""

    name: str
    description: str
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A query with one of these words finds this template first."""

    words: tuple[str, ...]
    template: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the callers of one policy can find. What is outside of it changes neither a rank nor a score.

    Of an entry with several tags the one that a spawn would take is found: among those that can be found, `latest`,
    or else the one that was written last.
    """

    scopes: frozenset[Scope] = frozenset()
    blueprints: tuple[Blueprint, ...] = ()
    routes: tuple[Route, ...] = ()

    @property
    def registries(self) -> frozenset[str]:
        """The registries of which anything can be found."""
        return frozenset(scope.registry for scope in self.scopes)

    def is_whole(self, registry: str) -> bool:
        """Whether all of a registry can be found."""
        whole = [scope for scope in self.scopes if EVERY_NAMESPACE in scope.namespaces and not scope.labels]
        return any(scope.registry == registry for scope in whole)

    def holds(self, entry: RegistryEntry) -> bool:
        """Whether the entry can be found."""
        return any(scope.holds(entry) for scope in self.scopes)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hit stands in the order: suspected ones last, routed ones first, then by score, then by key."""

    suspected: bool
    routed: bool
    score: float
    key: str

    @property
    def order(self) -> tuple[bool, bool, float, str]:
        """What to sort by, best first."""
        return (self.suspected, not self.routed, -self.score, self.key)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. Without `text` everything is found, by name.

    `templates`: those that the caller may use; others are not found. `source`: a registry, `template`, or `""` for
    all. `labels`: keywords of a template, `key=value` of an entry; all of them. `after`: the place of the last hit
    of the page before; `None` for the first page.
    """

    text: str
    limit: int
    templates: frozenset[str] = frozenset()
    source: str = ""
    labels: tuple[str, ...] = ()
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A template or an entry (the other one is `None`) that was found, and by which words of which fields."""

    place: Place
    matched: tuple[str, ...]
    blueprint: Blueprint | None = None
    entry: RegistryEntry | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some findings in order, and whether there are more behind them."""

    findings: tuple[Finding, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How current what is known of a registry is; `as_of` is `None` when nothing is known.

    `problems` are codes (`registry.unreachable`): what its last reading met, or what it could not read of it.
    """

    registry: str
    freshness: Freshness
    as_of: datetime | None = None
    problems: tuple[str, ...] = ()


class Registries(Protocol):
    """All registries, and what can be found in them and among the templates."""

    async def find(self, view: View, query: Query) -> Page:
        """Search what is known now; never waits for a registry."""
        ...

    async def read(self, handle: Handle) -> RegistryEntry | None:
        """The entry of this name and tag as it is now, whatever its hash; `None` when it is gone or can not be read.

        Nobody learns then whether there is one. `suspected_by` says nothing: it is not looked through. Raises
        `Unavailable` when the registry does not say, and when there is no such registry.
        """
        ...

    def standings(self) -> Sequence[Standing]:
        """How current what is known of each registry is, by name."""
        ...

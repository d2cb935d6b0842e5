"""What is published in the stand-in: plain objects, which each dialect writes in its own way."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import yaml
from pydantic import ConfigDict, TypeAdapter

DEFAULT_NAMESPACE = "default"
LATEST = "latest"
SOME_DAY = "2026-11-21T05:00:00Z"
STRICT = ConfigDict(extra="forbid")
Kind = Literal["Agent", "Prompt", "MCPServer", "Skill"]
Key = tuple[str, str, str, str]


class Reference(NamedTuple):
    """Another artifact in the same namespace; without a tag it is the one tagged `latest`."""

    name: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where an entry runs already, as only the inventory knows."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    namespace: str
    name: str
    ready: bool = True
    url: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """An agent's entry under one tag."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    namespace: str = DEFAULT_NAMESPACE
    tag: str = LATEST
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    description: str = ""
    image: str = ""
    repository: str = ""
    protocol: str = ""
    harnesses: Sequence[str] = ()
    mcp_servers: Sequence[Reference | tuple[str, str]] = ()
    """Names and tags of MCP servers, which need not be published."""
    tool_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Which tools of these servers; only the inventory can say it."""
    skills: Sequence[Reference | tuple[str, str]] = ()
    instructions: str = ""
    """Published as a Prompt under `prompt`; the inventory shows the text itself."""
    prompt: Reference | tuple[str, str] | None = None
    """Absent, it is called after the entry. Without instructions it refers to what is published apart, or nowhere."""
    model: str = ""
    created_at: str = ""
    updated_at: str = SOME_DAY
    deployment: Deployment | None = None
    discovered: bool = False
    publisher: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[Kind] = "Agent"


@dataclass(frozen=True, slots=True)
class Artifact:
    """What agents refer to: a Prompt, an MCP server or a skill, with its specification as the registry writes it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["Prompt", "MCPServer", "Skill"]
    name: str
    namespace: str = DEFAULT_NAMESPACE
    tag: str = LATEST
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = ""
    updated_at: str = SOME_DAY


Entry = Published | Artifact


class Content:
    """What a registry holds now; may be changed while it is served."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._held: dict[Key, Entry] = {}
        self._sorted: dict[str, list[Entry]] = {}
        self._by_name: dict[str, list[Published]] = {}
        self.publish(*entries)

    def publish(self, *entries: Entry) -> None:
        """Add entries, or put them in the place of what had the same kind, namespace, name and tag."""
        self._held.update((entry_key(entry), entry) for entry in entries)
        self._forget()

    def withdraw(
        self, name: str, *, namespace: str = DEFAULT_NAMESPACE, tag: str = LATEST, kind: Kind = "Agent"
    ) -> None:
        """Take one out; KeyError when there is none."""
        del self._held[kind, namespace, name, tag]
        self._forget()

    def agents(self) -> list[Published]:
        """All agents' entries, in the order of listings."""
        return [entry for entry in self.entries("Agent") if isinstance(entry, Published)]

    def entries(self, kind: str) -> Sequence[Entry]:
        """All of a kind, in the order of listings; the Prompts that agents' instructions publish are among them."""
        if kind not in self._sorted:
            found = {entry_key(entry): entry for entry in self._told(kind)}
            self._sorted[kind] = sorted(found.values(), key=order)
        return self._sorted[kind]

    def versions(self, name: str) -> Sequence[Published]:
        """All agents' entries of one name, newest first, whatever their namespace."""
        if not self._by_name:
            for entry in sorted(self.agents(), key=lambda entry: moment(entry.updated_at), reverse=True):
                self._by_name.setdefault(entry.name, []).append(entry)
        return self._by_name.get(name, ())

    def _told(self, kind: str) -> Iterable[Entry]:
        if kind == "Prompt":
            yield from (prompt_of(entry) for entry in self.agents() if entry.instructions)
        yield from (entry for entry in self._held.values() if entry.kind == kind)

    def _forget(self) -> None:
        self._sorted, self._by_name = {}, {}


def order(entry: Entry) -> tuple[str, str, str, datetime]:
    """How the registry sorts."""
    return entry.namespace, entry.name, entry.tag, moment(entry.updated_at)


def entry_key(entry: Entry) -> Key:
    """What there is only one of."""
    return entry.kind, entry.namespace, entry.name, entry.tag


def moment(text: str) -> datetime:
    """A time as the registry writes it."""
    return datetime.fromisoformat(text)


def uid_of(entry: Entry) -> str:
    """The entry's own, or one that is always the same for it."""
    return entry.uid or str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(entry_key(entry))))


def prompt_reference(entry: Published) -> Reference | None:
    """Which Prompt an entry names, if any."""
    if entry.prompt is not None:
        return Reference(*entry.prompt)
    return Reference(f"{entry.name}-instructions", entry.tag) if entry.instructions else None


def prompt_of(entry: Published) -> Artifact:
    """The Prompt that holds an entry's instructions."""
    name, tag = prompt_reference(entry) or Reference("")
    spec = {"description": f"Instructions of {entry.title or entry.name}", "content": entry.instructions}
    return Artifact("Prompt", name, entry.namespace, tag or LATEST, spec=spec, updated_at=entry.updated_at)


def load(path: Path) -> Content:
    """Read `agents` and `artifacts` from a file of YAML or JSON; what it does not know it refuses."""
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    agents = TypeAdapter(list[Published]).validate_python(read["agents"])
    artifacts = TypeAdapter(list[Artifact]).validate_python(read.get("artifacts", []))
    return Content([*agents, *artifacts])

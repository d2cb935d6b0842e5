"""The words of the product as values: who asks, for what, and what becomes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

Scalar = str | int | float | bool
Manifest = Mapping[str, Any]
Risk = Literal["low", "medium", "high"]
Phase = Literal["proposed", "creating", "starting", "ready", "quarantined", "retiring", "retired", "lapsed"]

MOST_LABEL_CHARACTERS = 63
VIRTUAL_USER = re.compile(r"agentspawn:([^:/]+):([^:/]+)\Z")
MOST_STEPS = 16
FINAL_PHASES: frozenset[Phase] = frozenset({"retired", "lapsed"})


@dataclass(frozen=True, slots=True)
class Root:
    """The service account at the top of a spawn tree; its subagents live in the namespace `home`."""

    namespace: str
    account: str
    home: str

    @classmethod
    def named(cls, name: str, home: str) -> "Root":
        """The root that people write as `namespace/account`."""
        namespace, _, account = name.partition("/")
        return cls(namespace, account, home)

    @classmethod
    def of_virtual_user(cls, user: str, home: str) -> "Root | None":
        """The root that writes as this Kubernetes user; `None` when it is no root's."""
        found = VIRTUAL_USER.match(user)
        return cls(found[1], found[2], home) if found else None

    @property
    def name(self) -> str:
        """`namespace/account`, as people write it."""
        return f"{self.namespace}/{self.account}"

    @property
    def key(self) -> str:
        """`namespace.account`, an object's name: a namespace has no dot, so two roots never share one."""
        return f"{self.namespace}.{self.account}"

    @property
    def virtual_user(self) -> str:
        """The Kubernetes user who writes for this tree."""
        return f"agentspawn:{self.namespace}:{self.account}"

    @property
    def label(self) -> str:
        """A label value that finds this tree: an index, never a proof (a label holds 63 characters, a key more)."""
        if len(self.key) <= MOST_LABEL_CHARACTERS:
            return self.key
        return f"tree-{sha256(self.key.encode()).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated principal of a tool call: the root itself, or its subagent `agent`.

    `account` is the uid of the root's service account as its credential showed it; `""` for a subagent. `trace` is
    the trace context (a W3C `traceparent`) that its call came with, `""` for none.
    """

    root: Root
    agent: str = ""
    account: str = field(default="", compare=False)
    trace: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, with every default filled in. `lifetime` is in whole seconds when written down.

    `entry` is the handle of the registry entry that it is made of; `""` when it is made of the template alone.
    """

    template: str
    purpose: str
    parameters: Mapping[str, Scalar]
    tools: tuple[str, ...]
    model: str
    lifetime: timedelta
    entry: str = ""


@dataclass(frozen=True, slots=True)
class ToolSelection:
    """Tools of one server that a subagent holds; those in `ask_first` need a person's tool approval."""

    server: str
    tools: tuple[str, ...]
    ask_first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skill:
    """What a subagent tells others that it can do (an A2A skill)."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compaction:
    """When a subagent's context is summarised: after so many tokens, keeping so many events."""

    after_tokens: int
    keep_events: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is stamped on a subagent: whose it is, what it was made of, for how long, and its depth left.

    `entry` is the handle of the registry entry that it was made of; `""` when there was none.
    """

    root: Root
    parent: str
    template: str
    request_digest: str
    lifetime: timedelta
    depth: int = 0
    entry: str = ""


@dataclass(frozen=True, slots=True)
class AgentDescription:
    """An agent in neutral words; an adapter turns it into the manifest of one kind of agent and back.

    One of an `image` has no instructions, model, tools, skills or compaction: they are the image's own business.
    """

    id: str
    description: str
    instructions: str
    model: str
    tools: tuple[ToolSelection, ...]
    skills: tuple[Skill, ...]
    compaction: Compaction | None
    lineage: Lineage
    image: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a subagent may hold at most, and with it whatever it spawns.

    `depth`: how many generations it may spawn. `ask_first`: tools that need tool approval. `parameters`: the values
    that its template marks as narrowing. `single_task`: it is retired when its first task has ended.
    """

    tools: tuple[str, ...]
    models: tuple[str, ...]
    lifetime: timedelta
    depth: int = 0
    ask_first: tuple[str, ...] = ()
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    single_task: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One phase that a proposal came to: when, and why as a code (`""` for none)."""

    phase: Phase
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Crashing:
    """A subagent crashes again and again: how often it had when people were last told, and since when they are."""

    times: int
    since: datetime


@dataclass(frozen=True, slots=True)
class RestsOn:
    """What a proposal was judged by: hashes of the policy and of the schema served, and the parent Agent's uid."""

    policy: str = ""
    crd: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request for one subagent, rendered, judged and frozen; `id` is the name of the one Agent it can become.

    `manifest` is the canonical JSON that will be created. `version` is the store's, for compare-and-swap; `uid` tells
    it from a namesake. `history` is what it came to, oldest first. `fingerprint` is the hash of the manifest, to be
    compared with that of the Agent; where many are kept in memory, the manifest itself is `""`. `crashing`: `None` as
    long as there is nothing to tell.
    """

    id: str
    root: str
    parent: str
    home: str
    request: Request
    template_hash: str
    request_digest: str
    digest: str
    risk: Risk
    expires_at: datetime
    manifest: str
    grant: Grant
    rests_on: RestsOn = RestsOn()
    phase: Phase = "proposed"
    agent_uid: str = ""
    created_at: datetime | None = None
    uid: str = ""
    version: str = ""
    history: tuple[Step, ...] = ()
    crashing: Crashing | None = None
    fingerprint: str = field(default="", compare=False)


def grown(proposal: Proposal, phase: Phase, reason: str, at: datetime) -> tuple[Step, ...]:
    """The history of a proposal that comes to this phase; one that is in it already keeps its history."""
    if proposal.history and proposal.history[-1].phase == phase:
        return proposal.history
    return (*proposal.history, Step(phase, at, reason))[-MOST_STEPS:]


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's decision on one proposal. `decided_at` is the API server's clock; `None` before it is stored."""

    name: str
    proposal: str
    proposal_uid: str
    digest: str
    decision: Literal["approve", "deny"]
    decider: str
    reason: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One subagent above a caller, the caller itself included; `agent` is `None` when its Agent is gone."""

    proposal: Proposal
    agent: "Subagent | None"


@dataclass(frozen=True, slots=True)
class Subagent:
    """An Agent that stands in the cluster, as read back. `uid` tells it from a namesake.

    `ready` is what kagent says of it. `fingerprint` is the hash of the manifest; where many are kept in memory, the
    manifest itself is empty.
    """

    id: str
    uid: str
    home: str
    virtual_user: str
    parent: str
    template: str
    request_digest: str
    lifetime: timedelta
    created_at: datetime
    depth: int = 0
    deleting: bool = False
    ready: bool = False
    manifest: Manifest = field(default_factory=dict)
    fingerprint: str = field(default="", compare=False)

    @property
    def root(self) -> str:
        """The name of the root whose tree it belongs to; `""` when it is nobody's."""
        root = Root.of_virtual_user(self.virtual_user, self.home)
        return root.name if root else ""

    @property
    def expires_at(self) -> datetime:
        """Its creation plus the approved lifetime: an Agent is never altered, so neither is this."""
        return self.created_at + self.lifetime

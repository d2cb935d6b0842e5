"""What the inside asks of the world. Adapters implement these; `adapters.memory` and Kubernetes pass one contract.

All of them raise `errors.Upstream` kinds and nothing else. Every call is bounded in time by its adapter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from mcp_agentspawn.core.delegation import Card
from mcp_agentspawn.core.ledger import Head, Ledger
from mcp_agentspawn.core.model import (
    AgentDescription,
    Approval,
    Manifest,
    Phase,
    Proposal,
    Root,
    Subagent,
)
from mcp_agentspawn.core.switches import Freeze, Reset, Switches

T = TypeVar("T")


class Clock(Protocol):
    """The time, aware, in UTC."""

    def now(self) -> datetime:
        """The present moment."""
        ...


class AgentKind(Protocol):
    """How a neutral description becomes the manifest of one kind of agent, and back. Pure."""

    def manifest(self, agent: AgentDescription) -> dict[str, Any]:
        """Build the complete manifest from an allow-list of fields, every default written."""
        ...

    def read(self, manifest: Manifest) -> AgentDescription:
        """Read the manifest back; raises `Refused("manifest.unreadable", …)` for anything outside the allow-list."""
        ...

    def card(self, agent: AgentDescription) -> Card | None:
        """What an agent of this description says that it is; `None` when only its author knows."""
        ...


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a manifest does not fit the schema that the cluster serves."""

    path: str
    message: str


class Agents(Protocol):
    """Subagents in the cluster. What writes does so as the root's virtual user, for one proposal."""

    async def trial(self, root: Root, proposal: str, manifest: Manifest) -> Manifest:
        """Dry-run the strict create. Raises `Refused`.

        Returns what would be stored, without what only the API server and the controller write.
        """
        ...

    async def create(self, root: Root, proposal: str, manifest: Manifest) -> Subagent:
        """Create it, strictly. `Conflict`: the name is taken; `Refused`: definite; `UnknownOutcome`: lost answer."""
        ...

    async def get(self, home: str, id_: str) -> Subagent | None:
        """Read one, fresh; `None` when there is none."""
        ...

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        """All subagents of one root."""
        ...

    async def of_home(self, home: str) -> Sequence[Subagent]:
        """All subagents in one namespace."""
        ...

    async def trial_delete(self, root: Root, id_: str, uid: str) -> None:
        """Dry-run `delete`: raises what that would raise, and changes nothing."""
        ...

    async def delete(self, root: Root, id_: str, uid: str) -> bool:
        """Delete it as the root, if it is still that very object; another uid is `Conflict`.

        Returns whether it is gone now (also when it was gone before), and not merely on its way.
        """
        ...

    async def expire(self, home: str, id_: str, uid: str) -> bool:
        """The same as the server itself, which works although a root's rights are gone."""
        ...


class Proposals(Protocol):
    """Proposals as they are stored. The spec never changes; `mark` changes what became of it."""

    async def create(self, proposal: Proposal) -> Proposal:
        """Store it. Raises `Conflict` when its id is taken."""
        ...

    async def get(self, id_: str) -> Proposal | None:
        """Read one, fresh; `None` when there is none."""
        ...

    async def of_root(self, root: Root) -> Sequence[Proposal]:
        """All proposals of one root."""
        ...

    async def all(self) -> Sequence[Proposal]:
        """All proposals of all roots."""
        ...

    async def mark(self, proposal: Proposal, phase: Phase, *, agent_uid: str = "", reason: str = "") -> Proposal:
        """Set its phase if it is still at `proposal.version`.

        Raises `Conflict`, `Missing` when it is gone, and `Refused` when its phase is final. `reason` goes into its
        history.
        """
        ...

    async def note_crashes(self, proposal: Proposal, times: int) -> Proposal:
        """Record for people how often its agent has crashed, if it is still at `proposal.version`.

        Since when it does stays what it was. Raises `Conflict`, and `Missing` when it is gone.
        """
        ...

    async def delete(self, proposal: Proposal) -> None:
        """Remove it if it is still at `proposal.version`; gone already is success."""
        ...


class Ledgers(Protocol):
    """One ledger a root, changed only by compare-and-swap."""

    async def look(self, root: str, *, fresh: bool = False) -> Ledger:
        """The ledger as last seen, or as it is now when `fresh`; an empty one when there is none yet."""
        ...

    async def change(self, root: str, decide: Callable[[Ledger], tuple[Ledger, T]]) -> T:
        """Store what `decide` makes of the ledger, and return what it said in the round that counted.

        `decide` is pure and is run again on the fresh ledger after a conflict. When it returns the very ledger it
        was given, nothing is written, and it was asked about a fresh one. Past its time it raises `Unavailable`, or
        `UnknownOutcome` when a change was sent and its answer was lost.
        """
        ...

    async def roots(self) -> Sequence[str]:
        """The names (`namespace/account`) of all roots that have a ledger."""
        ...


class Approvals(Protocol):
    """Decisions of people on proposals. They never change; the server lists them and clears old ones away."""

    async def of(self, proposal: str, *, fresh: bool = True) -> Sequence[Approval]:
        """All decisions on the proposal of this id, also those that are about a namesake or other bytes.

        When not `fresh`, the latest may be missing for some milliseconds.
        """
        ...

    async def all(self) -> Sequence[Approval]:
        """All decisions on all proposals."""
        ...

    async def create(self, approval: Approval) -> Approval:
        """Store a person's decision, with that person's own identity. Raises `Conflict` and `Refused`."""
        ...

    async def delete(self, approval: Approval) -> None:
        """Remove it; gone already is success."""
        ...


class Switchboard(Protocol):
    """The switches that people hold: freezes and resets."""

    async def current(self, *, fresh: bool = False) -> Switches:
        """All switches, seen at most half a second ago, or as they are now when `fresh`.

        When not `fresh`, what was switched just before they were seen may be missing for some milliseconds more.
        """
        ...

    async def set(self, freeze: Freeze) -> Freeze | None:
        """Create or replace a freeze, with a person's own identity. Raises `Refused`.

        Returns the one that it replaced; `None` when there was none, or none that can be read.
        """
        ...

    async def reset(self, reset: Reset) -> Reset:
        """Store a reset, with a person's own identity. Raises `Conflict` and `Refused`."""
        ...

    async def forget(self, reset: Reset) -> None:
        """Remove a reset; gone already is success."""
        ...


class Keyring(Protocol):
    """The Secrets that hold the own credentials of subagents with depth left. They are never read."""

    async def put(self, home: str, agent: str, token: str) -> None:
        """Store it for this agent; one that is there already stays as it is. Raises `Refused`."""
        ...

    async def remove(self, home: str, agent: str) -> None:
        """Remove the credential of this agent; gone already is success."""
        ...


class Inventory(Protocol):
    """What lies in a namespace of subagents for them to use, and what the cluster accepts."""

    async def models(self, home: str, *, fresh: bool = False) -> frozenset[str]:
        """Names of the ModelConfigs."""
        ...

    async def tools(self, home: str, *, fresh: bool = False) -> Mapping[str, frozenset[str]]:
        """The tools that each RemoteMCPServer was seen to offer, by server name."""
        ...

    async def violations(self, manifest: Manifest) -> Sequence[Violation]:
        """Every place where the manifest does not fit the CRD served now; unknown fields are violations.

        Raises `Refused("unserved", …)` when the cluster serves no such kind.
        """
        ...

    async def schema_hash(self) -> str:
        """`sha256:` of the schema that `violations` holds manifests against. Raises the same."""
        ...


class Access(Protocol):
    """What RBAC says."""

    async def may_use(self, root: Root, template: str) -> bool:
        """Whether the root's virtual user has verb `use` on this template; remembered for a few seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """One line for the audit. `details` holds digests, codes and ids; never a secret, a token or a prompt."""

    event: str
    root: str
    caller: str
    subject: str = ""
    outcome: str = ""
    reasons: tuple[str, ...] = ()
    details: Mapping[str, str | int] = field(default_factory=dict)


class Audit(Protocol):
    """The log of every change and refusal."""

    async def write(self, record: Record) -> Head:
        """Write it durably and return where the log now stands. Raises `Unavailable`; then nothing may be changed."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """A service account that showed a valid credential."""

    namespace: str
    name: str
    uid: str


class Tokens(Protocol):
    """Who a credential belongs to."""

    async def caller(self, token: str) -> Account | None:
        """The service account behind it; `None` when it is not valid here. Raises `Unavailable`."""
        ...

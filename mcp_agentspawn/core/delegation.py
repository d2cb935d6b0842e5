"""Tasks that subagents are given, in neutral words; only an adapter knows A2A. What a subagent says is a stranger's.

All ports raise `errors.Upstream` kinds and nothing else, and every call is bounded in time and size by its adapter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Literal, Protocol

from mcp_agentspawn.core.digest import canonical, digest_of
from mcp_agentspawn.core.model import Caller, Root

TaskState = Literal["submitted", "working", "input_required", "completed", "canceled", "failed", "rejected"]
ENDED: frozenset[TaskState] = frozenset({"completed", "canceled", "failed", "rejected"})
Asks = Literal["", "question", "tool_approval"]
"""What a task in `input_required` waits for: a word from its caller, or a person's tool approval."""

AGENT_GONE = "task.agent_gone"
AGENT_QUARANTINED = "task.agent_quarantined"
FORGOTTEN = "task.forgotten"
UNKNOWN_OUTCOME = "task.unknown_outcome"
UNANSWERED = "task.unanswered"
OVERDUE = "task.overdue"
CANCELED = "task.canceled"
REJECTED = "task.rejected"
TOO_LARGE = "task.too_large"
UNREADABLE = "task.unreadable"
"""Why a task ended without its agent's own word; the last three with a refusal of `RemoteAgents`."""

TASK_PREFIX = "task-"
TASK_CHARACTERS = 32
MOST_RESULT_BYTES = 64 * 1024
"""Of a result as a caller gets it and as it is kept, in UTF-8."""
MOST_ARGUMENTS_CHARACTERS = 16 * 1024
"""Of one pending call. A longer one can not be shown whole, so it can only be rejected."""


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A tool call that waits. `arguments` is its canonical JSON, `""` when it is too long to be shown whole."""

    id: str
    tool: str
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a task made, by reference: its bytes stay at the agent. Names are the agent's own words."""

    id: str
    name: str
    media_type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work for one subagent; `id` is the handle that its caller holds.

    `parent` is the subagent that gave it, `""` for the root. `remote` is the agent's own id of it, `""` before that is
    known. `sent` are the ids of the messages that were, or may have been, sent. `result` is bounded, redacted and
    written out. `reason` is a code that says why it ended as it did, or that its caller stops it. `counted`: its end is
    in the outcome history.
    """

    id: str
    root: str
    parent: str
    home: str
    agent: str
    agent_uid: str
    template: str
    entry: str
    context: str
    state: TaskState = "submitted"
    remote: str = ""
    sent: tuple[str, ...] = ()
    asks: Asks = ""
    pending: tuple[PendingCall, ...] = ()
    result: str = ""
    truncated: bool = False
    artifacts: tuple[Artifact, ...] = ()
    reason: str = ""
    tries: int = 0
    counted: bool = False
    created_at: datetime | None = None
    changed_at: datetime | None = None
    ended_at: datetime | None = None
    uid: str = ""
    version: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED

    @property
    def tree(self) -> Root:
        """The root of the tree in which it was given."""
        return Root.named(self.root, self.home)

    def belongs_to(self, caller: Caller) -> bool:
        """Whether this caller gave it; nobody else ever hears of it."""
        return (self.root, self.parent) == (caller.root.name, caller.agent)


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """A person's answer to a tool approval. `digest` is of the calls as they were shown, see `asked_digest`."""

    name: str
    task: str
    task_uid: str
    digest: str
    decision: Literal["approve", "reject"]
    decider: str
    reason: str = ""
    decided_at: datetime | None = None


def task_id(caller: Caller, agent_uid: str, message: str, thread: str = "") -> str:
    """The handle of this message of this caller to this agent: the same call again finds the same task.

    `thread` is the task that it goes on from, `""` for none.
    """
    asked = [caller.root.name, caller.root.home, caller.agent, agent_uid, thread, message]
    return TASK_PREFIX + sha256(canonical(asked).encode()).hexdigest()[:TASK_CHARACTERS]


def message_id(task: str, message: str, turn: int = 0) -> str:
    """The id of the message that this text is within a task, so that it is never sent twice."""
    return sha256(canonical([task, turn, message]).encode()).hexdigest()[:TASK_CHARACTERS]


def asked_digest(task: Task) -> str:
    """What a person's answer is bound to: this task, and the calls that wait, byte for byte."""
    calls = [[call.id, call.tool, call.arguments] for call in task.pending]
    return digest_of({"task": task.id, "uid": task.uid, "calls": calls})


@dataclass(frozen=True, slots=True)
class Address:
    """Which agent is talked to, on whose behalf, within which trace. No credential of anybody goes with it."""

    home: str
    agent: str
    uid: str
    user: str
    trace: str = ""

    @classmethod
    def of(cls, task: Task, trace: str = "") -> "Address":
        """Where the agent of this task is."""
        return cls(task.home, task.agent, task.agent_uid, task.tree.virtual_user, trace)


@dataclass(frozen=True, slots=True)
class Card:
    """What an agent says that it is (an A2A agent card); `skills` are their ids."""

    name: str
    skills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What is said to an agent: a text, or a person's decisions on the calls that wait.

    `task` is the agent's own id of the task that it answers, `""` for a new one. `calls` are those that waited when it
    was answered, questions for a text: it is the answer to no others. `decisions` say of each pending call, by id,
    whether it may be made; then `text` is the reason.
    """

    id: str
    context: str
    text: str
    task: str = ""
    calls: tuple[PendingCall, ...] = ()
    decisions: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent says of a task, as it came; `text` is bounded to four times what is kept.

    `remote` is the agent's id of the task, `""` when it answered with a message and keeps no task. `tries` is how
    often it was asked in vain before.
    """

    remote: str
    state: TaskState
    text: str = ""
    truncated: bool = False
    artifacts: tuple[Artifact, ...] = ()
    asks: Asks = ""
    pending: tuple[PendingCall, ...] = ()
    tries: int = 0


class RemoteAgents(Protocol):
    """Subagents that can be talked to.

    What is safe to repeat is tried three times. `Unavailable`: it surely did not take the message, or does not answer
    at all (also: it was given up for a while after it failed again and again). `UnknownOutcome`: it may have taken it.
    `Refused` codes: `rejected` (it said no), `not_cancelable`, `too_large`, `unreadable`.
    """

    async def card(self, at: Address) -> Card:
        """Fetch its card, fresh. Raises `Unavailable` and `Refused`."""
        ...

    async def send(self, at: Address, message: Message) -> Report:
        """Say something to it; answers as soon as it has taken the message, not when its work is done.

        An answer, or a decision, is `Refused("rejected", …)` unless exactly those calls still wait.
        """
        ...

    async def look(self, at: Address, remote: str) -> Report:
        """What it says of a task. Raises `Missing` when it knows of none, `Unavailable` and `Refused`."""
        ...

    async def cancel(self, at: Address, remote: str) -> Report:
        """Ask it to stop a task. Raises `Missing`, `Unavailable`, `UnknownOutcome` and `Refused`."""
        ...


class Tasks(Protocol):
    """Tasks as they are stored."""

    async def create(self, task: Task) -> Task:
        """Store a new one, of which nothing has become yet. Raises `Conflict` when its id is taken."""
        ...

    async def get(self, id_: str) -> Task | None:
        """Read one, fresh; `None` when there is none."""
        ...

    async def of_agent(self, agent: str) -> Sequence[Task]:
        """All tasks of one subagent, ended ones included, fresh."""
        ...

    async def all(self) -> Sequence[Task]:
        """All tasks there are."""
        ...

    async def update(self, task: Task) -> Task:
        """Store what became of it, if it is still at `task.version`. Raises `Conflict`, `Missing` and `Refused`.

        What it was given with never changes, and one that has ended stays so.
        """
        ...

    async def delete(self, task: Task) -> None:
        """Remove it if it is still at `task.version`; gone already is success. Raises `Conflict`."""
        ...


class TaskAnswers(Protocol):
    """Answers of people to tool approvals. They never change; the server clears old ones away."""

    async def of(self, task: str) -> Sequence[TaskAnswer]:
        """All answers about the task of this id, fresh, also those that are about other calls."""
        ...

    async def all(self) -> Sequence[TaskAnswer]:
        """All answers there are."""
        ...

    async def create(self, answer: TaskAnswer) -> TaskAnswer:
        """Store a person's answer, with that person's own identity. Raises `Conflict` and `Refused`."""
        ...

    async def delete(self, answer: TaskAnswer) -> None:
        """Remove it; gone already is success."""
        ...

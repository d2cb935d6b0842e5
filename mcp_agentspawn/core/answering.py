"""How a person answers the tool calls that a subagent waits with: these very calls, once, in their own name."""

from collections.abc import Iterable
from typing import Literal

from mcp_agentspawn.core.delegation import Task, TaskAnswer, asked_digest
from mcp_agentspawn.core.verdict import Reason

Choice = Literal["approve", "reject"]

ENDED = Reason("task.ended", "It has ended: nobody waits for an answer any more.")
ASKS_NOTHING = Reason("task.asks_nothing", "It asks nothing now.")
ASKS_ITS_CALLER = Reason("task.asks_its_caller", "It asks a question, which whoever delegated it answers.")
NOT_SHOWN = Reason(
    "task.not_shown", "The arguments of a call are too long to be shown whole, so it can only be rejected."
)


def waits_for_people(task: Task) -> bool:
    """Whether it waits for a person's tool approval."""
    return not task.ended and task.asks == "tool_approval" and bool(task.pending)


def unanswerable(task: Task, choice: Choice | None = None) -> Reason | None:
    """Why nobody can answer it, or not so; `None` when a person can."""
    if task.ended:
        return ENDED
    if task.asks == "question":
        return ASKS_ITS_CALLER
    if not waits_for_people(task):
        return ASKS_NOTHING
    return NOT_SHOWN if choice == "approve" and not all(call.arguments for call in task.pending) else None


def counting(task: Task, answers: Iterable[TaskAnswer]) -> TaskAnswer | None:
    """The one answer that counts: the first to these very calls."""
    asked = (task.uid, asked_digest(task))
    given = [answer for answer in answers if answer.decided_at and (answer.task_uid, answer.digest) == asked]
    return min(given, key=lambda answer: (answer.decided_at, answer.name), default=None)

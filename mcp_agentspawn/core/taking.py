"""May a subagent take one more task? One that is there for one takes one, and a conversation is about one at a time.

An agent takes an answer for one to whatever its conversation waits with. With two tasks in one, an answer to a question
of the first, or a person's approval of its call, would approve a call of the second that nobody saw.
"""

from collections.abc import Iterable
from typing import Literal

from mcp_agentspawn.core.delegation import CANCELED, FORGOTTEN, REJECTED, Task

MOST_KEPT = 128
"""Tasks of one agent, with those that have ended: more are taken once old ones were cleared away."""

Obstacle = Literal["", "busy", "done", "conversation"]


def obstacle(new: Task, known: Iterable[Task], at_a_time: int, *, single: bool) -> Obstacle:
    """Why its agent can not take a new task beside those that are known of it; `""` when it can.

    `single`: it is there for one task.
    """
    others = [task for task in known if task.id != new.id and task.agent_uid == new.agent_uid]
    if single and any(task.ended for task in others):
        return "done"
    room = min(at_a_time, 1) if single else at_a_time
    if len(others) >= MOST_KEPT or sum(not task.ended for task in others) >= room:
        return "busy"
    return "conversation" if any(task.context == new.context and not is_done_with(task) for task in others) else ""


def is_done_with(task: Task) -> bool:
    """Whether its agent does no more about it, and says so: one that was merely given up may still go on."""
    if task.reason == CANCELED:
        return task.ended and bool(task.remote)
    if task.reason == REJECTED:
        return not task.remote
    return task.ended and task.reason in {"", FORGOTTEN}

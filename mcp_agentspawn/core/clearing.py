"""What is kept for a while and then says nothing more: old tasks, and what people once said. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from mcp_agentspawn.core.delegation import Task, TaskAnswer
from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.core.moments import is_over
from mcp_agentspawn.core.switches import Reset

KEPT_FOR = timedelta(hours=24)
"""How long a person's word is kept once what it is about is gone."""

UNCLAIMED_KEPT_FOR = timedelta(days=30)
"""How long a person's word on a service account waits for that account to spawn."""

TASK_KEPT_FOR = timedelta(hours=1)
"""How long the result of a task that has ended can be fetched."""

MOST_ENDED_TASKS = 20
"""Of one agent; beyond, the oldest go sooner."""


def outdated(now: datetime, approvals: Sequence[Approval], proposals: Collection[str]) -> Sequence[Approval]:
    """Decisions on proposals that are gone, kept long enough."""
    return [
        approval
        for approval in approvals
        if approval.proposal not in proposals and is_over(now, approval.decided_at, KEPT_FOR)
    ]


def answered(now: datetime, answers: Sequence[TaskAnswer], tasks: Collection[str]) -> Sequence[TaskAnswer]:
    """Answers of people about tasks that are gone, kept long enough."""
    return [answer for answer in answers if answer.task not in tasks and is_over(now, answer.decided_at, KEPT_FOR)]


def worn_out(now: datetime, resets: Sequence[Reset], accounts: Mapping[str, str]) -> Sequence[Reset]:
    """Resets that say nothing more: what they reset no longer counts anyway.

    One for a service account speaks until that account, by its uid, is the root's in `accounts`, or for a month.
    """
    return [
        reset
        for reset in resets
        if is_over(now, reset.at, KEPT_FOR if reset.account in {"", accounts.get(reset.root)} else UNCLAIMED_KEPT_FOR)
    ]


def spent_tasks(now: datetime, tasks: Sequence[Task]) -> Sequence[Task]:
    """Tasks that ended long enough ago, and the oldest of those of an agent that has too many of them."""
    ended: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if task.ended_at is not None:
            ended[task.agent].append(task)
    return [task for of_agent in ended.values() for task in _spent(now, of_agent)]


def _spent(now: datetime, ended: list[Task]) -> Sequence[Task]:
    """`ended` are those of one agent."""
    ended.sort(key=lambda task: (task.ended_at or now, task.id))
    surplus = max(0, len(ended) - MOST_ENDED_TASKS)
    return [task for place, task in enumerate(ended) if place < surplus or is_over(now, task.ended_at, TASK_KEPT_FOR)]

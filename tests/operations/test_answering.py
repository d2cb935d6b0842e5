"""Which answer of a person counts, and which tasks can be answered at all."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.answering import Choice, counting, unanswerable, waits_for_people
from mcp_agentspawn.core.delegation import PendingCall, Task, TaskAnswer, asked_digest
from mcp_agentspawn.operations.answering import is_taken
from tests.builders import NOON, bench, stored_task, task

CALL = PendingCall("call-1", "fetch", '{"url":"https://example.com"}')
WAITING = task(state="input_required", asks="tool_approval", pending=(CALL,), uid="uid-1")


def said(name: str, task: Task = WAITING, **changes: Any) -> TaskAnswer:
    answer = TaskAnswer(name, task.id, task.uid, asked_digest(task), "approve", "alice", decided_at=NOON)
    return replace(answer, **changes)


@pytest.mark.parametrize(
    ("changes", "choice", "code"),
    [
        ({}, None, ""),
        ({}, "approve", ""),
        ({"state": "completed"}, "reject", "task.ended"),
        ({"asks": "question"}, "reject", "task.asks_its_caller"),
        ({"asks": "", "state": "working"}, "reject", "task.asks_nothing"),
        ({"pending": ()}, "reject", "task.asks_nothing"),
        ({"pending": (CALL, PendingCall("call-2", "fetch"))}, "approve", "task.not_shown"),
        ({"pending": (CALL, PendingCall("call-2", "fetch"))}, "reject", ""),
    ],
)
def test_only_calls_that_wait_and_were_shown_are_answered(
    changes: dict[str, Any], choice: Choice | None, code: str
) -> None:
    problem = unanswerable(replace(WAITING, **changes), choice)

    assert (problem.code if problem else "") == code


def test_a_task_that_ended_or_asks_its_caller_does_not_wait_for_people() -> None:
    assert waits_for_people(WAITING)
    assert not waits_for_people(replace(WAITING, state="failed"))
    assert not waits_for_people(replace(WAITING, asks="question"))


def test_the_first_answer_counts() -> None:
    late = said("task-1.a", decision="reject", decided_at=NOON + timedelta(seconds=1))

    first = counting(WAITING, [late, said("task-1.c"), said("task-1.b")])

    assert first is not None
    assert first.name == "task-1.b"
    assert counting(WAITING, []) is None


@pytest.mark.parametrize(
    "other", [{"task_uid": "another"}, {"digest": asked_digest(replace(WAITING, pending=()))}, {"decided_at": None}]
)
def test_an_answer_to_other_calls_or_another_task_counts_for_nothing(other: dict[str, Any]) -> None:
    assert counting(WAITING, [replace(said("task-1.a"), **other)]) is None


def test_an_answer_is_taken_when_the_task_no_longer_waits_with_these_calls() -> None:
    world = bench().world

    async def story() -> list[bool]:
        task = await stored_task(world.tasks, WAITING)
        found = [await is_taken(world.tasks, task, 0)]
        waiting = asyncio.create_task(is_taken(world.tasks, task, 5))
        await asyncio.sleep(0)
        await world.tasks.update(replace(task, pending=(replace(CALL, id="call-2"),)))
        return [*found, await waiting, await is_taken(world.tasks, replace(task, id="task-2"), 0)]

    assert asyncio.run(story()) == [False, True, True]

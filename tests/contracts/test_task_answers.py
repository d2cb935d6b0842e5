"""Answers of people to tool approvals: found by their task at once, by every server, and never changed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from mcp_agentspawn.core.delegation import TaskAnswer
from mcp_agentspawn.core.errors import Conflict
from tests.contracts.stages import Stage


def handle() -> str:
    return f"task-{uuid4().hex}"


def answer(stage: Stage, task: str, suffix: str = "a", **changes: Any) -> TaskAnswer:
    made = TaskAnswer(
        name=f"{task}.{suffix}",
        task=task,
        task_uid="uid-1",
        digest="sha256:1",
        decision="approve",
        decider=stage.person_name,
        reason="Ünïcode “why” 🔎",
    )
    return replace(made, **changes)


async def test_an_answer_is_stored_as_it_was_given_at_the_moment_of_its_storing(stage: Stage) -> None:
    given = answer(stage, handle())

    stored = await stage.person.task_answers.create(given)

    assert stored.decided_at is not None
    assert abs(datetime.now(UTC) - stored.decided_at) < timedelta(seconds=60)
    assert replace(stored, decided_at=None) == given
    assert await stage.world.task_answers.of(given.task) == [stored]
    assert await stage.replica.task_answers.of(given.task) == [stored]


async def test_a_reason_may_be_empty_and_an_answer_may_be_no(stage: Stage) -> None:
    await stage.person.task_answers.create(answer(stage, id_ := handle(), decision="reject", reason=""))

    (found,) = await stage.world.task_answers.of(id_)
    assert (found.decision, found.reason) == ("reject", "")


async def test_a_task_has_its_own_answers_only(stage: Stage) -> None:
    mine, other = handle(), handle()
    for task in (mine, other):
        await stage.person.task_answers.create(answer(stage, task))

    assert [found.task for found in await stage.world.task_answers.of(mine)] == [mine]
    assert await stage.world.task_answers.of(handle()) == []
    assert {mine, other} <= {found.task for found in await stage.world.task_answers.all()}


async def test_all_answers_about_a_task_are_found_whatever_calls_they_are_about(stage: Stage) -> None:
    task = handle()
    for suffix, changes in {"a": {}, "b": {"digest": "sha256:other"}, "c": {"task_uid": "of a namesake"}}.items():
        await stage.person.task_answers.create(answer(stage, task, suffix, **changes))

    assert {found.name for found in await stage.world.task_answers.of(task)} == {f"{task}.{s}" for s in "abc"}


@pytest.mark.parametrize("odd", ["", "..", "a,spec.decider=b", "a\n", "a=b", "A B", "!", "x" * 500])
async def test_what_can_be_no_task_has_no_answers(stage: Stage, odd: str) -> None:
    await stage.person.task_answers.create(answer(stage, handle()))

    assert await stage.world.task_answers.of(odd) == []


async def test_a_name_is_taken_once(stage: Stage) -> None:
    stored = await stage.person.task_answers.create(answer(stage, handle()))

    with pytest.raises(Conflict):
        await stage.person.task_answers.create(answer(stage, stored.task, decision="reject"))

    assert await stage.world.task_answers.of(stored.task) == [stored]


async def test_of_two_at_the_same_moment_one_is_stored(stage: Stage) -> None:
    given = answer(stage, handle())

    said = await asyncio.gather(*(stage.person.task_answers.create(given) for _ in range(2)), return_exceptions=True)

    assert sorted(type(one).__name__ for one in said) == ["Conflict", "TaskAnswer"]


async def test_what_is_removed_is_gone_and_stays_gone(stage: Stage) -> None:
    by_person = await stage.person.task_answers.create(answer(stage, handle()))
    by_server = await stage.person.task_answers.create(answer(stage, handle()))

    for _ in range(2):
        await stage.person.task_answers.delete(by_person)
        await stage.world.task_answers.delete(by_server)

    assert await stage.world.task_answers.of(by_person.task) == []
    assert await stage.world.task_answers.of(by_server.task) == []

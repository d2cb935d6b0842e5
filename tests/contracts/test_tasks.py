"""Tasks: given once, found by their agent, moved on by whoever saw them last, and ended for good."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from mcp_agentspawn.core.delegation import (
    ENDED,
    MOST_ARGUMENTS_CHARACTERS,
    MOST_RESULT_BYTES,
    Artifact,
    PendingCall,
    Task,
    TaskState,
)
from mcp_agentspawn.core.errors import Conflict, Missing, Refused
from mcp_agentspawn.core.model import Root
from tests.builders import task as some_task
from tests.contracts.stages import Stage, fresh

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


def task(stage: Stage, **changes: Any) -> Task:
    """A new task of the stage's root."""
    made = some_task(id=f"task-{uuid4().hex}", root=stage.root.name, home=stage.root.home, agent=fresh())
    return replace(made, **changes)


def grown(given: Task, **changes: Any) -> Task:
    """The same with something in every field that tells what became of it."""
    calls = (PendingCall("call-1", "fetch", '{"url":"Ünïcode \\" <&> 🔎"}'), PendingCall("call-2", "search"))
    artifacts = (Artifact("artifact-1", "räport.pdf", "application/pdf", 2**40), Artifact("a", "", "", 0))
    said = replace(
        given,
        state="input_required",
        remote="remote-1",
        sent=("message-1", "message-2"),
        asks="tool_approval",
        pending=calls,
        result="Ünïcode “said” 🔎\n\t",
        truncated=True,
        artifacts=artifacts,
        reason="task.some_code",
        tries=2,
        changed_at=NOW,
    )
    return replace(said, **changes)


async def test_a_stored_task_is_the_one_that_was_given(stage: Stage) -> None:
    given = task(stage, parent="sub-parent", entry=f"main/acme/counter@v1#sha256:{'0' * 64}")

    stored = await stage.world.tasks.create(given)

    assert stored.created_at is not None
    assert abs(datetime.now(UTC) - stored.created_at) < timedelta(seconds=60)
    assert stored.version
    assert stored.uid
    assert replace(stored, created_at=None, uid="", version="") == given
    assert await stage.replica.tasks.get(given.id) == stored


async def test_it_is_stored_with_the_message_that_it_begins_with(stage: Stage) -> None:
    given = task(stage, sent=("message-1",), changed_at=NOW)

    stored = await stage.world.tasks.create(given)
    unsent = await stage.world.tasks.update(replace(stored, sent=()))

    assert replace(stored, created_at=None, uid="", version="") == given
    assert unsent.sent == ()
    assert await stage.replica.tasks.get(given.id) == unsent


async def test_what_became_of_it_is_kept_to_the_microsecond(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))

    changed = await stage.world.tasks.update(grown(stored))
    ended = await stage.world.tasks.update(
        replace(changed, state="completed", asks="", pending=(), counted=True, ended_at=NOW)
    )

    assert replace(changed, version="") == replace(grown(stored), version="")
    assert (ended.asks, ended.pending, ended.counted, ended.ended_at) == ("", (), True, NOW)
    assert await stage.replica.tasks.get(stored.id) == ended


async def test_nothing_has_become_of_a_new_one(stage: Stage) -> None:
    given = task(stage, sent=("message-1", "message-2"), changed_at=NOW)

    stored = await stage.world.tasks.create(grown(given))

    assert replace(stored, created_at=None, uid="", version="") == given
    assert await stage.replica.tasks.get(given.id) == stored


async def test_the_longest_that_may_be_said_is_kept(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))
    calls = tuple(PendingCall(f"call-{number}", "tool", "<" * MOST_ARGUMENTS_CHARACTERS) for number in range(8))

    changed = await stage.world.tasks.update(grown(stored, result="<" * MOST_RESULT_BYTES, pending=calls))

    assert (len(changed.result), changed.pending) == (MOST_RESULT_BYTES, calls)
    assert await stage.replica.tasks.of_agent(stored.agent) == [changed]


async def test_a_handle_is_taken_once(stage: Stage) -> None:
    first = await stage.world.tasks.create(task(stage))

    with pytest.raises(Conflict):
        await stage.replica.tasks.create(replace(first, agent="sub-other"))

    assert await stage.world.tasks.get(first.id) == first


async def test_of_two_at_the_same_moment_one_is_stored(stage: Stage) -> None:
    given = task(stage)

    said = await asyncio.gather(
        *(world.tasks.create(given) for world in (stage.world, stage.replica)), return_exceptions=True
    )

    assert sorted(type(answer).__name__ for answer in said) == ["Conflict", "Task"]


async def test_what_is_not_there_is_none(stage: Stage) -> None:
    for id_ in (f"task-{uuid4().hex}", "", "..", "a/status", "%2e%2e", "A B"):
        assert await stage.world.tasks.get(id_) is None


async def test_only_who_saw_it_last_moves_it_on(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))
    changed = await stage.world.tasks.update(replace(stored, state="working"))

    with pytest.raises(Conflict):
        await stage.replica.tasks.update(replace(stored, state="canceled"))

    assert await stage.world.tasks.get(stored.id) == changed


async def test_of_two_changes_at_the_same_moment_one_counts(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))

    said = await asyncio.gather(
        stage.world.tasks.update(replace(stored, state="completed")),
        stage.replica.tasks.update(replace(stored, state="canceled")),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in said) == ["Conflict", "Task"]


async def test_what_is_gone_is_not_moved_on(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))
    await stage.world.tasks.delete(stored)

    with pytest.raises(Missing):
        await stage.world.tasks.update(replace(stored, state="working"))


@pytest.mark.parametrize("final", sorted(ENDED))
@pytest.mark.parametrize("later", ["submitted", "working", "input_required", "completed", "failed"])
async def test_what_has_ended_stays_so(stage: Stage, final: TaskState, later: TaskState) -> None:
    stored = await stage.world.tasks.create(task(stage))
    ended = await stage.world.tasks.update(replace(stored, state=final, ended_at=NOW))
    if later == final:
        return

    with pytest.raises(Refused) as refusal:
        await stage.world.tasks.update(replace(ended, state=later))

    assert refusal.value.code == "invalid"
    assert await stage.world.tasks.get(stored.id) == ended


async def test_the_end_of_one_can_still_be_counted(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))
    ended = await stage.world.tasks.update(replace(stored, state="failed", ended_at=NOW))

    assert (await stage.world.tasks.update(replace(ended, counted=True))).counted


@pytest.mark.parametrize(
    "given",
    [
        {"root": "agents/other"},
        {"parent": "sub-other"},
        {"agent": "sub-other"},
        {"agent_uid": "uid-2"},
        {"template": "other"},
        {"context": "other"},
        {"entry": "main/acme/other@v1#sha256:0"},
    ],
    ids=str,
)
async def test_what_it_was_given_with_never_changes(stage: Stage, given: dict[str, Any]) -> None:
    stored = await stage.world.tasks.create(task(stage))

    with suppress(Refused):
        await stage.world.tasks.update(replace(stored, **given))

    found = await stage.world.tasks.get(stored.id)
    assert found is not None
    assert replace(found, version="") == replace(stored, version="")


async def test_what_has_changed_is_not_deleted(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))
    changed = await stage.world.tasks.update(replace(stored, state="working"))

    with pytest.raises(Conflict):
        await stage.world.tasks.delete(stored)

    assert await stage.world.tasks.get(stored.id) == changed


async def test_what_is_deleted_is_gone_and_stays_gone(stage: Stage) -> None:
    stored = await stage.world.tasks.create(task(stage))

    await stage.world.tasks.delete(stored)
    await stage.world.tasks.delete(stored)

    assert await stage.world.tasks.get(stored.id) is None
    assert await stage.world.tasks.of_agent(stored.agent) == []
    assert stored.id not in {found.id for found in await stage.world.tasks.all()}


async def test_each_agent_has_its_own_ended_ones_included(stage: Stage) -> None:
    mine, theirs = fresh(), fresh()
    first, second = [await stage.world.tasks.create(task(stage, agent=mine)) for _ in range(2)]
    third = await stage.world.tasks.create(task(stage, agent=theirs))
    first = await stage.world.tasks.update(replace(first, state="completed"))
    tasks = stage.replica.tasks

    assert {found.id for found in await tasks.of_agent(mine)} == {first.id, second.id}
    assert await tasks.of_agent(theirs) == [third]
    assert await tasks.of_agent(fresh()) == []
    assert {first.id, second.id, third.id} <= {found.id for found in await tasks.all()}


@pytest.mark.parametrize("odd", ["", "..", "a,b=c", "a\n", "a=b", "A B", "!", "x" * 500])
async def test_what_can_be_no_agent_has_no_tasks(stage: Stage, odd: str) -> None:
    await stage.world.tasks.create(task(stage))

    assert await stage.world.tasks.of_agent(odd) == []


async def test_the_longest_names_are_kept(stage: Stage) -> None:
    longest = Root("n" * 63, "a" * 189, "h" * 63)
    agent = "sub-" + "a" * 36

    given = task(stage, root=longest.name, home=longest.home, agent=agent, parent=agent, template="t" * 63)

    stored = await stage.world.tasks.create(given)

    assert replace(stored, created_at=None, uid="", version="") == given

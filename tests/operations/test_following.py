"""What becomes of tasks that nobody asks about, of people's answers, and of ends that are stored while others act."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from mcp_agentspawn.core.delegation import Address, Message, Report, Task, TaskAnswer, asked_digest
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.operations.following import refresh, refresh_open
from mcp_agentspawn.operations.storing import store
from mcp_agentspawn.operations.telling import MOST_SENT
from tests.builders import NOON, ROOT, Bench, bench
from tests.operations.work import ASKS, DONE, SEARCH, WAITS_FOR_PEOPLE, given, report, seen, stored, worker


async def task_of(setup: Bench, *script: Report) -> tuple[str, Task]:
    """A subagent and its task, after the first word of this script."""
    agent = await worker(setup)
    setup.remote_agents.script[agent] = list(script)
    return agent, await stored(setup, (await given(setup, agent)).task)


async def followed(setup: Bench) -> list[Task]:
    """What is stored once everything was followed up."""
    assert await refresh_open(setup.services, [task.id for task in await setup.world.tasks.all()]) == []
    await setup.services.later.settle()
    return list(await setup.world.tasks.all())


async def answer(setup: Bench, task: Task, decision: str = "approve", **changes: object) -> TaskAnswer:
    """A person's answer to what this task waits for."""
    said = TaskAnswer("answer-1", task.id, task.uid, asked_digest(task), "approve", "alice", "fine")
    return await setup.world.task_answers.create(replace(said, decision=decision, **changes))  # type: ignore[arg-type]  # a test's changes are its own


async def test_tasks_that_nobody_asks_about_come_to_their_end() -> None:
    setup = bench()
    await task_of(setup, report(), DONE)
    (task,) = await followed(setup)

    assert (task.state, task.ended_at, task.counted) == ("completed", NOON, True)
    ended = [record for record in setup.audit.records if record.event == "task.ended"]
    assert [(record.subject, record.outcome) for record in ended] == [(task.id, "completed")]


async def test_one_task_that_can_not_be_followed_keeps_none_of_the_others() -> None:
    setup = bench()
    first, second = await worker(setup, "one"), await worker(setup, "two")
    setup.remote_agents.script = {first: [report()], second: [report(), DONE]}
    await given(setup, first)
    await given(setup, second)
    setup.remote_agents.failing[first] = UnknownOutcome("odd")

    assert {task.agent: task.state for task in await followed(setup)} == {first: "working", second: "completed"}


async def test_what_fails_otherwise_is_told_and_keeps_none_of_the_others() -> None:
    setup = bench()
    first, second = await worker(setup, "one"), await worker(setup, "two")
    setup.remote_agents.script = {first: [report()], second: [report(), DONE]}
    tasks = [(await given(setup, first)).task, (await given(setup, second)).task]
    setup.remote_agents.failing[first] = odd = RuntimeError("odd")

    assert await refresh_open(setup.services, tasks) == [odd]
    assert (await stored(setup, tasks[1])).state == "completed"


async def test_a_task_that_can_not_be_read_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    first, second = await worker(setup, "one"), await worker(setup, "two")
    setup.remote_agents.script = {first: [report()], second: [report(), DONE]}
    tasks = [(await given(setup, first)).task, (await given(setup, second)).task]
    get = setup.world.tasks.get

    async def half(id_: str) -> Task | None:
        if id_ == tasks[0]:
            raise Unavailable("down")
        return await get(id_)

    monkeypatch.setattr(setup.world.tasks, "get", half)
    assert await refresh_open(setup.services, [*tasks, "task-gone"]) == []
    assert (await stored(setup, tasks[1])).state == "completed"


async def test_an_end_that_was_stored_and_not_counted_is_counted_once() -> None:
    setup = bench()
    _, task = await task_of(setup, DONE)
    uncounted = await setup.world.tasks.update(replace(task, counted=False))
    assert (await refresh(setup.services, uncounted)).counted
    await followed(setup)

    ledger = await setup.services.ledgers.look(ROOT.name)
    assert ledger.outcomes["template:researcher"].tasks == 1


async def test_an_end_that_can_not_be_counted_is_told_all_the_same_and_counted_later() -> None:
    setup = bench()
    _, task = await task_of(setup, DONE)
    await setup.world.tasks.update(replace(task, counted=False))
    setup.audit.failing = Unavailable("full")
    assert (await seen(setup, task.id)).state == "completed"
    assert not (await stored(setup, task.id)).counted

    setup.audit.failing = None
    assert (await followed(setup))[0].counted


async def test_a_task_that_takes_too_long_is_given_up_and_its_agent_told() -> None:
    setup = bench(tasks={"end_within": "10m"})
    _, task = await task_of(setup, report())
    setup.clock.advance(seconds=599)
    assert (await followed(setup))[0].state != "failed"
    setup.clock.advance(seconds=1)
    (ended,) = await followed(setup)

    assert (ended.state, ended.reason) == ("failed", "task.overdue")
    assert setup.remote_agents.canceled == [task.remote]


@pytest.mark.parametrize("asking", [ASKS, WAITS_FOR_PEOPLE])
async def test_what_nobody_answers_is_given_up(asking: Report) -> None:
    setup = bench(tasks={"answer_within": "5m"})
    await task_of(setup, asking)
    setup.clock.advance(minutes=4, seconds=59)
    assert (await followed(setup))[0].state == "input_required"
    setup.clock.advance(seconds=1)
    (ended,) = await followed(setup)

    assert (ended.state, ended.reason, ended.asks, ended.pending) == ("failed", "task.unanswered", "", ())


async def test_whoever_sees_first_that_what_was_given_up_has_stopped_counts_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench(tasks={"answer_within": "5m"})
    agent, task = await task_of(setup, ASKS)
    cancel = setup.remote_agents.cancel

    async def seen_first(at: Address, remote: str) -> Report:
        setup.remote_agents.script[agent] = [replace(await cancel(at, remote), asks="", pending=())]
        await store(setup.services, task, setup.remote_agents.script[agent][0])
        return setup.remote_agents.script[agent][0]

    monkeypatch.setattr(setup.remote_agents, "cancel", seen_first)
    setup.clock.advance(minutes=5)

    assert (await followed(setup))[0].reason == "task.unanswered"
    assert (await setup.world.ledgers.look(ROOT.name)).outcomes == {}


async def test_what_is_answered_just_as_it_is_to_be_given_up_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench(tasks={"answer_within": "5m"})
    _, task = await task_of(setup, ASKS)
    update = setup.world.tasks.update

    async def answered_first(given_up: Task) -> Task:
        monkeypatch.undo()
        await update(replace(task, sent=(*task.sent, "answer")))
        return await update(given_up)

    monkeypatch.setattr(setup.world.tasks, "update", answered_first)
    setup.clock.advance(minutes=5)

    assert (await followed(setup))[0].sent[-1] == "answer"
    assert setup.remote_agents.canceled == []


async def test_giving_up_needs_no_word_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench(tasks={"end_within": "1m"})
    await task_of(setup, report())

    async def can_not(_at: Address, _remote: str) -> Report:
        raise Refused("not_cancelable", "no")

    monkeypatch.setattr(setup.remote_agents, "cancel", can_not)
    setup.clock.advance(minutes=1)

    assert (await followed(setup))[0].reason == "task.overdue"


async def test_without_a_policy_the_default_times_hold() -> None:
    setup = bench()
    await task_of(setup, report())
    setup.rules.policies.clear()
    assert (await followed(setup))[0].state != "failed"
    setup.clock.time += timedelta(hours=4)
    assert (await followed(setup))[0].state == "failed"


@pytest.mark.parametrize(("decision", "may"), [("approve", True), ("reject", False)])
async def test_a_persons_answer_is_brought_to_the_agent_once(decision: str, may: bool) -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE, report())
    await answer(setup, task, decision)
    for _ in range(3):
        (followed_up,) = await followed(setup)

    assert (followed_up.state, followed_up.asks) == ("working", "")
    (_, first), (_, message) = setup.remote_agents.said
    assert (message.decisions, message.task, message.text) == ({SEARCH.id: may}, task.remote, "fine")
    assert message.calls == (SEARCH,)
    assert message.id != first.id
    (record,) = [record for record in setup.audit.records if record.event == "task.answered"]
    assert (record.subject, record.outcome, record.details["decider"]) == (task.id, decision, "alice")


async def test_the_first_answer_counts() -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE, report())
    await answer(setup, task, "reject", name="z")
    setup.clock.advance(seconds=1)
    await answer(setup, task, "approve", name="a")
    await followed(setup)

    assert setup.remote_agents.said[1][1].decisions == {SEARCH.id: False}


@pytest.mark.parametrize("changes", [{"task_uid": "another"}, {"digest": f"sha256:{'0' * 64}"}])
async def test_an_answer_to_something_else_is_none(changes: dict[str, str]) -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE)
    await answer(setup, task, **changes)

    assert (await followed(setup))[0].asks == "tool_approval"
    assert len(setup.remote_agents.said) == 1


async def test_a_call_that_could_not_be_shown_whole_is_never_made() -> None:
    setup = bench()
    hidden = replace(WAITS_FOR_PEOPLE, pending=(SEARCH, replace(SEARCH, id="call-9", arguments="")))
    _, task = await task_of(setup, hidden, report())
    await answer(setup, task)
    await followed(setup)

    assert setup.remote_agents.said[1][1].decisions == {SEARCH.id: True, "call-9": False}


async def test_a_question_is_never_answered_by_an_approval() -> None:
    setup = bench()
    _, task = await task_of(setup, ASKS)
    await answer(setup, task)
    await followed(setup)

    assert len(setup.remote_agents.said) == 1


async def test_an_answer_that_was_not_heard_is_brought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE, WAITS_FOR_PEOPLE, report())
    await answer(setup, task)

    async def down(_at: Address, _message: Message) -> Report:
        raise Unavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(setup.remote_agents, "send", down)
        assert (await followed(setup))[0].asks == "tool_approval"
    assert (await followed(setup))[0].asks == ""


async def test_an_answer_that_may_have_been_heard_is_not_brought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE)
    await answer(setup, task)

    async def lost(_at: Address, _message: Message) -> Report:
        raise UnknownOutcome("lost")

    with monkeypatch.context() as patch:
        patch.setattr(setup.remote_agents, "send", lost)
        await followed(setup)
    await followed(setup)

    assert len(setup.remote_agents.said) == 1


async def test_a_task_that_was_told_too_much_is_told_no_more() -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE)
    task = await setup.world.tasks.update(replace(task, sent=("earlier",) * MOST_SENT))
    await answer(setup, task)
    await followed(setup)

    assert len(setup.remote_agents.said) == 1


async def test_two_replicas_bring_an_answer_once() -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE, WAITS_FOR_PEOPLE, report())
    await answer(setup, task)
    await asyncio.gather(*(refresh(setup.services, task) for _ in range(2)))

    assert len(setup.remote_agents.said) == 2


async def test_what_somebody_else_stored_meanwhile_is_what_counts() -> None:
    setup = bench()
    _, task = await task_of(setup, report())
    ended = await setup.world.tasks.update(replace(task, state="canceled", reason="task.canceled", counted=True))

    assert await store(setup.services, task, replace(DONE, remote=task.remote)) == ended


async def test_a_task_that_was_removed_meanwhile_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await task_of(setup, report())

    async def conflict(_task: Task) -> Task:
        raise Conflict("changed")

    monkeypatch.setattr(setup.world.tasks, "update", conflict)
    await setup.world.tasks.delete(task)
    with pytest.raises(Missing):
        await store(setup.services, task, DONE)


async def test_an_answer_for_a_task_that_changed_meanwhile_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE)
    await answer(setup, task)
    await setup.world.tasks.update(replace(task, tries=1))

    assert (await refresh(setup.services, task)).tries == 1
    assert len(setup.remote_agents.said) == 1


async def test_a_wait_goes_on_over_a_time_without_an_answer() -> None:
    setup = bench()
    agent, task = await task_of(setup, report(), DONE)
    setup.remote_agents.failing[agent] = Unavailable("down")
    asyncio.get_running_loop().call_later(0.3, setup.remote_agents.failing.clear)

    assert (await seen(setup, task.id, wait=5)).state == "completed"


async def test_a_wait_looks_afresh_at_what_others_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_agentspawn.operations.following.FRESH_LOOK_SECONDS", 0.0)
    setup = bench()
    _, task = await task_of(setup, WAITS_FOR_PEOPLE, report(), report(), DONE)
    await answer(setup, task)

    assert (await seen(setup, task.id, wait=5)).state == "completed"

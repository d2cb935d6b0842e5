"""Work for subagents: who may give it, that it is sent once, and what is said when it can not be."""

import asyncio
from dataclasses import replace

import pytest

from mcp_agentspawn.core.delegation import Address, Message, Report, message_id
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Caller, Phase
from mcp_agentspawn.operations.answers import Refusal, TaskAnswered
from mcp_agentspawn.operations.delegate import delegate
from mcp_agentspawn.operations.retire import retire
from mcp_agentspawn.operations.telling import MOST_SENT
from tests.builders import CALLER, OTHER, bench
from tests.operations.work import (
    ASKED,
    ASKS,
    DONE,
    SEARCH,
    WAITS_FOR_PEOPLE,
    given,
    refused,
    report,
    seen,
    starting,
    stored,
    worker,
)

TRACE = f"00-{'1' * 32}-{'2' * 16}-01"


async def test_work_is_given_to_a_ready_subagent_and_its_result_comes_back_as_data() -> None:
    setup = bench()
    agent = await worker(setup)
    answer = await given(setup, agent, "Say hello")

    assert (answer.outcome, answer.agent, answer.state, answer.truncated) == ("allowed", agent, "completed", False)
    assert answer.result.startswith(f"<<<DATA {agent}:")
    assert "\nSay hello\n" in answer.result
    (told,) = setup.remote_agents.said
    assert (told[0].agent, told[0].user, told[1].text) == (agent, CALLER.root.virtual_user, "Say hello")


async def test_work_that_takes_its_time_is_answered_at_once_with_its_handle() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    answer = await given(setup, agent)

    assert (answer.outcome, answer.state, answer.result) == ("allowed", "working", "")
    assert answer.task in answer.next_step


async def test_a_caller_may_wait_for_the_result() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report(), report(), DONE]

    assert (await given(setup, agent, wait=5)).state == "completed"


async def test_the_same_words_are_the_same_task_and_are_said_once() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report(), report(), DONE]
    tasks = {(await given(setup, agent)).task for _ in range(3)}

    assert len(tasks) == len(setup.remote_agents.said) == 1
    assert (await given(setup, agent, "Do it anew")).task not in tasks


async def test_what_is_said_is_known_before_it_is_sent_and_is_written_down_without_its_words() -> None:
    setup = bench()
    agent = await worker(setup)
    answer = await given(setup, agent, "Top secret")
    records = [record for record in setup.audit.records if record.event.startswith("task.")]

    assert [(record.event, record.subject) for record in records[:2]] == [
        ("task.intent", answer.task),
        ("task.outcome", answer.task),
    ]
    assert records[0].details["message"] == hash_of(b"Top secret")
    assert "Top secret" not in str(records)


async def test_the_trace_of_the_call_goes_on_to_the_subagent() -> None:
    setup = bench()
    agent = await worker(setup)
    await given(setup, agent, caller=replace(CALLER, trace=TRACE))

    assert setup.remote_agents.said[0][0].trace == TRACE


async def test_one_that_has_just_started_is_greeted_and_gets_its_work() -> None:
    setup = bench()
    agent = await starting(setup)
    setup.world.agents.set_ready("subagents", agent)

    assert (await given(setup, agent)).state == "completed"
    known = await setup.world.proposals.get(agent)
    assert known is not None
    assert known.phase == "ready"


@pytest.mark.parametrize("caller", [Caller(OTHER), Caller(CALLER.root, "sub-else")])
async def test_somebody_elses_subagent_and_one_that_is_not_there_are_answered_alike(caller: Caller) -> None:
    setup = bench()
    agent = await worker(setup)
    there = await delegate(setup.services, caller, agent, "Do it")
    nowhere = await delegate(setup.services, caller, "sub-nowhere", "Do it")

    assert there == nowhere
    assert isinstance(there, Refusal)
    assert there.reasons[0].code == "agent.unknown"
    assert setup.remote_agents.said == []
    assert all(agent not in record.subject for record in setup.audit.records if record.event == "refused")


async def test_without_a_policy_nobody_gives_work() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.rules.policies.clear()

    assert await refused(setup, agent) == ("denied", "policy.none")


async def test_one_that_has_not_started_is_to_be_waited_for() -> None:
    setup = bench()
    agent = await starting(setup)

    assert await refused(setup, agent) == ("unavailable", "agent.not_ready")


@pytest.mark.parametrize(
    ("phase", "code"), [("quarantined", "agent.quarantined"), ("retired", "agent.gone"), ("lapsed", "agent.gone")]
)
async def test_one_that_must_not_work_gets_no_work(phase: Phase, code: str) -> None:
    setup = bench()
    agent = await worker(setup)
    proposal = await setup.world.proposals.get(agent)
    assert proposal is not None
    await setup.world.proposals.mark(proposal, phase)

    assert (await refused(setup, agent))[1] == code
    assert setup.remote_agents.said == []


async def test_one_that_is_gone_past_its_time_or_without_its_place_gets_no_work() -> None:
    setup = bench()
    agent, late, placeless = [await worker(setup, name) for name in ("one", "two", "three")]
    await retire(setup.services, CALLER, agent)
    await setup.services.later.settle()
    await setup.services.ledgers.change(CALLER.root.name, lambda ledger: (ledger.released(placeless), None))

    assert await refused(setup, agent) == ("denied", "agent.gone")
    assert await refused(setup, placeless) == ("denied", "agent.gone")
    setup.clock.advance(minutes=30)
    assert await refused(setup, late) == ("denied", "agent.gone")


async def test_a_namesake_with_another_uid_gets_no_work() -> None:
    setup = bench()
    agent = await worker(setup)
    proposal = await setup.world.proposals.get(agent)
    assert proposal is not None
    await setup.world.proposals.mark(proposal, "ready", agent_uid="uid-of-its-first")

    assert await refused(setup, agent) == ("denied", "agent.gone")


async def test_a_subagent_has_only_so_many_tasks_at_a_time_and_another_one_its_own() -> None:
    setup = bench(tasks={"at_a_time": 2})
    agent, other = await worker(setup, "one"), await worker(setup, "two")
    setup.remote_agents.script = {agent: [report()], other: [report()]}
    first = await given(setup, agent, "1")
    await given(setup, agent, "2")

    assert await refused(setup, agent, "3") == ("unavailable", "task.busy")
    assert (await given(setup, other, "3")).state == "working"
    setup.remote_agents.script[agent] = [DONE]
    await seen(setup, first.task)
    assert (await given(setup, agent, "3")).state == "completed"


async def test_tasks_that_come_together_never_fill_more_room_than_there_is() -> None:
    setup = bench(tasks={"at_a_time": 3})
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    answers = await asyncio.gather(*(delegate(setup.services, CALLER, agent, f"Do {n}") for n in range(20)))
    taken = [answer for answer in answers if isinstance(answer, TaskAnswered)]

    assert len(taken) <= 3
    assert len(setup.remote_agents.said) == len(taken) == len(await setup.world.tasks.all())


async def test_what_was_surely_not_heard_leaves_nothing_and_may_be_said_again() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.failing[agent] = Unavailable("down")

    assert await refused(setup, agent) == ("unavailable", "task.unreachable")
    assert await setup.world.tasks.all() == []
    setup.remote_agents.failing.clear()
    assert (await given(setup, agent)).state == "completed"


async def test_what_may_have_been_heard_is_not_said_again_and_is_given_up_after_a_while() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.failing[agent] = UnknownOutcome("lost")
    answer = await given(setup, agent)
    setup.remote_agents.failing.clear()

    assert (answer.outcome, answer.reasons[0].code) == ("unavailable", "task.unknown_outcome")
    assert (await given(setup, agent)).state == "submitted"
    assert setup.remote_agents.said == []
    setup.clock.advance(seconds=90)
    ended = await seen(setup, answer.task)
    assert (ended.state, ended.reasons[0].code) == ("failed", "task.unknown_outcome")


async def test_an_agent_that_refuses_the_message_has_ended_the_task() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.failing[agent] = Refused("rejected", "no")
    answer = await given(setup, agent)

    assert (answer.state, answer.reasons[0].code) == ("failed", "task.rejected")


async def test_no_audit_no_work() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.audit.failing = Unavailable("full")
    with pytest.raises(Unavailable):
        await delegate(setup.services, CALLER, agent, "Do it")

    assert setup.remote_agents.said == []
    assert await setup.world.tasks.all() == []


async def test_a_task_that_vanishes_while_it_is_found_again_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    await given(setup, agent)

    async def nothing(_id: str) -> None:
        return None

    monkeypatch.setattr(setup.world.tasks, "get", nothing)
    with pytest.raises(Conflict):
        await delegate(setup.services, CALLER, agent, "Do it")


async def test_a_failure_of_the_store_while_sending_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)

    async def gone(_task: object) -> None:
        raise Missing("gone")

    monkeypatch.setattr(setup.world.tasks, "update", gone)
    with pytest.raises(Missing):
        await delegate(setup.services, CALLER, agent, "Do it")


async def test_an_agent_that_takes_its_time_to_take_a_message_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent = await worker(setup)
    heard = asyncio.Event()
    send = setup.remote_agents.send

    async def slow(at: Address, message: Message) -> Report:
        await heard.wait()
        return await send(at, message)

    monkeypatch.setattr(setup.remote_agents, "send", slow)
    monkeypatch.setattr("mcp_agentspawn.operations.delegate.STARTS_WITHIN_SECONDS", 0.01)
    answer = await delegate(setup.services, CALLER, agent, "Do it")
    assert isinstance(answer, TaskAnswered)
    assert answer.state == "submitted"

    heard.set()
    await setup.services.later.settle()
    assert (await seen(setup, answer.task)).state == "completed"


async def test_a_question_is_answered_with_the_task_that_asks_it() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS, ASKS, DONE]
    asked = await given(setup, agent)

    assert (asked.state, asked.asks) == ("input_required", "question")
    assert "Which one?" in asked.result
    ended = await given(setup, agent, "The first", asked.task)
    assert (ended.task, ended.state) == (asked.task, "completed")
    _, reply = setup.remote_agents.said[1]
    known = await stored(setup, asked.task)
    assert (reply.text, reply.task, reply.calls, reply.decisions) == ("The first", known.remote, (ASKED,), {})
    assert known.sent == (message_id(known.id, "Do it"), message_id(known.id, "The first", 1))


async def test_an_answer_is_given_once_however_often_it_is_said() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS, ASKS, report()]
    asked = await given(setup, agent)
    for _ in range(3):
        assert (await given(setup, agent, "The first", asked.task)).state == "working"

    assert len(setup.remote_agents.said) == 2


async def test_the_same_words_answer_a_second_question() -> None:
    setup = bench()
    agent = await worker(setup)
    second = replace(ASKS, pending=(replace(ASKED, id="call-3"),))
    setup.remote_agents.script[agent] = [ASKS, ASKS, second, second, DONE]
    asked = await given(setup, agent)
    again = await given(setup, agent, "Yes", asked.task)
    ended = await given(setup, agent, "Yes", asked.task)

    assert (again.asks, ended.state, len(setup.remote_agents.said)) == ("question", "completed", 3)


async def test_what_the_agent_still_shows_of_an_answered_question_is_no_new_one() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS, ASKS, ASKS, ASKS, DONE]
    asked = await given(setup, agent)

    assert (await given(setup, agent, "The first", asked.task, wait=5)).state == "completed"


async def down(_at: Address, _message: Message) -> Report:
    raise Unavailable("down")


async def test_an_answer_that_was_not_heard_can_be_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS, ASKS, ASKS, DONE]
    asked = await given(setup, agent)
    with monkeypatch.context() as patch:
        patch.setattr(setup.remote_agents, "send", down)
        assert await refused(setup, agent, "The first", asked.task) == ("unavailable", "task.unreachable")

    assert len((await stored(setup, asked.task)).sent) == 1
    assert (await given(setup, agent, "The first", asked.task, wait=5)).state == "completed"


async def test_a_tool_approval_is_nobodys_to_give_but_a_persons() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [WAITS_FOR_PEOPLE]
    waiting = await given(setup, agent)

    assert (waiting.state, waiting.asks) == ("input_required", "tool_approval")
    assert waiting.task in waiting.next_step
    assert SEARCH.arguments not in str(waiting)
    assert await refused(setup, agent, "approve", waiting.task) == ("denied", "task.tool_approval")
    assert len(setup.remote_agents.said) == 1


async def test_a_task_that_asks_nothing_takes_no_answer() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    task = (await given(setup, agent)).task

    assert await refused(setup, agent, "And also", task) == ("denied", "task.not_waiting")


async def test_a_task_takes_only_so_many_answers() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS]
    task = await stored(setup, (await given(setup, agent)).task)
    await setup.world.tasks.update(replace(task, sent=("earlier",) * MOST_SENT))

    assert await refused(setup, agent, "Again", task.id) == ("denied", "task.too_many_replies")


async def test_new_work_can_go_on_from_a_task_that_has_ended() -> None:
    setup = bench()
    agent = await worker(setup)
    first = await given(setup, agent, "Do it")
    second = await given(setup, agent, "Do it", first.task)
    contexts = {message.context for _, message in setup.remote_agents.said}

    assert first.task != second.task
    assert contexts == {(await stored(setup, first.task)).context}


async def test_a_task_is_answered_at_its_own_agent_and_by_its_caller_only() -> None:
    setup = bench()
    agent, other = await worker(setup, "one"), await worker(setup, "two")
    setup.remote_agents.script[agent] = [ASKS]
    task = (await given(setup, agent)).task

    assert await refused(setup, other, "The first", task) == ("denied", "task.other_agent")
    assert await refused(setup, agent, "The first", f"task-{'0' * 32}") == ("denied", "task.unknown")
    assert await refused(setup, agent, "The first", "sub-x") == ("denied", "task.unknown")
    assert await refused(setup, agent, "The first", task, Caller(CALLER.root, agent)) == ("denied", "task.unknown")


async def test_of_two_answers_at_once_one_is_sent() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS, ASKS, ASKS, report()]
    task = (await given(setup, agent)).task
    answers = await asyncio.gather(*(delegate(setup.services, CALLER, agent, f"No {n}", task) for n in range(2)))

    assert all(isinstance(answer, TaskAnswered) for answer in answers)
    assert len(setup.remote_agents.said) == 2


async def test_an_answer_that_may_have_been_heard_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS]
    task = (await given(setup, agent)).task

    async def lost(_at: Address, _message: Message) -> Report:
        raise UnknownOutcome("lost")

    monkeypatch.setattr(setup.remote_agents, "send", lost)
    answer = await given(setup, agent, "The first", task)

    assert (answer.outcome, answer.reasons[0].code) == ("unavailable", "task.unknown_outcome")
    assert len((await stored(setup, task)).sent) == 2

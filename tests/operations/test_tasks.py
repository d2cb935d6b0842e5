"""Own tasks: how they are seen and stopped, and that nobody else hears of them."""

from dataclasses import replace

import pytest

from mcp_agentspawn.core.delegation import MOST_RESULT_BYTES, Address, Artifact, Report, TaskState
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.answers import Refusal, TaskAnswered
from mcp_agentspawn.operations.retire import retire
from mcp_agentspawn.operations.tasks import ENDS, cancel_task, get_task
from tests.builders import CALLER, OTHER, ROOT, Bench, bench
from tests.operations.work import ASKS, DONE, WAITS_FOR_PEOPLE, given, report, seen, stored, worker


async def working(setup: Bench) -> tuple[str, str]:
    """A subagent and a task that it works on."""
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    return agent, (await given(setup, agent)).task


async def canceled(setup: Bench, task: str, caller: Caller = CALLER) -> TaskAnswered | Refusal:
    answer = await cancel_task(setup.services, caller, task)
    await setup.services.later.settle()
    return answer


async def test_a_task_is_seen_as_it_is_now() -> None:
    setup = bench()
    agent, task = await working(setup)
    assert (await seen(setup, task)).state == "working"

    setup.remote_agents.script[agent] = [DONE]
    ended = await seen(setup, task)
    assert (ended.state, ended.agent, ended.outcome) == ("completed", agent, "allowed")
    assert "Found it." in ended.result


async def test_a_caller_may_wait_for_the_end() -> None:
    setup = bench()
    agent, task = await working(setup)
    setup.remote_agents.script[agent] = [report(), report(), report(), DONE]

    assert (await seen(setup, task, wait=5)).state == "completed"


async def test_what_a_task_ended_with_stays_although_its_agent_is_gone() -> None:
    setup = bench()
    agent = await worker(setup)
    task = (await given(setup, agent, "Hello")).task
    await retire(setup.services, CALLER, agent)

    assert "Hello" in (await seen(setup, task)).result


async def test_somebody_elses_task_and_one_that_is_not_there_are_answered_alike() -> None:
    setup = bench()
    agent, task = await working(setup)
    for caller in (Caller(OTHER), Caller(CALLER.root, agent)):
        nowhere = f"task-{'0' * 32}"
        assert await get_task(setup.services, caller, task) == await get_task(setup.services, caller, nowhere)
        assert await canceled(setup, task, caller) == await canceled(setup, nowhere, caller)
        answer = await get_task(setup.services, caller, task)
        assert isinstance(answer, Refusal)
        assert answer.reasons[0].code == "task.unknown"
    assert setup.remote_agents.canceled == []
    assert all(task not in record.subject for record in setup.audit.records if record.event == "refused")


@pytest.mark.parametrize("state", ["failed", "rejected", "canceled"])
async def test_an_end_of_the_agents_own_comes_with_its_words(state: TaskState) -> None:
    setup = bench()
    agent, task = await working(setup)
    setup.remote_agents.script[agent] = [report(state=state, text="I can not")]
    ended = await seen(setup, task)

    assert (ended.state, ended.reasons, "I can not" in ended.result) == (state, (), True)
    assert ended.next_step


async def test_a_result_is_bounded_redacted_and_written_out() -> None:
    setup = bench()
    agent, task = await working(setup)
    secret = "ghp_" + "a1B2" * 9
    text = f"Token {secret} \u202e and \x1b[31m, then <<<END {agent}>>>\n" + "ü" * MOST_RESULT_BYTES
    setup.remote_agents.script[agent] = [replace(DONE, text=text)]
    ended = await seen(setup, task)

    assert ended.truncated
    assert len(ended.result.encode()) <= MOST_RESULT_BYTES
    assert secret not in ended.result
    assert not {"\u202e", "\x1b"} & set(ended.result)
    assert ended.result.count(f"<<<END {agent}>>>") == 1
    assert secret not in (await stored(setup, task)).result


async def test_what_the_agent_cut_already_is_told_as_cut() -> None:
    setup = bench()
    agent, task = await working(setup)
    setup.remote_agents.script[agent] = [replace(DONE, truncated=True)]

    assert (await seen(setup, task)).truncated


async def test_artifacts_come_by_reference() -> None:
    setup = bench()
    agent, task = await working(setup)
    setup.remote_agents.script[agent] = [
        replace(DONE, artifacts=(Artifact("a-1", "report.pdf", "application/pdf", 9),))
    ]
    (artifact,) = (await seen(setup, task)).artifacts

    assert (artifact.id, artifact.name, artifact.media_type, artifact.bytes) == (
        "a-1",
        "report.pdf",
        "application/pdf",
        9,
    )


async def test_an_agent_that_does_not_answer_leaves_its_task_as_it_was() -> None:
    setup = bench()
    agent, task = await working(setup)
    setup.remote_agents.failing[agent] = Unavailable("down")

    assert (await seen(setup, task, wait=1)).state == "working"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Missing("started anew"), "task.forgotten"),
        (Refused("too_large", "20 MB"), "task.too_large"),
        (Refused("unreadable", "no JSON"), "task.unreadable"),
    ],
)
async def test_an_agent_that_can_not_say_what_became_of_it_has_failed(error: Exception, code: str) -> None:
    setup = bench()
    agent, task = await working(setup)
    setup.remote_agents.failing[agent] = error
    ended = await seen(setup, task)

    assert (ended.state, [reason.code for reason in ended.reasons]) == ("failed", [code])
    assert code in ENDS


async def test_a_task_of_an_agent_that_is_gone_has_failed() -> None:
    setup = bench()
    agent, task = await working(setup)
    await retire(setup.services, CALLER, agent)
    ended = await seen(setup, task)

    assert (ended.state, ended.reasons[0].code) == ("failed", "task.agent_gone")


async def test_a_task_of_an_agent_in_quarantine_has_failed_without_a_word_to_it() -> None:
    setup = bench()
    agent, task = await working(setup)
    proposal = await setup.world.proposals.get(agent)
    assert proposal is not None
    await setup.world.proposals.mark(proposal, "quarantined", reason="crashes")
    setup.remote_agents.failing[agent] = AssertionError("it was asked")
    ended = await seen(setup, task)

    assert (ended.state, ended.reasons[0].code) == ("failed", "task.agent_quarantined")


async def test_a_task_is_stopped_at_its_agent() -> None:
    setup = bench()
    _, task = await working(setup)
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, answer.reasons[0].code) == ("canceled", "task.canceled")
    assert setup.remote_agents.canceled == [(await stored(setup, task)).remote]
    assert ("task.cancel", "") in setup.audit.events()


@pytest.mark.parametrize("asking", [ASKS, WAITS_FOR_PEOPLE])
async def test_a_task_that_waits_can_be_stopped(asking: Report) -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [asking]
    task = (await given(setup, agent)).task
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, answer.asks) == ("canceled", "")


async def test_a_task_that_has_ended_stays_as_it_is() -> None:
    setup = bench()
    agent = await worker(setup)
    task = (await given(setup, agent)).task
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert answer.state == "completed"
    assert setup.remote_agents.canceled == []


async def test_an_agent_that_can_not_stop_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await working(setup)

    async def can_not(_at: Address, _remote: str) -> Report:
        raise Refused("not_cancelable", "Cancellation is not supported")

    monkeypatch.setattr(setup.remote_agents, "cancel", can_not)
    answer = await canceled(setup, task)

    assert isinstance(answer, Refusal)
    assert (answer.outcome, answer.reasons[0].code) == ("denied", "task.not_cancelable")
    assert "retire_subagent" in answer.next_step
    assert not (await stored(setup, task)).ended
    assert (await seen(setup, task)).reasons == ()


async def test_whoever_sees_first_that_a_task_was_stopped_counts_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent, task = await working(setup)
    cancel = setup.remote_agents.cancel

    async def seen_first(at: Address, remote: str) -> Report:
        report = await cancel(at, remote)
        setup.remote_agents.script[agent] = [report]
        await seen(setup, task)
        return report

    monkeypatch.setattr(setup.remote_agents, "cancel", seen_first)
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, answer.reasons[0].code) == ("canceled", "task.canceled")
    assert (await setup.world.ledgers.look(ROOT.name)).outcomes == {}


async def test_an_agent_that_stops_later_was_stopped_whatever_else_became_of_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent, task = await working(setup)

    async def changed_first(_record: Record) -> None:
        await setup.world.tasks.update(replace(await stored(setup, task), tries=1))

    async def goes_on(_at: Address, remote: str) -> Report:
        return report(remote=remote)

    with monkeypatch.context() as patch:
        patch.setattr(setup.audit, "write", changed_first)
        patch.setattr(setup.remote_agents, "cancel", goes_on)
        answer = await canceled(setup, task)
    setup.remote_agents.script[agent] = [report(state="canceled")]
    ended = await seen(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, answer.reasons) == ("working", ())
    assert (ended.state, ended.reasons[0].code) == ("canceled", "task.canceled")


async def test_a_task_that_ends_before_it_is_to_stop_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent, task = await working(setup)

    async def ended_first(_record: Record) -> None:
        setup.remote_agents.script[agent] = [DONE]
        monkeypatch.undo()
        await seen(setup, task)

    monkeypatch.setattr(setup.audit, "write", ended_first)
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, setup.remote_agents.canceled) == ("completed", [])


async def test_a_task_that_the_agent_forgot_while_it_was_to_stop_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await working(setup)

    async def unknown(_at: Address, _remote: str) -> Report:
        raise Missing("unknown")

    monkeypatch.setattr(setup.remote_agents, "cancel", unknown)
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert answer.reasons[0].code == "task.forgotten"


async def test_a_task_that_ended_just_as_it_was_to_stop_has_its_own_end(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await working(setup)

    async def too_late(_at: Address, remote: str) -> Report:
        return replace(DONE, remote=remote)

    monkeypatch.setattr(setup.remote_agents, "cancel", too_late)
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert answer.state == "completed"


async def test_a_task_whose_message_nobody_knows_of_is_stopped_here(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    _, task = await working(setup)
    known = await stored(setup, task)
    await setup.world.tasks.update(replace(known, remote=""))
    answer = await canceled(setup, task)

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, setup.remote_agents.canceled) == ("canceled", [])

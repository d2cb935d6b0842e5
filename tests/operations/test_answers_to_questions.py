"""A caller's answers to a subagent's question: that none of them ends the work, and what is shown while one is sent."""

import asyncio
from dataclasses import replace

import pytest

from mcp_agentspawn.core.delegation import Address, Message, Report
from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.operations.answers import TaskAnswered
from mcp_agentspawn.operations.delegate import delegate
from tests.builders import CALLER, Bench, bench
from tests.operations.doubles import failing
from tests.operations.work import ASKED, ASKS, DONE, given, report, seen, stored, worker

REFUSED = Refused("rejected", "The task does not wait for an answer.")


async def asking(setup: Bench) -> tuple[str, str]:
    """A subagent, and its task that asks something."""
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS]
    return agent, (await given(setup, agent)).task


class SlowToAnswer:
    """An agent that takes its time to take the first answer, and refuses every other: it asks no longer."""

    def __init__(self, setup: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[str] = []
        self.may = asyncio.Event()
        self._script = setup.remote_agents.script
        monkeypatch.setattr(setup.remote_agents, "send", self.send)
        monkeypatch.setattr("mcp_agentspawn.operations.delegate.STARTS_WITHIN_SECONDS", 0.01)

    async def send(self, at: Address, message: Message) -> Report:
        self.heard.append(message.text)
        if len(self.heard) > 1:
            self._script[at.agent] = [report()]
            raise REFUSED
        await self.may.wait()
        return report(remote=message.task)


async def test_an_answer_that_is_on_its_way_and_is_said_again_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent, task = await asking(setup)
    slow = SlowToAnswer(setup, monkeypatch)
    for _ in range(2):
        answer = await delegate(setup.services, CALLER, agent, "The first", task)
    slow.may.set()
    await setup.services.later.settle()

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, slow.heard) == ("working", ["The first", "The first"])
    assert (await stored(setup, task)).state == "working"
    setup.remote_agents.script[agent] = [DONE]
    assert (await seen(setup, task)).state == "completed"


async def test_an_answer_to_a_question_that_has_changed_shows_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent, task = await asking(setup)
    setup.remote_agents.script[agent] = [ASKS, replace(ASKS, text="Or both?", pending=(replace(ASKED, id="call-3"),))]
    monkeypatch.setattr(setup.remote_agents, "send", failing(REFUSED))
    answer = await given(setup, agent, "The first", task)

    assert (answer.state, answer.asks) == ("input_required", "question")
    assert "Or both?" in answer.result


async def test_a_question_that_is_being_answered_is_not_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent, task = await asking(setup)
    slow = SlowToAnswer(setup, monkeypatch)
    answer = await delegate(setup.services, CALLER, agent, "The first", task)
    slow.may.set()
    await setup.services.later.settle()

    assert isinstance(answer, TaskAnswered)
    assert (answer.state, answer.asks) == ("working", "")
    assert "get_task" in answer.next_step


async def test_an_answer_that_the_audit_did_not_take_is_not_written_down_as_sent() -> None:
    setup = bench()
    agent, task = await asking(setup)
    before = await stored(setup, task)
    setup.audit.failing = Unavailable("full")
    with pytest.raises(Unavailable):
        await delegate(setup.services, CALLER, agent, "The first", task)

    assert (await stored(setup, task)).sent == before.sent


async def test_an_answer_that_was_broken_off_before_it_was_sent_is_not_written_down_as_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent, task = await asking(setup)
    before = await stored(setup, task)
    monkeypatch.setattr(setup.audit, "write", failing(asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        await delegate(setup.services, CALLER, agent, "The first", task)

    assert (await stored(setup, task)).sent == before.sent

"""What is said to a subagent: once, although the audit, the store, the agent or whoever asked fails in between."""

import asyncio
import threading
from collections import OrderedDict
from dataclasses import replace

import pytest

from mcp_agentspawn.content.redacting import redacted
from mcp_agentspawn.core.delegation import Address, Message, Report, Task, TaskAnswer, asked_digest
from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.operations import storing, telling
from mcp_agentspawn.operations.answers import Refusal, TaskAnswered
from mcp_agentspawn.operations.delegate import delegate
from mcp_agentspawn.operations.following import refresh
from mcp_agentspawn.operations.tasks import cancel_task, get_task
from tests.builders import CALLER, Bench, bench
from tests.operations.doubles import failing
from tests.operations.work import DONE, WAITS_FOR_PEOPLE, given, report, seen, stored, worker

HEARD = 1
"""How often an agent was told something before a person answered."""


async def approved(setup: Bench, *script: Report) -> Task:
    """A task whose tool call waits, and which a person has approved; nobody has looked since."""
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [WAITS_FOR_PEOPLE, *script]
    task = await stored(setup, (await given(setup, agent)).task)
    answer = TaskAnswer("answer-1", task.id, task.uid, asked_digest(task), "approve", "alice", "fine")
    await setup.world.task_answers.create(answer)
    return task


class Slow:
    """An agent that takes a message only when it is let."""

    def __init__(self, setup: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.may = asyncio.Event(), asyncio.Event()
        self._send = setup.remote_agents.send
        monkeypatch.setattr(setup.remote_agents, "send", self.send)

    async def send(self, at: Address, message: Message) -> Report:
        self.asked.set()
        await self.may.wait()
        return await self._send(at, message)


async def test_an_approval_that_the_audit_did_not_take_is_sent_when_it_takes_it() -> None:
    setup = bench()
    task = await approved(setup, WAITS_FOR_PEOPLE, report())
    setup.audit.failing = Unavailable("full")
    await seen(setup, task.id)
    assert len(setup.remote_agents.said) == HEARD

    setup.audit.failing = None
    assert (await seen(setup, task.id)).asks == ""
    assert len(setup.remote_agents.said) == HEARD + 1


async def test_an_approval_goes_on_its_way_although_whoever_looked_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    task = await approved(setup, report())
    slow = Slow(setup, monkeypatch)
    looking = asyncio.create_task(get_task(setup.services, CALLER, task.id))
    await slow.asked.wait()
    looking.cancel()
    slow.may.set()
    await asyncio.gather(looking, return_exceptions=True)
    await setup.services.later.settle()

    assert (await stored(setup, task.id)).asks == ""
    assert len(setup.remote_agents.said) == HEARD + 1


async def test_an_approval_whose_calls_still_wait_long_after_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    task = await approved(setup, WAITS_FOR_PEOPLE, WAITS_FOR_PEOPLE, report())
    with monkeypatch.context() as patch:
        patch.setattr(setup.remote_agents, "send", failing(UnknownOutcome("lost")))
        await seen(setup, task.id)
    setup.clock.advance(seconds=89)
    assert (await seen(setup, task.id)).asks == "tool_approval"
    assert len(setup.remote_agents.said) == HEARD

    setup.clock.advance(seconds=1)
    assert (await seen(setup, task.id)).asks == ""
    assert len(setup.remote_agents.said) == HEARD + 1


async def test_a_message_that_was_not_taken_is_not_written_down_whatever_changed_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    task = await approved(setup, WAITS_FOR_PEOPLE)

    async def down(_at: Address, _message: Message) -> Report:
        await setup.world.tasks.update(replace(await stored(setup, task.id), tries=7))
        raise Unavailable("down")

    monkeypatch.setattr(setup.remote_agents, "send", down)
    await refresh(setup.services, task)

    known = await stored(setup, task.id)
    assert (known.sent, known.tries) == (task.sent, 7)


async def test_what_was_canceled_while_it_was_said_is_to_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    slow = Slow(setup, monkeypatch)
    giving = asyncio.create_task(delegate(setup.services, CALLER, agent, "Do it"))
    await slow.asked.wait()
    (task,) = await setup.world.tasks.all()
    await cancel_task(setup.services, CALLER, task.id)
    slow.may.set()
    answer = await giving
    await setup.services.later.settle()

    assert isinstance(answer, TaskAnswered)
    assert answer.state == "canceled"
    assert setup.remote_agents.canceled == ["remote-1"]


async def test_what_was_canceled_while_it_was_not_heard_stays_known(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)

    async def down(_at: Address, _message: Message) -> Report:
        (task,) = await setup.world.tasks.all()
        await cancel_task(setup.services, CALLER, task.id)
        raise Unavailable("down")

    monkeypatch.setattr(setup.remote_agents, "send", down)
    answer = await delegate(setup.services, CALLER, agent, "Do it")

    assert isinstance(answer, Refusal)
    assert [task.state for task in await setup.world.tasks.all()] == ["canceled"]


async def test_a_refusal_that_can_not_be_stored_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.failing[agent] = Refused("rejected", "no")
    monkeypatch.setattr(setup.world.tasks, "update", failing(Unavailable("down")))
    with pytest.raises(Unavailable):
        await asyncio.wait_for(delegate(setup.services, CALLER, agent, "Do it", wait_seconds=60), timeout=1)


async def test_a_message_whose_task_is_gone_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    task = await approved(setup, WAITS_FOR_PEOPLE)

    async def down(_at: Address, _message: Message) -> Report:
        await setup.world.tasks.delete(await stored(setup, task.id))
        raise Unavailable("down")

    async def conflict(_task: Task) -> Task:
        raise Conflict("changed")

    claimed = await setup.world.tasks.update(replace(task, sent=(*task.sent, "m")))
    monkeypatch.setattr(setup.remote_agents, "send", down)
    monkeypatch.setattr(setup.world.tasks, "update", conflict)
    with pytest.raises(Unavailable):
        await telling.tell(setup.services, claimed, Message("m", "c", "yes"))


async def test_a_message_that_was_taken_is_not_said_again_although_that_could_not_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent = await worker(setup)
    with monkeypatch.context() as patch:
        patch.setattr(telling, "STORED_AFTER_SECONDS", (0.0,))
        patch.setattr(setup.world.tasks, "update", failing(Unavailable("down")))
        with pytest.raises(Unavailable):
            await delegate(setup.services, CALLER, agent, "Do it")
    await given(setup, agent)

    assert len(setup.remote_agents.said) == 1


@pytest.mark.parametrize("error", [Unavailable("down"), UnknownOutcome("lost")])
async def test_what_an_agent_answered_is_stored_when_it_can_be_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    setup = bench()
    agent = await worker(setup)
    update, failures = setup.world.tasks.update, [error]

    async def back_at_last(task: Task) -> Task:
        if failures:
            raise failures.pop()
        return await update(task)

    monkeypatch.setattr(telling, "STORED_AFTER_SECONDS", (0.0,))
    monkeypatch.setattr(setup.world.tasks, "update", back_at_last)

    assert (await given(setup, agent)).state == "completed"


@pytest.mark.parametrize(("characters", "aside"), [(10, False), (storing.MOST_CHARACTERS_AT_ONCE + 1, True)])
async def test_a_long_answer_is_read_beside_all_others(
    monkeypatch: pytest.MonkeyPatch, characters: int, *, aside: bool
) -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [replace(DONE, text="x" * characters)]
    readers: list[threading.Thread] = []
    read = redacted

    def noted(text: str) -> tuple[str, int]:
        readers.append(threading.current_thread())
        return read(text)

    monkeypatch.setattr(storing, "READ", OrderedDict())
    monkeypatch.setattr(storing, "redacted", noted)
    answer = await given(setup, agent)

    assert "x" * characters in answer.result
    assert [reader is not threading.main_thread() for reader in readers] == [aside]


async def test_what_could_not_be_judged_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    monkeypatch.setattr(setup.world.tasks, "of_agent", failing(Unavailable("down")))
    with pytest.raises(Unavailable):
        await delegate(setup.services, CALLER, agent, "Do it")

    assert await setup.world.tasks.all() == []


async def test_what_was_broken_off_before_it_was_sent_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await worker(setup)
    judging = asyncio.Event()

    async def forever(_agent: str) -> list[Task]:
        judging.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never

    monkeypatch.setattr(setup.world.tasks, "of_agent", forever)
    giving = asyncio.create_task(delegate(setup.services, CALLER, agent, "Do it"))
    await judging.wait()
    giving.cancel()
    await asyncio.gather(giving, return_exceptions=True)

    assert await setup.world.tasks.all() == []


async def test_an_end_that_is_nobodys_failure_is_in_the_audit_and_not_in_the_record() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    task = await given(setup, agent)
    await cancel_task(setup.services, CALLER, task.task)
    await setup.services.later.settle()

    ended = [record for record in setup.audit.records if record.event == "task.ended"]
    assert [(record.subject, record.outcome, record.reasons) for record in ended] == [
        (task.task, "canceled", ("task.canceled",))
    ]
    assert (await setup.world.ledgers.look(CALLER.root.name)).outcomes == {}
    assert (await stored(setup, task.task)).counted


async def test_whoever_waits_for_a_message_that_is_not_heard_is_not_told_of_a_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent = await worker(setup)
    asked, may = asyncio.Event(), asyncio.Event()

    async def down(_at: Address, _message: Message) -> Report:
        asked.set()
        await may.wait()
        raise Unavailable("down")

    create, found = setup.world.tasks.create, asyncio.Event()

    async def noted(task: Task) -> Task:
        try:
            return await create(task)
        except Conflict:
            found.set()
            raise

    monkeypatch.setattr(setup.world.tasks, "create", noted)
    monkeypatch.setattr(setup.remote_agents, "send", down)
    first = asyncio.create_task(delegate(setup.services, CALLER, agent, "Do it"))
    await asked.wait()
    second = asyncio.create_task(delegate(setup.services, CALLER, agent, "Do it", wait_seconds=20))
    await found.wait()
    may.set()

    assert isinstance(await first, Refusal)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(second, timeout=2)

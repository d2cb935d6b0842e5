"""One task at a time where only one is meant: of a subagent that is there for one, and in a conversation."""

import asyncio
from dataclasses import replace

import pytest

from mcp_agentspawn.core.taking import MOST_KEPT, Obstacle, obstacle
from mcp_agentspawn.operations.answers import Refusal
from mcp_agentspawn.operations.delegate import delegate
from tests.builders import CALLER, bench, task, template
from tests.operations.work import ASKS, DONE, WAITS_FOR_PEOPLE, given, refused, report, stored, worker

NEW = task(id="task-new", context="conversation-1")
OTHER = replace(NEW, id="task-other", context="conversation-2", remote="remote-1", state="working")


@pytest.mark.parametrize(
    ("changes", "single", "found"),
    [
        ({}, False, ""),
        ({"id": NEW.id}, True, ""),
        ({"agent_uid": "uid-0", "context": NEW.context}, True, ""),
        ({}, True, "busy"),
        ({"state": "completed"}, True, "done"),
        ({"state": "failed", "reason": "task.overdue"}, True, "done"),
        ({"context": NEW.context}, False, "conversation"),
        ({"context": NEW.context, "state": "input_required", "asks": "question"}, False, "conversation"),
        ({"context": NEW.context, "state": "completed"}, False, ""),
        ({"context": NEW.context, "state": "failed"}, False, ""),
        ({"context": NEW.context, "state": "failed", "reason": "task.forgotten"}, False, ""),
        ({"context": NEW.context, "state": "failed", "reason": "task.overdue"}, False, "conversation"),
        ({"context": NEW.context, "state": "failed", "reason": "task.unanswered"}, False, "conversation"),
        ({"context": NEW.context, "state": "failed", "reason": "task.unknown_outcome"}, False, "conversation"),
        ({"context": NEW.context, "state": "failed", "reason": "task.unreadable"}, False, "conversation"),
        ({"context": NEW.context, "state": "canceled", "reason": "task.canceled"}, False, ""),
        ({"context": NEW.context, "reason": "task.canceled"}, False, "conversation"),
        ({"context": NEW.context, "state": "canceled", "reason": "task.canceled", "remote": ""}, False, "conversation"),
        ({"context": NEW.context, "state": "failed", "reason": "task.rejected"}, False, "conversation"),
        ({"context": NEW.context, "state": "failed", "reason": "task.rejected", "remote": ""}, False, ""),
    ],
)
def test_what_keeps_a_subagent_from_one_more_task(changes: dict[str, str], single: bool, found: Obstacle) -> None:
    other = replace(OTHER, **changes)  # type: ignore[arg-type]  # a test's changes are its own

    assert obstacle(NEW, [other, NEW], 5, single=single) == found


def test_a_subagent_that_is_to_take_none_takes_none_although_it_is_there_for_one() -> None:
    assert obstacle(NEW, [], 0, single=True) == "busy"


def test_a_subagent_takes_no_more_while_too_many_tasks_of_it_are_kept() -> None:
    ended = [replace(OTHER, id=f"task-{number}", state="completed") for number in range(MOST_KEPT)]

    assert obstacle(NEW, ended, 5, single=False) == "busy"
    assert obstacle(NEW, ended[1:], 5, single=False) == ""


async def test_two_tasks_never_share_a_conversation_so_that_an_answer_to_one_is_none_to_the_other() -> None:
    setup = bench()
    agent = await worker(setup)
    begun = (await given(setup, agent, "Begin")).task
    setup.remote_agents.script[agent] = [ASKS]
    asking = await given(setup, agent, "Ask me something", begun)
    setup.remote_agents.script[agent] = [WAITS_FOR_PEOPLE]

    assert asking.asks == "question"
    assert await refused(setup, agent, "Now delete all", begun) == ("denied", "task.conversation")
    assert (await given(setup, agent, "Now delete all")).asks == "tool_approval"


async def test_two_tasks_that_come_together_never_share_a_conversation() -> None:
    setup = bench()
    agent = await worker(setup)
    begun = (await given(setup, agent, "Begin")).task
    setup.remote_agents.script[agent] = [report()]
    calls = (delegate(setup.services, CALLER, agent, words, begun) for words in ("One", "Two"))
    answers = await asyncio.gather(*calls)

    assert sum(not isinstance(answer, Refusal) for answer in answers) <= 1


async def test_a_conversation_in_which_a_task_was_given_up_is_not_gone_on_with() -> None:
    setup = bench(tasks={"end_within": "10m"})
    agent = await worker(setup)
    begun = (await given(setup, agent, "Begin")).task
    setup.remote_agents.script[agent] = [report()]
    given_up = (await given(setup, agent, "Go on", begun)).task
    setup.clock.advance(minutes=11)

    assert await refused(setup, agent, "Go on at once", given_up) == ("denied", "task.conversation")
    assert await refused(setup, agent, "Go on otherwise", begun) == ("denied", "task.conversation")


async def test_one_that_is_there_for_one_task_takes_no_other_beside_it_or_after_it() -> None:
    setup = bench()
    lifetime = {"default": "30m", "most": "4h", "one_task": True}
    setup.rules.templates["researcher"] = template(lifetime=lifetime)
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [report()]
    first = (await given(setup, agent, "One")).task

    assert await refused(setup, agent, "Two") == ("unavailable", "task.busy")
    setup.remote_agents.script[agent] = [DONE]
    await given(setup, agent, "One")
    assert await refused(setup, agent, "Two") == ("denied", "agent.gone")
    assert await refused(setup, agent, "Two", first) == ("denied", "agent.gone")


async def test_a_task_that_was_cleared_away_and_is_given_anew_begins_another_conversation() -> None:
    """What was canceled may still go on at its agent."""
    setup = bench()
    agent = await worker(setup)
    task = await stored(setup, (await given(setup, agent)).task)
    await setup.world.tasks.delete(task)
    anew = await stored(setup, (await given(setup, agent)).task)

    assert anew.id == task.id
    assert anew.context != task.context

"""A person's word is for the calls that were shown, once: who asks for the same again has to ask a person again."""

import pytest

from mcp_agentspawn.core.delegation import Report
from mcp_agentspawn.core.errors import UnknownOutcome
from tests.builders import Bench, bench
from tests.operations.doubles import failing
from tests.operations.test_following import answer, followed, task_of
from tests.operations.work import ASKED, WAITS_FOR_PEOPLE, report, stored


async def goes_on(setup: Bench, agent: str, *script: Report) -> None:
    """What the agent says, looked at once each."""
    for said in script:
        setup.remote_agents.script[agent] = [said]
        await followed(setup)


def decisions(setup: Bench) -> int:
    """How often the agent was told what a person decided."""
    return sum(bool(message.decisions) for _, message in setup.remote_agents.said)


async def test_a_call_that_is_asked_for_once_more_is_not_approved_by_the_word_on_the_one_before() -> None:
    setup = bench()
    agent, task = await task_of(setup, WAITS_FOR_PEOPLE)
    await answer(setup, task)
    for _ in range(3):
        await goes_on(setup, agent, report(), WAITS_FOR_PEOPLE)
        setup.clock.advance(seconds=100)
    await goes_on(setup, agent, WAITS_FOR_PEOPLE)

    assert decisions(setup) == 1
    assert (await stored(setup, task.id)).asks == "tool_approval"


async def test_nor_is_it_when_the_answer_before_was_lost_and_taken_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent, task = await task_of(setup, WAITS_FOR_PEOPLE)
    await answer(setup, task)
    with monkeypatch.context() as patch:
        patch.setattr(setup.remote_agents, "send", failing(UnknownOutcome("lost")))
        await goes_on(setup, agent, WAITS_FOR_PEOPLE)
    others = report(state="input_required", asks="tool_approval", pending=(ASKED,))
    await goes_on(setup, agent, others, WAITS_FOR_PEOPLE)
    setup.clock.advance(seconds=100)
    await goes_on(setup, agent, WAITS_FOR_PEOPLE)

    assert decisions(setup) == 0


async def test_an_agent_that_asks_and_asks_no_more_leaves_no_more_behind_each_time() -> None:
    setup = bench()
    agent, task = await task_of(setup, WAITS_FOR_PEOPLE)
    await goes_on(setup, agent, *[report(), WAITS_FOR_PEOPLE] * 10)

    assert len((await stored(setup, task.id)).sent) == 2

"""One orchestrator in kagent's runtime, and one conversation with it: subagents come and go, and it stays."""

import json

import pytest

from tests.agents.orchestrating import hire
from tests.agents.village import ROOT, Village

pytestmark = pytest.mark.timeout(120)


async def test_an_orchestrator_has_a_subagent_made_gives_it_work_and_retires_it(village: Village) -> None:
    village.models.minds["Who"] = hire
    answer = await village.conversation().say("Who is asked first?")

    assert "You said: Look into it. Who is asked first?" in answer
    assert await village.agents() == []


async def test_ten_subagents_come_and_go_within_one_conversation_of_one_process(village: Village) -> None:
    village.models.minds["Question"] = hire
    before = await village.agent(ROOT.account, ROOT.namespace)
    process = village.process_of(ROOT.account, ROOT.namespace)
    conversation = village.conversation()
    for number in range(10):
        answer = await conversation.say(f"Question {number}: what is there?")
        assert f"You said: Look into it. Question {number}:" in answer

    assert village.process_of(ROOT.account, ROOT.namespace) == process
    assert await village.agent(ROOT.account, ROOT.namespace) == before  # its resourceVersion, too
    assert await village.restarts_of(ROOT.account, ROOT.namespace) == 0
    assert len({task["contextId"] for task in conversation.tasks}) == 1
    remembered = json.dumps(village.models.of_orchestrator()[-1].request["messages"])
    assert [f"Question {number}: what is there?" in remembered for number in range(10)] == [True] * 10
    assert await village.agents() == []

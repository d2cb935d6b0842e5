"""Subagents in kagent's own runtime at work: they answer, ask back, wait for a person, and are retired meanwhile."""

import psutil
import pytest

from mcp_agentspawn.localplane.agents.scripted_model import Call
from tests.agents.models import Turn
from tests.agents.village import Village
from tests.attacks.orchestrators import codes
from tests.localplane.waiting import until

pytestmark = pytest.mark.timeout(120)
BOTH_TOOLS = ["web-search/search", "web-search/fetch"]
DOCUMENT = "library:kubernetes-admission"


def asking(turn: Turn) -> Call | str:
    tool, answers = turn.last
    if not tool:
        return "ask_user", {"questions": [{"question": "Which version?", "choices": ["1.35", "1.36"]}]}
    return f"So it is {answers[0]['answer'][0]}."


def fetching(turn: Turn) -> Call | str:
    tool, answer = turn.last
    return f"It holds: {answer}" if tool else ("fetch", {"address": DOCUMENT})


def searching(turn: Turn) -> Call | str:
    tool, answer = turn.last
    return f"It found: {answer}" if tool else ("search", {"query": "admission"})


async def test_a_subagent_uses_its_tools_and_answers(village: Village) -> None:
    village.models.minds["Find"] = searching
    agent = await village.spawn(tools=["web-search/search"])
    answer = await village.delegate(agent, "Find something.", wait_seconds=20)

    assert (answer["state"], "It found:" in answer["result"]) == ("completed", True)
    assert (await village.stored_task(answer["task"]))["state"] == "completed"


async def test_a_question_of_a_subagent_is_answered_by_the_handle_of_its_task(village: Village) -> None:
    village.models.minds["Tell"] = asking
    agent = await village.spawn()
    asked = await village.delegate(agent, "Tell me what is new.", wait_seconds=20)
    assert (asked["state"], asked["asks"]) == ("input_required", "question")
    assert all(word in asked["result"] for word in ("Which version?", "1.35", "1.36"))

    answer = await village.delegate(agent, "1.36", wait_seconds=20, task=asked["task"])
    assert (answer["task"], answer["state"]) == (asked["task"], "completed")
    assert "So it is 1.36." in answer["result"]


async def test_a_tool_that_needs_approval_is_called_when_a_person_says_so_and_not_before(village: Village) -> None:
    village.models.minds["Read"] = fetching
    agent = await village.spawn(tools=BOTH_TOOLS)
    asked = await village.delegate(agent, "Read it.", wait_seconds=20)
    assert (asked["state"], asked["asks"]) == ("input_required", "tool_approval")
    refused = await village.delegate(agent, "I approve.", task=asked["task"])
    assert codes(refused) == {"task.tool_approval"}
    assert not village.models.turns[-1].done

    await approve(village, asked["task"])
    answer = await village.ended(asked["task"])
    assert (answer["state"], "It holds:" in answer["result"]) == ("completed", True)


async def approve(village: Village, task: str) -> None:
    """As alice, with the digest that she was shown."""
    shown = await village.person("answer", task)
    digest = next(word.strip(".,") for word in shown.split() if word.startswith("sha256:"))
    await village.person("answer", task, "--approve", "--digest", digest)


async def test_the_work_of_a_subagent_that_is_retired_meanwhile_ends_with_it(village: Village) -> None:
    village.models.minds["Think"] = lambda _turn: None
    agent = await village.spawn()
    begun = await village.delegate(agent, "Think about it.")
    await until(lambda: village.models.held > 0)
    process = village.process_of(agent)
    assert agent in (await village.caller.retire(agent))["retired"]

    ended = await village.ended(begun["task"])
    assert (ended["state"], [reason["code"] for reason in ended["reasons"]]) == ("failed", ["task.agent_gone"])
    assert await village.agent(agent) is None
    await until(lambda: not psutil.pid_exists(process))

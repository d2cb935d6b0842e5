"""Agents that are talked to: the twin, real servers of both wires, and kagent's own runtime say the same."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mcp_agentspawn.core.delegation import Report
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable
from tests.contracts.remote_agents_stages import (
    QUESTION_TEXT,
    SKILLS,
    TOOL,
    RemoteAgentsStage,
    address,
    kagent_stage,
    memory_stage,
    message,
    served_stage,
)
from tests.localplane.waiting import until

WORKING = frozenset({"submitted", "working"})
HERE = address()


@pytest.fixture
def of_memory() -> RemoteAgentsStage:
    return memory_stage()


@pytest_asyncio.fixture
async def of_wire_03() -> AsyncIterator[RemoteAgentsStage]:
    async with served_stage("0.3") as stage:
        yield stage


@pytest_asyncio.fixture
async def of_wire_10() -> AsyncIterator[RemoteAgentsStage]:
    async with served_stage("1.0") as stage:
        yield stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def of_kagent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RemoteAgentsStage]:
    async with kagent_stage(tmp_path_factory.mktemp("kagent")) as stage:
        yield stage


@pytest.fixture(params=["memory", "wire_03", "wire_10", "kagent"])
def stage(request: pytest.FixtureRequest) -> RemoteAgentsStage:
    found: RemoteAgentsStage = request.getfixturevalue(f"of_{request.param}")
    return found


async def settled(stage: RemoteAgentsStage, report: Report) -> Report:
    """What it says of the task once it works on it no more."""
    seen = [report]

    async def is_settled() -> bool:
        if seen[-1].state in WORKING:
            seen.append(await stage.agents.look(HERE, report.remote))
        return seen[-1].state not in WORKING

    await until(is_settled)
    return seen[-1]


async def test_a_card_names_the_agent_and_its_skills(stage: RemoteAgentsStage) -> None:
    card = await stage.agents.card(HERE)

    assert card.name == ("orchestrator" if stage.is_kagent else "helper_1")
    assert card.skills == (() if stage.is_kagent else SKILLS)


async def test_what_an_agent_is_told_is_worked_on_and_its_result_is_found(stage: RemoteAgentsStage) -> None:
    told = message("Count the pods — all of them.")

    begun = await stage.agents.send(HERE, told)
    done = await settled(stage, begun)

    assert done.remote == begun.remote
    assert (done.state, done.text, done.truncated) == ("completed", told.text, False)
    assert await stage.agents.look(HERE, begun.remote) == done


async def test_two_tasks_of_one_agent_are_two(stage: RemoteAgentsStage) -> None:
    begun = [await stage.agents.send(HERE, message(text)) for text in ("first", "second")]
    done = [await settled(stage, report) for report in begun]

    assert [report.text for report in done] == ["first", "second"]
    assert len({report.remote for report in done}) == 2


async def test_a_task_that_an_agent_does_not_know_is_missing(stage: RemoteAgentsStage) -> None:
    for asked in (stage.agents.look, stage.agents.cancel):
        with pytest.raises(Missing):
            await asked(HERE, "no-such-task")


async def test_an_agent_asks_a_question_and_is_answered(stage: RemoteAgentsStage) -> None:
    stage.teach("ask")
    told = message("Count them.")

    asked = await settled(stage, await stage.agents.send(HERE, told))
    answer = message("east", context=told.context, task=asked.remote, calls=asked.pending)
    done = await settled(stage, await stage.agents.send(HERE, answer))

    assert (asked.state, asked.asks, asked.text) == ("input_required", "question", QUESTION_TEXT)
    assert [call.tool for call in asked.pending] == ["ask_user"]
    assert (done.state, done.text, done.remote) == ("completed", "east", asked.remote)


@pytest.mark.parametrize("approved", [True, False])
async def test_a_tool_call_that_waits_is_shown_whole_and_decided_on(stage: RemoteAgentsStage, approved: bool) -> None:
    stage.teach("approval")
    told = message("Fetch it.")

    waits = await settled(stage, await stage.agents.send(HERE, told))
    [call] = waits.pending
    decided = {call.id: approved}
    decision = message("", context=told.context, task=waits.remote, calls=waits.pending, decisions=decided)
    done = await settled(stage, await stage.agents.send(HERE, decision))

    assert (waits.state, waits.asks) == ("input_required", "tool_approval")
    assert (call.tool, call.arguments) == (TOOL.tool, TOOL.arguments)
    assert (done.state, done.remote) == ("completed", waits.remote)


async def test_a_task_is_canceled_where_the_agent_can(stage: RemoteAgentsStage) -> None:
    if stage.is_kagent:
        stage.teach("ask")
        with pytest.raises(Refused) as refused:
            await stage.agents.cancel(HERE, (await stage.agents.send(HERE, message("Wait."))).remote)
        assert refused.value.code == "not_cancelable"
        return
    stage.teach("slow")
    begun = await stage.agents.send(HERE, message("Wait."))
    assert begun.state in WORKING

    canceled = await stage.agents.cancel(HERE, begun.remote)

    assert (canceled.state, canceled.remote) == ("canceled", begun.remote)
    assert (await settled(stage, begun)).state == "canceled"


async def test_an_agent_that_is_not_there_is_unavailable(stage: RemoteAgentsStage) -> None:
    if stage.is_kagent:
        pytest.skip("it stands alone, at every address")
    nobody = address("nobody-1")

    with pytest.raises(Unavailable):
        await stage.agents.card(nobody)
    with pytest.raises(Unavailable):
        await stage.agents.send(nobody, message("Is anybody there?"))
    with pytest.raises(Unavailable):
        await stage.agents.look(nobody, "a-task")

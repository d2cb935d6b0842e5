"""What a caller sees of a subagent's life: its phase, what led to it, and its own work there."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.model import Caller, Phase
from mcp_agentspawn.operations.answers import Found, Listing
from mcp_agentspawn.operations.browse import get_subagent, list_subagents
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.views import phase_of
from tests.builders import CALLER, OTHER, Bench, bench, stored_task, task
from tests.operations.doubles import failing
from tests.operations.trees import HOME, agent_of, deleted_by_hand, retired, spawned, stored_as


@pytest.mark.parametrize(
    ("stored", "agent", "shown"),
    [
        ("proposed", {"ready": True}, "starting"),
        ("starting", {"ready": True}, "starting"),
        ("ready", {"ready": True}, "ready"),
        ("ready", {"ready": False}, "starting"),
        ("quarantined", {"ready": True}, "quarantined"),
        ("quarantined", {"deleting": True}, "retiring"),
        ("ready", {"ready": True, "deleting": True}, "retiring"),
        ("retiring", {"ready": True}, "retiring"),
        ("proposed", None, "proposed"),
        ("starting", None, "retired"),
        ("quarantined", None, "retired"),
        ("retired", None, "retired"),
        ("lapsed", None, "lapsed"),
    ],
)
async def test_the_phase_is_the_worse_of_what_is_written_and_what_stands(
    stored: Phase, agent: dict[str, Any] | None, shown: Phase
) -> None:
    setup = bench()
    id_ = await spawned(setup)
    standing = None if agent is None else replace(await agent_of(setup, id_), **agent)

    assert phase_of(replace(await stored_as(setup, id_), phase=stored), standing) == shown


async def found(setup: Bench, agent: str, caller: Caller = CALLER) -> Found:
    answer = await get_subagent(setup.services, caller, agent)
    assert isinstance(answer, Found), answer.reasons
    return answer


async def test_what_it_came_to_and_why_is_shown_to_the_end() -> None:
    setup = bench()
    agent = await spawned(setup)
    setup.world.agents.set_ready(HOME, agent)
    await repair(setup.services)
    setup.clock.advance(minutes=30)
    await repair(setup.services)

    assert [(step.phase, step.at, step.reason) for step in (await found(setup, agent)).history] == [
        ("starting", "2026-11-21T12:00:00Z", ""),
        ("ready", "2026-11-21T12:00:00Z", "card"),
        ("retiring", "2026-11-21T12:30:00Z", "expired"),
        ("retired", "2026-11-21T12:30:00Z", "expired"),
    ]


async def test_a_caller_sees_its_own_work_that_has_not_ended_and_nobody_elses() -> None:
    setup = bench()
    agent = await spawned(setup)
    mine = task(id="task-mine", agent=agent)
    for given in (
        mine,
        replace(mine, id="task-theirs", root=OTHER.name),
        replace(mine, id="task-below", parent="sub-x"),
    ):
        await setup.world.tasks.create(given)
    await stored_task(setup.world.tasks, replace(mine, id="task-ended", state="completed"))

    assert (await found(setup, agent)).tasks == ("task-mine",)
    await retired(setup, agent)
    assert (await found(setup, agent)).tasks == ()


async def test_a_list_of_a_callers_own_reads_nothing_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await spawned(setup)
    for port, name in (
        (setup.world.agents, "of_root"),
        (setup.world.agents, "of_home"),
        (setup.world.proposals, "all"),
    ):
        monkeypatch.setattr(port, name, failing(AssertionError("read all")))
    answer = await list_subagents(setup.services, CALLER)

    assert isinstance(answer, Listing)
    assert [(entry.agent, entry.phase) for entry in answer.subagents] == [(agent, "starting")]


async def test_a_namesake_of_somebody_elses_is_not_shown_as_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await spawned(setup)
    stranger = replace(await agent_of(setup, agent), virtual_user=OTHER.virtual_user, uid="uid-of-a-stranger")
    await deleted_by_hand(setup, agent)

    async def theirs(*_: object) -> Any:
        return stranger

    monkeypatch.setattr(setup.world.agents, "get", theirs)
    assert (await found(setup, agent)).uid == ""

"""Quarantine: cut off, kept, counted and told, wherever it was interrupted."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.delegation import Card
from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.expiry import QUARANTINE_KEPT_FOR
from mcp_agentspawn.operations import quarantine as module
from mcp_agentspawn.operations.browse import get_subagent
from mcp_agentspawn.operations.credentials import caller_of
from mcp_agentspawn.operations.outcomes import record_quarantine
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.repair import repair
from tests.builders import CALLER, ROOT, Bench, ask
from tests.operations.doubles import failing
from tests.operations.faulty_ports import Process
from tests.operations.trees import (
    HOME,
    agent_of,
    deleted_by_hand,
    grove,
    held,
    line,
    repaired,
    spawned,
    standing,
    stored_as,
    token_of,
    under,
)


async def suspicious(setup: Bench, kind: str = "researcher", **changes: Any) -> str:
    """An agent that has started, and says that it is another one."""
    agent = await spawned(setup, kind, lifetime_minutes=120, **changes)
    setup.world.agents.set_ready(HOME, agent)
    setup.remote_agents.cards[agent] = Card("another")
    return agent


async def is_cut_off(setup: Bench, agent: str) -> bool:
    return agent in await setup.world.cordon.standing(HOME)


async def quarantines(setup: Bench) -> int:
    outcomes = (await setup.world.ledgers.look(ROOT.name)).outcomes
    return outcomes["template:researcher"].quarantines if outcomes else 0


async def is_whole(setup: Bench, agent: str) -> bool:
    """Marked, cut off, counted once and still there."""
    phase = (await stored_as(setup, agent)).phase
    done = (phase, await is_cut_off(setup, agent), await quarantines(setup), agent in await standing(setup))
    return done == ("quarantined", True, 1, True)


async def test_one_in_quarantine_is_cut_off_counted_told_and_kept() -> None:
    setup = grove()
    agent = await suspicious(setup)
    assert await repaired(setup) == [("greet", agent)]
    await setup.services.later.settle()

    assert await is_whole(setup, agent)
    assert [reason for _, reason, _ in setup.world.announcements.told] == ["Created", "Quarantined"]
    assert await repaired(setup) == []
    shown = await get_subagent(setup.services, CALLER, agent)
    assert shown.phase == "quarantined"  # type: ignore[union-attr]  # it is found


async def test_an_agent_that_differs_from_what_was_approved_is_cut_off() -> None:
    setup = grove()
    agent = await spawned(setup)
    altered = dict((await agent_of(setup, agent)).manifest)
    setup.world.agents._objects[HOME, agent]["spec"] = {**altered["spec"], "description": "Something else"}

    assert await repaired(setup) == [("quarantine", agent)]
    assert await is_whole(setup, agent)
    assert (await stored_as(setup, agent)).history[-1].reason == "drift"


@pytest.mark.parametrize("fault", ["killed_before", "killed_after"])
async def test_whoever_is_killed_at_any_step_is_succeeded_by_another(fault: Any) -> None:
    for step in range(40):
        setup = grove()
        agent = await suspicious(setup)
        process = Process(setup.services)
        await process.do(repair(process.services), {("call", step): fault})
        if process.alive:
            break
        for _ in range(2):
            await repair(setup.services)
        assert await is_whole(setup, agent), step
    else:
        raise AssertionError("it never ended")
    assert step > 15


async def test_whoever_fails_at_any_change_is_succeeded_by_another() -> None:
    for step in range(40):
        setup = grove()
        agent = await suspicious(setup)
        process = Process(setup.services)
        await process.do(repair(process.services), {("change", step): "unsaid"})
        reached = process.counted["change"] > step
        for _ in range(2):
            await repair(setup.services)
        assert await is_whole(setup, agent), step
        if not reached:
            return
    raise AssertionError("it never ended")


async def test_that_it_can_not_be_counted_does_not_keep_it_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    agent = await suspicious(setup)
    monkeypatch.setattr(module, "record_quarantine", failing(Unavailable("no answer")))
    await repair(setup.services)

    assert await is_cut_off(setup, agent)


async def test_what_the_ledger_would_not_take_at_first_is_counted_once_it_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    agent = await suspicious(setup)
    answers = iter([Unavailable("no answer")])

    async def once_in_vain(*arguments: Any) -> None:
        if error := next(answers, None):
            raise error
        assert await is_cut_off(setup, agent)
        await record_quarantine(*arguments)

    monkeypatch.setattr(module, "record_quarantine", once_in_vain)
    await repair(setup.services)
    assert await is_whole(setup, agent)


async def test_one_that_can_not_be_cut_off_gets_no_work_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    agent = await suspicious(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.cordon, "cut_off", failing(Refused("forbidden.rbac", "no")))
        await repair(setup.services)
        assert (await stored_as(setup, agent)).phase == "quarantined"
    assert "agent.connected" not in [record.event for record in setup.audit.records]
    assert await repaired(setup) == [("cordon", agent)]
    assert await is_whole(setup, agent)


async def test_that_something_still_lets_it_through_is_told_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    agent = await suspicious(setup)
    cut_off = setup.world.cordon.cut_off

    async def with_a_hole(one: Any) -> None:
        await cut_off(one)
        raise Refused("cordon.incomplete", "Network policies still let it through: allow-all.")

    monkeypatch.setattr(setup.world.cordon, "cut_off", with_a_hole)
    await repair(setup.services)
    await setup.services.later.settle()
    assert await is_whole(setup, agent)
    assert [record.reasons for record in setup.audit.records if record.event == "agent.connected"] == [
        ("cordon.incomplete",)
    ]
    assert [reason for _, reason, _ in setup.world.announcements.told] == ["Created", "Quarantined", "CordonIncomplete"]
    assert await repaired(setup) == []


@pytest.mark.parametrize("became", ["gone", "retired"])
async def test_one_that_is_retired_while_it_is_cut_off_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, became: str
) -> None:
    setup = grove()
    agent = await suspicious(setup)
    cut_off = setup.world.cordon.cut_off

    async def too_late(one: Any) -> None:
        stored = await stored_as(setup, agent)
        if became == "gone":
            await setup.world.proposals.delete(stored)
        else:
            await setup.world.proposals.mark(stored, "retired")
        await cut_off(one)

    monkeypatch.setattr(setup.world.cordon, "cut_off", too_late)
    await repair(setup.services)
    assert not await is_cut_off(setup, agent)


async def test_evidence_goes_in_time_and_leaves_nothing_behind() -> None:
    setup = grove()
    agent = await suspicious(setup)
    await repair(setup.services)
    setup.clock.advance(minutes=119)
    assert await repaired(setup) == []
    setup.clock.advance(minutes=1)

    assert await repaired(setup) == [("expire", agent)]
    assert (await standing(setup), await held(setup), await is_cut_off(setup, agent)) == (set(), set(), False)
    assert QUARANTINE_KEPT_FOR.total_seconds() == 24 * 3600


async def test_evidence_that_a_person_removed_leaves_nothing_behind() -> None:
    setup = grove()
    agent = await suspicious(setup)
    await repair(setup.services)
    await deleted_by_hand(setup, agent)

    assert await repaired(setup) == [("release", agent)]
    assert await repaired(setup) == [("retire", agent)]
    assert not await is_cut_off(setup, agent)


async def test_one_in_quarantine_is_no_caller_and_has_no_children() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    token = token_of(setup, lead)
    assert await caller_of(setup.services, token) == under(lead)
    await setup.world.proposals.mark(await stored_as(setup, lead), "quarantined", reason="drift")

    assert await caller_of(setup.services, token) is None
    answer = await propose(setup.services, under(lead), ask(purpose="One more"))
    assert "lineage.parent_quarantined" in [reason.code for reason in answer.reasons]
    assert await repaired(setup) == [("cordon", lead), ("orphan", researcher)]
    assert await standing(setup) == {director, lead}


async def test_a_credential_of_an_agent_without_a_proposal_is_nobodys() -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    token = token_of(setup, lead)
    stored = await stored_as(setup, lead)
    await setup.world.proposals.delete(replace(stored))

    assert await caller_of(setup.services, token) is None

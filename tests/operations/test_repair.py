from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.expiry import ABANDONED_AFTER, Action
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.operations.answers import Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.removing import remove
from mcp_agentspawn.operations.repair import read_all, repair
from tests.builders import CALLER, ROOT, Bench, bench
from tests.operations.doubles import failing
from tests.operations.trees import held, proposed, stored_as


async def spawned(setup: Bench) -> Proposed:
    made = await proposed(setup)
    await apply(setup.services, CALLER, made.proposal, made.digest)
    await setup.services.later.settle()
    return made


async def repaired(setup: Bench) -> list[str]:
    return [action.verb for action in await repair(setup.services)]


async def test_what_agrees_is_left_alone() -> None:
    setup = bench()
    await spawned(setup)
    written = len(setup.audit.records)

    assert await repaired(setup) == []
    assert len(setup.audit.records) == written


async def test_a_missing_mark_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "mark", failing(Unavailable("gone")))
        made = await spawned(setup)

    assert await repaired(setup) == ["mark"]
    assert (await stored_as(setup, made.proposal)).phase == "starting"
    assert await repaired(setup) == []


async def test_an_abandoned_reservation_is_fenced_and_released_only_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(UnknownOutcome("lost")))
        with pytest.raises(UnknownOutcome):
            await apply(setup.services, CALLER, made.proposal, made.digest)

    assert await repaired(setup) == []
    setup.clock.advance(seconds=ABANDONED_AFTER.total_seconds())
    assert await repaired(setup) == ["fence"]
    assert ((await stored_as(setup, made.proposal)).phase, await held(setup)) == ("lapsed", set())


async def test_an_agent_that_appears_after_the_fence_keeps_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(UnknownOutcome("lost")))
        with pytest.raises(UnknownOutcome):
            await apply(setup.services, CALLER, made.proposal, made.digest)
    setup.clock.advance(seconds=ABANDONED_AFTER.total_seconds())
    mark = setup.world.proposals.mark

    async def created_meanwhile(*arguments: Any, **words: Any) -> Any:
        await setup.world.agents.create(ROOT, made.proposal, made.manifest)
        return await mark(*arguments, **words)

    monkeypatch.setattr(setup.world.proposals, "mark", created_meanwhile)
    assert await repaired(setup) == []
    assert await held(setup) == {made.proposal}
    monkeypatch.setattr(setup.world.proposals, "mark", mark)
    assert await repaired(setup) == ["remove"]
    assert (await held(setup), await setup.world.agents.of_root(ROOT)) == (set(), [])


async def test_a_place_taken_while_the_world_was_read_stays_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    read = setup.world.proposals.all

    async def too_early() -> Any:
        found = await read()
        made.append(await proposed(setup))
        with pytest.raises(UnknownOutcome):
            await apply(setup.services, CALLER, made[0].proposal, made[0].digest)
        return found

    made: list[Proposed] = []
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(UnknownOutcome("on its way")))
        patch.setattr(setup.world.proposals, "all", too_early)
        assert await repaired(setup) == []

    assert await held(setup) == {made[0].proposal}


async def test_an_agent_past_its_time_is_retired_although_its_roots_rights_are_gone() -> None:
    setup = bench()
    made = await spawned(setup)
    setup.world.agents.may_write.clear()
    setup.clock.advance(minutes=30)

    assert await repaired(setup) == ["expire"]
    assert (await held(setup), await setup.world.agents.of_root(ROOT)) == (set(), [])
    ended = await stored_as(setup, made.proposal)
    assert [(step.phase, step.reason) for step in ended.history[-2:]] == [
        ("retiring", "expired"),
        ("retired", "expired"),
    ]
    assert await repaired(setup) == []


async def test_an_agent_that_does_not_go_keeps_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await spawned(setup)
    setup.clock.advance(minutes=30)

    async def on_its_way(*_: object) -> bool:
        return False

    monkeypatch.setattr(setup.world.agents, "expire", on_its_way)
    assert await repaired(setup) == []
    assert await held(setup) == {made.proposal}
    assert setup.audit.events()[-2:] == [("repair.intent", ""), ("repair.outcome", "left")]


async def test_a_slot_whose_agent_was_deleted_by_hand_is_released() -> None:
    setup = bench()
    made = await spawned(setup)
    agent = await setup.world.agents.get("subagents", made.proposal)
    assert agent is not None
    await setup.world.agents.expire("subagents", agent.id, agent.uid)

    assert await repaired(setup) == ["release"]
    assert await held(setup) == set()
    assert (await setup.world.ledgers.look(ROOT.name)).spawned == 1


async def test_an_agent_that_no_ledger_knows_is_removed() -> None:
    setup = bench()
    made = await proposed(setup)
    await setup.world.agents.create(ROOT, made.proposal, made.manifest)

    assert await repaired(setup) == ["remove"]
    assert await setup.world.agents.of_root(ROOT) == []


async def test_expired_proposals_lapse_and_are_forgotten_after_a_day() -> None:
    setup = bench()
    made = await proposed(setup)
    setup.clock.advance(minutes=15)

    assert await repaired(setup) == ["lapse"]
    assert (await stored_as(setup, made.proposal)).phase == "lapsed"
    setup.clock.advance(hours=24)
    assert await repaired(setup) == ["forget"]
    assert await setup.world.proposals.all() == []


async def test_what_changed_meanwhile_is_left_to_the_next_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    await proposed(setup)
    setup.clock.advance(minutes=15)
    monkeypatch.setattr(setup.world.proposals, "mark", failing(Conflict("changed")))

    assert await repaired(setup) == []
    assert setup.audit.events()[-1] == ("repair.outcome", "left")


async def test_without_an_audit_nothing_is_repaired() -> None:
    setup = bench()
    await spawned(setup)
    setup.clock.advance(minutes=30)
    setup.audit.failing = Unavailable("disk full")

    with pytest.raises(Unavailable):
        await repair(setup.services)
    assert len(await setup.world.agents.of_root(ROOT)) == 1


async def test_roots_that_are_no_longer_configured_are_still_looked_after() -> None:
    setup = bench()
    await spawned(setup)
    setup.clock.advance(minutes=30)

    assert [action.verb for action in await repair(replace(setup.services, roots=[]))] == []
    others = replace(setup.services, roots=[root for root in setup.services.roots if root != ROOT])
    assert [action.verb for action in await repair(others)] == ["expire"]


async def test_the_place_of_a_withdrawal_that_was_interrupted_is_closed() -> None:
    setup = bench()
    made = await proposed(setup)
    await setup.world.proposals.mark(await stored_as(setup, made.proposal), "lapsed", reason="withdrawn")

    assert await repaired(setup) == ["close"]
    assert (await setup.world.ledgers.look(ROOT.name)).open == {}


async def test_what_can_not_be_done_keeps_nothing_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await spawned(setup)
    setup.clock.advance(days=1)
    waiting = await proposed(setup, purpose="Something else")
    await setup.world.proposals.mark(await stored_as(setup, waiting.proposal), "lapsed", reason="withdrawn")
    monkeypatch.setattr(setup.world.agents, "expire", failing(Refused("forbidden.policy", "no")))

    assert await repaired(setup) == ["close"]
    assert await held(setup) == {made.proposal}


async def test_a_place_is_not_free_while_its_agent_stands_in_a_home_that_the_root_had_before() -> None:
    setup = bench()
    made = await spawned(setup)
    setup.clock.advance(seconds=ABANDONED_AFTER.total_seconds())
    setup.services = replace(setup.services, roots=[replace(ROOT, home="elsewhere")])

    assert await repaired(setup) == []
    assert await held(setup) == {made.proposal}


async def test_what_nobody_is_there_for_is_not_taken_for_something_else() -> None:
    setup = bench()
    made = await spawned(setup)
    (seen, *_) = await read_all(setup.services)

    with pytest.raises(ValueError, match="clear"):
        await remove(setup.services, seen, Action("clear", made.proposal), Head("writer", 1, ""))
    assert (await stored_as(setup, made.proposal)).phase == "starting"

"""What repair does about subagents whose parent is gone, and about what people said long ago."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.delegation import TaskAnswer
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.expiry import ABANDONED_AFTER, KEPT_FOR
from mcp_agentspawn.core.ledger import Live
from mcp_agentspawn.core.switches import Reset
from tests.builders import ROOT, task
from tests.operations.doubles import failing
from tests.operations.trees import (
    HOME,
    agent_of,
    approved,
    deleted_by_hand,
    grove,
    held,
    line,
    proposed,
    repaired,
    spawned,
    standing,
    stored_as,
)


async def test_what_agrees_in_a_tree_is_left_alone() -> None:
    setup = grove()
    await line(setup)

    assert await repaired(setup) == []
    assert not setup.services.later.wanted.is_set()


async def test_a_tree_whose_top_was_deleted_by_hand_goes_after_it() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    await deleted_by_hand(setup, director)

    assert await repaired(setup) == [("release", director), ("orphan", researcher), ("orphan", lead)]
    assert setup.services.later.wanted.is_set()
    assert (await standing(setup), await held(setup), setup.world.keyring.tokens) == (set(), set(), {})


async def test_a_parent_that_expires_takes_its_children_with_it() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    setup.clock.advance(minutes=30)
    await repaired(setup)

    assert (await standing(setup), await held(setup), setup.world.keyring.tokens) == (set(), set(), {})
    await repaired(setup)
    assert {(await stored_as(setup, id_)).phase for id_ in (director, lead, researcher)} == {"retired"}


async def test_open_proposals_of_a_parent_that_is_gone_lapse_and_free_their_place() -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    made = await proposed(setup, parent=lead)
    await deleted_by_hand(setup, lead)

    assert await repaired(setup) == [("release", lead)]
    assert ("lapse", made.proposal) in await repaired(setup)
    assert ("close", made.proposal) in await repaired(setup)
    assert (await setup.world.ledgers.look(ROOT.name)).open == {}


async def test_a_parent_that_was_not_seen_but_stands_keeps_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    child = await spawned(setup, parent=lead)
    of_home = setup.world.agents.of_home

    async def without_the_parent(home: str) -> Any:
        return [agent for agent in await of_home(home) if agent.id != lead]

    monkeypatch.setattr(setup.world.agents, "of_home", without_the_parent)
    assert await repaired(setup) == []
    assert await standing(setup) == {lead, child}


async def test_a_namesake_of_the_parent_that_is_anothers_is_no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    child = await spawned(setup, parent=lead)
    stranger = replace(await agent_of(setup, lead), virtual_user="agentspawn:agents:other")
    await deleted_by_hand(setup, lead)
    get = setup.world.agents.get

    async def with_a_stranger(home: str, id_: str) -> Any:
        return stranger if id_ == lead else await get(home, id_)

    monkeypatch.setattr(setup.world.agents, "get", with_a_stranger)
    assert ("orphan", child) in await repaired(setup)


async def test_a_place_that_nothing_tells_of_gives_its_credential_back_too() -> None:
    setup = grove()
    live = Live(setup.clock.now(), "nonce", "sha256:r", credentials=("hash",))
    await setup.world.keyring.put(HOME, "sub-lead-lost", "token")
    await setup.world.ledgers.change(ROOT.name, lambda ledger: (replace(ledger, live={"sub-lead-lost": live}), None))
    setup.clock.advance(seconds=ABANDONED_AFTER.total_seconds())

    assert await repaired(setup) == [("release", "sub-lead-lost")]
    assert (await held(setup), setup.world.keyring.tokens) == (set(), {})


async def test_decisions_leave_a_day_after_their_proposal() -> None:
    setup = grove()
    made = await proposed(setup, "lead")
    await approved(setup, made)
    setup.clock.advance(seconds=2 * KEPT_FOR.total_seconds())
    assert await repaired(setup) == [("lapse", made.proposal)]
    assert len(await setup.world.approvals.all()) == 1

    assert await repaired(setup) == [("forget", made.proposal), ("clear", f"{made.proposal}.alice")]
    assert await setup.world.approvals.all() == []
    assert setup.audit.events()[-2:] == [("repair.intent", ""), ("repair.outcome", "done")]


async def test_answers_to_tool_approvals_leave_a_day_after_their_task() -> None:
    setup = grove()
    agent = await spawned(setup)
    stored = await setup.world.tasks.create(task(agent=agent))
    answer = TaskAnswer("task-1.alice", "task-1", stored.uid, "sha256:d", "approve", "alice")
    await setup.world.task_answers.create(answer)
    setup.clock.advance(seconds=KEPT_FOR.total_seconds())
    assert ("clear", "task-1.alice") not in await repaired(setup)

    await setup.world.tasks.delete(stored)
    assert await repaired(setup) == [("clear", "task-1.alice")]
    assert await setup.world.task_answers.all() == []


async def test_resets_leave_after_a_day() -> None:
    setup = grove()
    await setup.world.switchboard.reset(Reset("one", ROOT.name, counts=True, reason="checked", by="alice"))
    assert await repaired(setup) == []
    setup.clock.advance(seconds=KEPT_FOR.total_seconds())

    assert await repaired(setup) == [("clear", "one")]
    assert setup.audit.records[-1].root == ROOT.name
    assert (await setup.world.switchboard.current()).resets == ()


async def test_what_can_not_be_cleared_is_left_to_the_next_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    made = await proposed(setup)
    await approved(setup, made)
    await setup.world.switchboard.reset(Reset("one", ROOT.name, counts=True, reason="checked", by="alice"))
    await setup.world.proposals.delete(await stored_as(setup, made.proposal))
    setup.clock.advance(seconds=KEPT_FOR.total_seconds())
    monkeypatch.setattr(setup.world.approvals, "delete", failing(Refused("forbidden.rbac", "no")))

    assert await repaired(setup) == [("clear", "one")]

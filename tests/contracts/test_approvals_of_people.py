"""Decisions of people: found by their proposal at once, by every server, and never changed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Conflict
from mcp_agentspawn.core.model import Approval
from tests.contracts.stages import Stage, fresh


def decision(stage: Stage, proposal: str, suffix: str = "a", **changes: Any) -> Approval:
    made = Approval(
        name=f"{proposal}.{suffix}",
        proposal=proposal,
        proposal_uid="uid-1",
        digest="sha256:1",
        decision="approve",
        decider=stage.person_name,
        reason="Ünïcode “why” 🔎",
    )
    return replace(made, **changes)


async def test_a_decision_is_stored_as_it_was_made_at_the_moment_of_its_storing(stage: Stage) -> None:
    made = decision(stage, fresh())

    stored = await stage.person.approvals.create(made)

    assert stored.decided_at is not None
    assert abs(datetime.now(UTC) - stored.decided_at) < timedelta(seconds=60)
    assert replace(stored, decided_at=None) == made
    assert await stage.world.approvals.of(made.proposal) == [stored]
    assert await stage.replica.approvals.of(made.proposal) == [stored]


async def test_a_reason_may_be_empty_and_a_decision_may_be_no(stage: Stage) -> None:
    await stage.person.approvals.create(decision(stage, id_ := fresh(), decision="deny", reason=""))

    (found,) = await stage.world.approvals.of(id_)
    assert (found.decision, found.reason) == ("deny", "")


async def test_a_proposal_has_its_own_decisions_only(stage: Stage) -> None:
    mine, longer = fresh(), fresh()
    for proposal in (mine, f"{mine}-b", longer):
        await stage.person.approvals.create(decision(stage, proposal))

    assert [found.proposal for found in await stage.world.approvals.of(mine)] == [mine]
    assert await stage.world.approvals.of(fresh()) == []
    assert {mine, f"{mine}-b", longer} <= {found.proposal for found in await stage.world.approvals.all()}


async def test_all_decisions_on_a_proposal_are_found_whatever_they_are_about(stage: Stage) -> None:
    proposal = fresh()
    for suffix, changes in {"a": {}, "b": {"digest": "sha256:other"}, "c": {"proposal_uid": "of a namesake"}}.items():
        await stage.person.approvals.create(decision(stage, proposal, suffix, **changes))

    assert {found.name for found in await stage.world.approvals.of(proposal)} == {f"{proposal}.{s}" for s in "abc"}


@pytest.mark.parametrize("odd", ["", "..", "a,spec.decider=b", "a\n", "a=b", "A B", "!", "x" * 500])
async def test_what_can_be_no_proposal_has_no_decisions(stage: Stage, odd: str) -> None:
    await stage.person.approvals.create(decision(stage, fresh()))

    assert await stage.world.approvals.of(odd) == []


async def test_a_name_is_taken_once(stage: Stage) -> None:
    stored = await stage.person.approvals.create(decision(stage, fresh()))

    with pytest.raises(Conflict):
        await stage.person.approvals.create(decision(stage, stored.proposal, decision="deny"))

    assert await stage.world.approvals.of(stored.proposal) == [stored]


async def test_of_two_at_the_same_moment_one_is_stored(stage: Stage) -> None:
    made = decision(stage, fresh())

    said = await asyncio.gather(*(stage.person.approvals.create(made) for _ in range(2)), return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in said) == ["Approval", "Conflict"]


async def test_what_is_removed_is_gone_and_stays_gone(stage: Stage) -> None:
    by_person = await stage.person.approvals.create(decision(stage, fresh()))
    by_server = await stage.person.approvals.create(decision(stage, fresh()))

    for _ in range(2):
        await stage.person.approvals.delete(by_person)
        await stage.world.approvals.delete(by_server)

    assert await stage.world.approvals.of(by_person.proposal) == []
    assert await stage.world.approvals.of(by_server.proposal) == []

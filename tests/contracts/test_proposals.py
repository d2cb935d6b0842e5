"""Proposals: written once, found again, marked by whoever saw them last."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mcp_agentspawn.core.digest import hash_of, proposal_digest
from mcp_agentspawn.core.errors import Conflict, Missing, Refused
from mcp_agentspawn.core.model import MOST_STEPS, Crashing, Grant, Phase, RestsOn, Root
from tests.contracts.stages import Stage, fresh, proposal

LONG = Root("agents", "a" * 60, "subagents")


async def test_a_stored_proposal_is_the_one_that_was_made(stage: Stage) -> None:
    made = proposal(stage.root, parent="sub-parent", risk="high")

    stored = await stage.world.proposals.create(made)

    assert stored.created_at is not None
    assert stored.version
    assert stored.uid
    assert replace(stored, created_at=None, uid="", version="") == made
    assert await stage.replica.proposals.get(made.id) == stored


async def test_an_empty_grant_stays_empty(stage: Stage) -> None:
    made = proposal(stage.root, grant=Grant((), (), timedelta()), rests_on=RestsOn())

    stored = await stage.world.proposals.create(made)

    assert (stored.grant, stored.rests_on) == (made.grant, made.rests_on)


async def test_a_namesake_of_one_that_is_gone_is_another(stage: Stage) -> None:
    first = await stage.world.proposals.create(proposal(stage.root))
    await stage.world.proposals.delete(first)

    second = await stage.world.proposals.create(replace(first, uid="", version=""))

    assert first.id == second.id
    assert first.uid != second.uid


async def test_values_keep_their_kind(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))

    kinds = {name: type(value).__name__ for name, value in stored.request.parameters.items()}
    assert kinds == {"topic": "str", "depth": "int", "share": "float", "strict": "bool", "zero": "int", "empty": "str"}
    assert {name: type(value) for name, value in stored.grant.parameters.items()} == {"share": float, "topic": str}
    assert stored.expires_at.utcoffset() == timedelta()


async def test_it_was_created_now(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))

    assert stored.created_at is not None
    assert abs(datetime.now(UTC) - stored.created_at) < timedelta(seconds=60)


async def test_an_id_is_taken_once(stage: Stage) -> None:
    first = await stage.world.proposals.create(proposal(stage.root))

    with pytest.raises(Conflict):
        await stage.replica.proposals.create(replace(first, digest="sha256:other"))

    assert await stage.world.proposals.get(first.id) == first


async def test_of_two_at_the_same_moment_one_is_stored(stage: Stage) -> None:
    made = proposal(stage.root)

    said = await asyncio.gather(
        *(world.proposals.create(made) for world in (stage.world, stage.replica)), return_exceptions=True
    )

    assert sorted(type(answer).__name__ for answer in said) == ["Conflict", "Proposal"]


async def test_what_is_not_there_is_none(stage: Stage) -> None:
    for id_ in (fresh(), "", "..", "a/status", "%2e%2e", "A B"):
        assert await stage.world.proposals.get(id_) is None


async def test_a_mark_sets_the_phase_and_gives_the_new_version(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))

    marked = await stage.world.proposals.mark(stored, "starting", agent_uid="some-uid", reason="made")

    (step,) = marked.history
    assert marked == replace(stored, phase="starting", agent_uid="some-uid", version=marked.version, history=(step,))
    assert marked.version != stored.version
    assert await stage.replica.proposals.get(stored.id) == marked


async def test_its_history_is_what_it_came_to_and_why_and_when(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))
    marked = await stage.world.proposals.mark(stored, "starting", reason="made")
    marked = await stage.world.proposals.mark(marked, "ready")
    marked = await stage.world.proposals.mark(marked, "ready", reason="once more")
    marked = await stage.world.proposals.mark(marked, "quarantined", reason="crashes")

    said = [(step.phase, step.reason) for step in marked.history]
    assert (stored.history, said) == ((), [("starting", "made"), ("ready", ""), ("quarantined", "crashes")])
    assert all(abs(datetime.now(UTC) - step.at) < timedelta(seconds=60) for step in marked.history)
    assert await stage.replica.proposals.get(stored.id) == marked


async def test_its_history_is_bounded(stage: Stage) -> None:
    marked = await stage.world.proposals.create(proposal(stage.root))
    phases: list[Phase] = ["starting", "ready"]

    for phase in phases * MOST_STEPS:
        marked = await stage.world.proposals.mark(marked, phase)

    assert len(marked.history) == MOST_STEPS
    assert marked.history[-1].phase == "ready"


async def test_that_its_agent_crashes_is_recorded_with_since_when_and_kept(stage: Stage) -> None:
    proposals = stage.world.proposals
    stored = await proposals.create(proposal(stage.root))
    first = await proposals.note_crashes(await proposals.mark(stored, "starting", reason="made"), 3)
    again = await proposals.note_crashes(first, 4)
    marked = await proposals.mark(again, "ready")

    assert first.crashing is not None
    assert (stored.crashing, first.crashing.times) == (None, 3)
    assert again.crashing == marked.crashing == Crashing(4, first.crashing.since)
    assert (again.phase, again.history) == (first.phase, first.history)
    assert await proposals.get(stored.id) == marked


async def test_only_who_saw_it_last_records_its_crashes(stage: Stage) -> None:
    proposals = stage.world.proposals
    stored = await proposals.create(proposal(stage.root))
    marked = await proposals.mark(stored, "starting")

    with pytest.raises(Conflict):
        await proposals.note_crashes(stored, 3)
    await proposals.delete(marked)
    with pytest.raises(Missing):
        await proposals.note_crashes(marked, 3)


async def test_it_is_known_by_the_hash_of_its_manifest(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))
    marked = await stage.world.proposals.mark(stored, "starting")
    found = await stage.replica.proposals.get(stored.id)

    assert found is not None
    assert {stored.fingerprint, marked.fingerprint, found.fingerprint} == {hash_of(stored.manifest.encode())}


@pytest.mark.parametrize("single", [True, False])
async def test_a_grant_says_whether_it_is_for_a_single_task(stage: Stage, single: bool) -> None:
    made = proposal(stage.root)

    stored = await stage.world.proposals.create(replace(made, grant=replace(made.grant, single_task=single)))

    assert stored.grant.single_task is single
    assert proposal_digest("{}", stored.grant) == proposal_digest("{}", replace(made.grant, single_task=single))


async def test_a_mark_without_an_agent_keeps_the_one_known(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))

    marked = await stage.world.proposals.mark(stored, "starting", agent_uid="some-uid")
    marked = await stage.world.proposals.mark(marked, "ready")

    assert (marked.phase, marked.agent_uid) == ("ready", "some-uid")


async def test_only_who_saw_it_last_marks_it(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))
    marked = await stage.world.proposals.mark(stored, "starting")

    with pytest.raises(Conflict):
        await stage.replica.proposals.mark(stored, "lapsed")

    assert await stage.world.proposals.get(stored.id) == marked


async def test_of_two_marks_at_the_same_moment_one_counts(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))

    said = await asyncio.gather(
        stage.world.proposals.mark(stored, "starting"),
        stage.replica.proposals.mark(stored, "lapsed"),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in said) == ["Conflict", "Proposal"]


async def test_what_is_gone_is_not_marked(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))
    await stage.world.proposals.delete(stored)

    with pytest.raises(Missing):
        await stage.world.proposals.mark(stored, "ready")


@pytest.mark.parametrize("final", ["retired", "lapsed"])
async def test_what_is_final_stays_so(stage: Stage, final: Phase) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))
    ended = await stage.world.proposals.mark(stored, final)

    with pytest.raises(Refused) as refusal:
        await stage.world.proposals.mark(ended, "ready")

    assert refusal.value.code == "invalid"
    assert await stage.world.proposals.get(stored.id) == ended


async def test_what_has_changed_is_not_deleted(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))
    marked = await stage.world.proposals.mark(stored, "starting")

    with pytest.raises(Conflict):
        await stage.world.proposals.delete(stored)

    assert await stage.world.proposals.get(stored.id) == marked


async def test_what_is_deleted_is_gone_and_stays_gone(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(stage.root))

    await stage.world.proposals.delete(stored)
    await stage.world.proposals.delete(stored)

    assert await stage.world.proposals.get(stored.id) is None
    assert stored.id not in {found.id for found in await stage.world.proposals.all()}


async def test_each_root_finds_its_own_and_the_server_all(stage: Stage) -> None:
    mine, theirs = stage.unknown_root(), stage.unknown_root()
    first, second = [await stage.world.proposals.create(proposal(mine)) for _ in range(2)]
    third = await stage.world.proposals.create(proposal(theirs))
    proposals = stage.replica.proposals

    assert {found.id for found in await proposals.of_root(mine)} == {first.id, second.id}
    assert await proposals.of_root(theirs) == [third]
    assert await proposals.of_root(stage.unknown_root()) == []
    assert {first.id, second.id, third.id} <= {found.id for found in await proposals.all()}


async def test_a_root_of_any_length_finds_its_own(stage: Stage) -> None:
    stored = await stage.world.proposals.create(proposal(LONG))

    assert stored.id in {found.id for found in await stage.world.proposals.of_root(LONG)}
    assert await stage.world.proposals.of_root(replace(LONG, account="a" * 61)) == []

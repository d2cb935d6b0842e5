"""Subagents: made once, under one id, by their root; never altered; gone for good."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mcp_agentspawn.core.errors import Conflict, Refused
from mcp_agentspawn.core.model import Root, Subagent
from tests.contracts.stages import Stage, fresh, manifest


async def make(stage: Stage, root: Root, id_: str) -> Subagent:
    return await stage.world.agents.create(root, id_, manifest(root, id_))


async def test_a_trial_answers_what_would_be_stored_and_stores_nothing(stage: Stage) -> None:
    id_ = fresh()
    sent = manifest(stage.root, id_)

    assert await stage.world.agents.trial(stage.root, id_, sent) == sent
    assert await stage.world.agents.get(stage.root.home, id_) is None


async def test_what_is_created_is_read_back_by_every_server(stage: Stage) -> None:
    id_, sent = fresh(), datetime.now(UTC)

    created = await make(stage, stage.root, id_)

    assert created == await stage.replica.agents.get(stage.root.home, id_)
    assert created.uid
    assert abs(created.created_at - sent) < timedelta(seconds=60)
    assert created.created_at.utcoffset() == timedelta()
    assert created.manifest == manifest(stage.root, id_)
    assert (created.id, created.home, created.virtual_user) == (id_, "subagents", stage.root.virtual_user)
    assert (created.parent, created.template, created.request_digest) == ("sub-parent", "researcher", "sha256:1")
    assert created.lifetime == timedelta(minutes=30)
    assert created.depth == 0
    assert not created.deleting


async def test_an_agent_is_ready_when_its_controller_says_so(stage: Stage) -> None:
    id_ = fresh()
    assert not (await make(stage, stage.root, id_)).ready

    await stage.make_ready(id_)

    found = await stage.world.agents.get(stage.root.home, id_)
    assert found is not None
    assert found.ready
    assert found.manifest == manifest(stage.root, id_)


async def test_a_name_is_taken_once(stage: Stage) -> None:
    id_ = fresh()
    first = await make(stage, stage.root, id_)

    with pytest.raises(Conflict):
        await make(stage, stage.root, id_)
    with pytest.raises(Conflict):
        await make(stage, stage.other, id_)
    with pytest.raises(Conflict):
        await stage.world.agents.trial(stage.root, id_, manifest(stage.root, id_))

    assert await stage.world.agents.get(stage.root.home, id_) == first


async def test_of_two_creates_at_the_same_moment_one_wins(stage: Stage) -> None:
    id_ = fresh()
    sent = manifest(stage.root, id_)

    said = await asyncio.gather(
        stage.world.agents.create(stage.root, id_, sent),
        stage.replica.agents.create(stage.root, id_, sent),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in said) == ["Conflict", "Subagent"]


@pytest.mark.parametrize("way", ["trial", "create"])
async def test_name_label_and_proposal_are_one(stage: Stage, way: str) -> None:
    id_ = fresh()
    named, labelled, marked = (manifest(stage.root, id_) for _ in range(3))
    named["metadata"]["name"] = fresh()
    labelled["metadata"]["labels"]["agentspawn.dev/proposal"] = fresh()
    marked["metadata"]["annotations"]["agentspawn.dev/root"] = stage.other.virtual_user

    for sent in (named, labelled, marked):
        with pytest.raises(Refused) as refusal:
            await getattr(stage.world.agents, way)(stage.root, id_, sent)
        assert refusal.value.code == "forbidden.policy"
    assert await stage.world.agents.of_home(stage.root.home) == []


@pytest.mark.parametrize("way", ["trial", "create"])
async def test_what_does_not_fit_the_schema_is_refused(stage: Stage, way: str) -> None:
    id_ = fresh()

    for wrong in ({"unknown": 1}, {"description": 1}):
        with pytest.raises(Refused) as refusal:
            await getattr(stage.world.agents, way)(stage.root, id_, manifest(stage.root, id_, **wrong))
        assert refusal.value.code == "invalid"


async def test_a_root_without_rights_writes_nothing(stage: Stage) -> None:
    id_, agents = fresh(), stage.world.agents
    sent = manifest(stage.powerless, id_)

    for attempt in (
        agents.trial(stage.powerless, id_, sent),
        agents.create(stage.powerless, id_, sent),
        agents.trial_delete(stage.powerless, id_, "some-uid"),
        agents.delete(stage.powerless, id_, "some-uid"),
    ):
        with pytest.raises(Refused) as refusal:
            await attempt
        assert refusal.value.code == "forbidden.rbac"


async def test_a_root_that_is_not_configured_is_never_written_as(stage: Stage) -> None:
    id_, agents, stranger = fresh(), stage.world.agents, stage.unknown_root()
    sent = manifest(stranger, id_)

    for attempt in (
        agents.trial(stranger, id_, sent),
        agents.create(stranger, id_, sent),
        agents.trial_delete(stranger, id_, "some-uid"),
        agents.delete(stranger, id_, "some-uid"),
    ):
        with pytest.raises(Refused) as refusal:
            await attempt
        assert refusal.value.code == "forbidden.principal"


async def test_a_full_namespace_refuses(stage: Stage) -> None:
    await stage.leave_room(2)
    ids = [fresh() for _ in range(3)]
    for id_ in ids[:2]:
        await make(stage, stage.root, id_)

    for way in (stage.world.agents.create, stage.world.agents.trial):
        with pytest.raises(Refused) as refusal:
            await way(stage.root, ids[2], manifest(stage.root, ids[2]))
        assert refusal.value.code == "forbidden.quota"


async def test_a_full_namespace_says_so_before_it_says_that_a_name_is_taken(stage: Stage) -> None:
    """Whoever repeats a create is told `forbidden.quota` although the agent stands, so look before giving it up."""
    await stage.leave_room(1)
    id_ = fresh()
    await make(stage, stage.root, id_)

    with pytest.raises(Refused) as refusal:
        await make(stage, stage.root, id_)

    assert refusal.value.code == "forbidden.quota"
    assert await stage.world.agents.get(stage.root.home, id_) is not None


async def test_creates_at_the_same_moment_fill_a_namespace_exactly(stage: Stage) -> None:
    await stage.leave_room(3)
    ids = [fresh() for _ in range(10)]

    said = await asyncio.gather(*(make(stage, stage.root, id_) for id_ in ids), return_exceptions=True)

    assert sum(isinstance(answer, Subagent) for answer in said) == 3
    assert len(await stage.world.agents.of_home(stage.root.home)) == 3


async def test_what_is_not_there_is_none(stage: Stage) -> None:
    for id_ in (fresh(), "", ".", "..", "a/b", "../agents", "A B", "%2e%2e"):
        assert await stage.world.agents.get(stage.root.home, id_) is None


async def test_an_agent_that_is_not_ours_has_its_name_and_nobodys_user(stage: Stage) -> None:
    id_ = fresh()
    await stage.squat(id_)

    found = await stage.world.agents.get(stage.root.home, id_)

    assert found is not None
    assert (found.id, found.virtual_user) == (id_, "")
    assert await stage.world.agents.of_home(stage.root.home) == []
    assert await stage.world.agents.of_root(stage.root) == []
    with pytest.raises(Conflict):
        await make(stage, stage.root, id_)
    with pytest.raises(Refused) as refusal:
        await stage.world.agents.delete(stage.root, id_, found.uid)
    assert refusal.value.code == "forbidden.policy"


async def test_each_root_has_its_own_and_a_namespace_has_all(stage: Stage) -> None:
    mine = [await make(stage, stage.root, fresh()) for _ in range(2)]
    theirs = await make(stage, stage.other, fresh())
    agents = stage.world.agents

    assert sorted(await agents.of_root(stage.root), key=by_id) == sorted(mine, key=by_id)
    assert await agents.of_root(stage.other) == [theirs]
    assert await agents.of_root(stage.powerless) == []
    assert sorted(await agents.of_home(stage.root.home), key=by_id) == sorted([*mine, theirs], key=by_id)


async def test_what_is_deleted_is_gone_and_stays_gone(stage: Stage) -> None:
    agents, made = stage.world.agents, await make(stage, stage.root, fresh())

    assert await agents.delete(stage.root, made.id, made.uid)
    assert await agents.get(made.home, made.id) is None
    assert await agents.delete(stage.root, made.id, made.uid)
    assert await agents.expire(made.home, made.id, made.uid)


async def test_a_trial_of_a_delete_removes_nothing(stage: Stage) -> None:
    agents, made = stage.world.agents, await make(stage, stage.root, fresh())

    await agents.trial_delete(stage.root, made.id, made.uid)
    assert await agents.get(made.home, made.id) == made
    await agents.delete(stage.root, made.id, made.uid)
    await agents.trial_delete(stage.root, made.id, made.uid)


async def test_another_object_of_the_same_name_is_not_deleted(stage: Stage) -> None:
    agents, old = stage.world.agents, await make(stage, stage.root, fresh())
    await agents.delete(stage.root, old.id, old.uid)
    new = await make(stage, stage.root, old.id)

    with pytest.raises(Conflict):
        await agents.trial_delete(stage.root, old.id, old.uid)
    with pytest.raises(Conflict):
        await agents.delete(stage.root, old.id, old.uid)
    with pytest.raises(Conflict):
        await agents.expire(old.home, old.id, old.uid)

    assert await agents.get(new.home, new.id) == new


async def test_a_root_deletes_only_its_own(stage: Stage) -> None:
    made = await make(stage, stage.root, fresh())

    for way in (stage.world.agents.trial_delete, stage.world.agents.delete):
        with pytest.raises(Refused) as refusal:
            await way(stage.other, made.id, made.uid)
        assert refusal.value.code == "forbidden.policy"
    assert await stage.world.agents.get(made.home, made.id) == made


async def test_the_server_removes_what_has_expired_whosever_it_is(stage: Stage) -> None:
    made = await make(stage, stage.other, fresh())

    assert await stage.world.agents.expire(made.home, made.id, made.uid)
    assert await stage.world.agents.get(made.home, made.id) is None


def by_id(subagent: Subagent) -> str:
    return subagent.id

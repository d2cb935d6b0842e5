"""What is watched: everything of a root that matters to its life, soon after it happened, and nothing of others."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.ledger import Change, Ledger, Live
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.watching import Observer
from tests.builders import NOON
from tests.contracts.observing import observing, relayed
from tests.contracts.stages import KubernetesStage, Stage, fresh, manifest, proposal
from tests.contracts.test_tasks import grown, task
from tests.faults.cluster import AGENTS, Cluster

SOON_SECONDS = 2.0
PODS = "/api/v1/namespaces/subagents/pods"


async def soon(observer: Observer, root: Root, condition: Callable[[Seen], bool]) -> Seen:
    """What is seen of a root once this is so; TimeoutError when that is not soon."""
    async with asyncio.timeout(SOON_SECONDS):
        while not condition(observer.seen(root.name)):  # noqa: ASYNC110 - not all that is looked for sets an event
            await asyncio.sleep(0.01)
    return observer.seen(root.name)


async def test_an_agent_is_seen_from_its_creation_to_its_end(stage: Stage) -> None:
    async with observing(stage) as observer:
        id_ = fresh()
        made = await stage.world.agents.create(stage.root, id_, manifest(stage.root, id_))
        seen = await soon(observer, stage.root, lambda seen: id_ in seen.agents)
        await stage.make_ready(id_)
        await soon(observer, stage.root, lambda seen: seen.agents[id_].ready)
        await stage.world.agents.delete(stage.root, id_, made.uid)
        await soon(observer, stage.root, lambda seen: id_ not in seen.agents)

    assert seen.agents[id_] == replace(made, manifest={})
    assert seen.agents[id_].fingerprint == made.fingerprint != ""


async def test_what_was_seen_does_not_change_afterwards(stage: Stage) -> None:
    async with observing(stage) as observer:
        id_ = fresh()
        made = await stage.world.agents.create(stage.root, id_, manifest(stage.root, id_))
        seen = await soon(observer, stage.root, lambda seen: id_ in seen.agents)
        await stage.world.agents.delete(stage.root, id_, made.uid)
        await soon(observer, stage.root, lambda seen: id_ not in seen.agents)

        assert id_ in seen.agents


async def test_a_proposal_is_seen_in_each_phase_until_it_is_forgotten(stage: Stage) -> None:
    async with observing(stage) as observer:
        stored = await stage.world.proposals.create(proposal(stage.root))
        seen = await soon(observer, stage.root, lambda seen: stored.id in seen.proposals)
        marked = await stage.world.proposals.mark(stored, "starting", agent_uid="uid-1", reason="")
        await soon(observer, stage.root, lambda seen: seen.proposals[stored.id].phase == "starting")
        found = observer.seen(stage.root.name).proposals[stored.id]
        await stage.world.proposals.delete(marked)
        await soon(observer, stage.root, lambda seen: stored.id not in seen.proposals)

    slim = seen.proposals[stored.id]
    assert (slim.manifest, slim.fingerprint) == ("", stored.fingerprint)
    assert (slim.uid, slim.version, slim.digest) == (stored.uid, stored.version, stored.digest)
    assert (slim.expires_at, slim.created_at, slim.parent) == (stored.expires_at, stored.created_at, stored.parent)
    assert (found.agent_uid, found.history) == ("uid-1", marked.history)


async def test_a_ledger_is_seen_as_it_was_last_written(stage: Stage) -> None:
    id_ = fresh()

    def reserve(ledger: Ledger) -> tuple[Ledger, None]:
        return ledger.reserved(id_, Live(NOON, "nonce", "sha256:1"), Change(NOON)), None

    def release(ledger: Ledger) -> tuple[Ledger, None]:
        return ledger.released(id_), None

    async with observing(stage) as observer:
        await stage.world.ledgers.change(stage.root.name, reserve)
        seen = await soon(observer, stage.root, lambda seen: id_ in seen.ledger.live)
        await stage.world.ledgers.change(stage.root.name, release)
        await soon(observer, stage.root, lambda seen: id_ not in seen.ledger.live)

    assert seen.ledger.live[id_] == Live(NOON, "nonce", "sha256:1")
    assert seen.ledger.root == stage.root.name


async def test_a_task_is_seen_without_what_its_agent_said(stage: Stage) -> None:
    async with observing(stage) as observer:
        given = await stage.world.tasks.create(task(stage))
        await soon(observer, stage.root, lambda seen: given.id in {one.id for one in seen.tasks})
        moved = await stage.world.tasks.update(grown(given))
        seen = await soon(observer, stage.root, lambda seen: moved.version in {one.version for one in seen.tasks})
        await stage.world.tasks.delete(moved)
        await soon(observer, stage.root, lambda seen: given.id not in {one.id for one in seen.tasks})

    (found,) = (one for one in seen.tasks if one.id == given.id)
    assert (found.result, found.pending, found.artifacts) == ("", (), ())
    assert (found.state, found.agent, found.changed_at) == (moved.state, moved.agent, moved.changed_at)


async def test_the_agent_of_a_proposal_bears_its_fingerprint(stage: Stage) -> None:
    id_ = fresh()
    text = canonical(manifest(stage.root, id_))
    async with observing(stage) as observer:
        stored = await stage.world.proposals.create(proposal(stage.root, id=id_, manifest=text))
        await stage.world.agents.create(stage.root, id_, json.loads(text))
        await stage.make_ready(id_)
        seen = await soon(
            observer, stage.root, lambda seen: id_ in seen.agents and seen.agents[id_].ready and id_ in seen.proposals
        )

    assert seen.agents[id_].fingerprint == seen.proposals[id_].fingerprint == stored.fingerprint != ""


async def test_roots_are_seen_apart_and_what_is_nobodys_is_not_seen(stage: Stage) -> None:
    mine, others, nobodys = fresh(), fresh(), fresh()
    async with observing(stage) as observer:
        await stage.squat(nobodys)
        await stage.world.agents.create(stage.other, others, manifest(stage.other, others))
        await stage.world.agents.create(stage.root, mine, manifest(stage.root, mine))
        seen = await soon(observer, stage.root, lambda seen: mine in seen.agents)
        await soon(observer, stage.other, lambda seen: others in seen.agents)

        assert {others, nobodys}.isdisjoint(seen.agents)
        assert {stage.root.name, stage.other.name, stage.powerless.name} <= set(observer.roots())
        assert not any(nobodys in observer.seen(root).agents for root in (*observer.roots(), ""))


async def test_of_a_root_that_nobody_knows_nothing_is_seen(stage: Stage) -> None:
    async with observing(stage) as observer:
        assert observer.seen("agents/unknown") == Seen({}, {}, Ledger("agents/unknown"))


async def test_whose_world_changed_is_told_to_whoever_waits(stage: Stage) -> None:
    async with observing(stage) as observer:
        observer.take_changed()
        observer.changed.clear()
        id_ = fresh()
        await stage.world.agents.create(stage.root, id_, manifest(stage.root, id_))
        await soon(observer, stage.root, lambda seen: id_ in seen.agents)

        await asyncio.wait_for(observer.changed.wait(), SOON_SECONDS)
        assert stage.root.name in observer.take_changed()


async def test_who_has_not_changed_is_not_looked_at_again(kubernetes: Stage) -> None:
    async with observing(kubernetes) as observer:
        await soon(observer, kubernetes.root, lambda _: set(observer.take_changed()) == set())
        stored = await kubernetes.world.proposals.create(proposal(kubernetes.root))
        await soon(observer, kubernetes.root, lambda seen: stored.id in seen.proposals)

        assert set(observer.take_changed()) == {kubernetes.root.name}
        assert set(observer.take_changed()) == set()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"spec": {"declarative": {"systemMessage": "You obey."}}}, False),
        ({"metadata": {"labels": {"more": "x"}}}, False),
        ({"metadata": {"annotations": {"more": "x"}}}, False),
        ({"metadata": {"finalizers": ["example.dev/stays"]}}, False),
        ({"spec": {"description": "Counts"}}, True),
    ],
    ids=["instructions", "label", "annotation", "finalizer", "nothing"],
)
async def test_an_agent_that_was_altered_bears_another_fingerprint(
    kubernetes: KubernetesStage, change: dict[str, Any], *, same: bool
) -> None:
    id_ = fresh()
    async with observing(kubernetes) as observer:
        made = await kubernetes.world.agents.create(kubernetes.root, id_, manifest(kubernetes.root, id_))
        await kubernetes.cluster.patch(f"{AGENTS}/{id_}", change)
        altered = await kubernetes.world.agents.get(kubernetes.root.home, id_)
        assert altered is not None
        try:
            await soon(
                observer,
                kubernetes.root,
                lambda seen: id_ in seen.agents and seen.agents[id_].fingerprint == altered.fingerprint,
            )
            assert (altered.fingerprint == made.fingerprint) is same
        finally:
            await kubernetes.cluster.patch(f"{AGENTS}/{id_}", {"metadata": {"finalizers": None}})


async def test_crashes_of_its_pods_are_seen_of_an_agent(kubernetes: KubernetesStage) -> None:
    id_, admin = fresh(), kubernetes.cluster.admin
    spec = {"containers": [{"name": "kagent", "image": "registry.example/kagent"}]}
    async with observing(kubernetes) as observer:
        await kubernetes.world.agents.create(kubernetes.root, id_, manifest(kubernetes.root, id_))
        for name in (f"{id_}-1", f"{id_}-2"):
            pod = {"metadata": {"name": name, "labels": {"kagent": id_, "app": "kagent"}}, "spec": spec}
            async with admin.post(PODS, json=pod) as response:
                assert response.status == 201, await response.text()
        await crash(kubernetes, f"{id_}-1", restarts=2, code=137)
        await crash(kubernetes, f"{id_}-2", restarts=7, code=0)
        await soon(observer, kubernetes.root, lambda seen: seen.crashes.get(id_) == 2)
        await kubernetes.cluster.remove(f"{PODS}/{id_}-1?gracePeriodSeconds=0")
        await crash(kubernetes, f"{id_}-2", restarts=8, code=1)
        seen = await soon(observer, kubernetes.root, lambda seen: seen.crashes.get(id_) == 3)
        await kubernetes.cluster.remove(f"{PODS}/{id_}-2?gracePeriodSeconds=0")

    assert set(seen.crashes) == {id_}


async def crash(stage: KubernetesStage, pod: str, *, restarts: int, code: int) -> None:
    """Say what a kubelet would."""
    status = {
        "name": "kagent",
        "image": "registry.example/kagent",
        "imageID": "",
        "ready": False,
        "restartCount": restarts,
        "lastState": {"terminated": {"exitCode": code}},
    }
    await stage.cluster.patch(f"{PODS}/{pod}/status", {"status": {"containerStatuses": [status]}})


async def test_what_happens_while_the_wire_is_cut_is_seen_once_it_is_back(
    cluster: Cluster, kubernetes: KubernetesStage
) -> None:
    kept, gone, new = fresh(), fresh(), fresh()
    world, root = kubernetes.world, kubernetes.root
    async with relayed(cluster, kubernetes) as (relay, observer):
        for id_ in (kept, gone):
            await world.agents.create(root, id_, manifest(root, id_))
        await soon(observer, root, lambda seen: {kept, gone} <= set(seen.agents))
        relay.closed = True
        relay.cut()
        await kubernetes.cluster.remove(f"{AGENTS}/{gone}")
        await world.agents.create(root, new, manifest(root, new))
        relay.closed = False

        seen = await soon(observer, root, lambda seen: new in seen.agents and gone not in seen.agents)

    assert kept in seen.agents
    assert observer.problems() == []

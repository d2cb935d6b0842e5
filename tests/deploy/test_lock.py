"""One proposal is one id, and the id is the name of the one Agent that it can become."""

from typing import Any

import pytest
import pytest_asyncio

from tests.deploy.cluster import BROAD, EXTRA, HOME, ORCHESTRATORS, SYSTEM, until
from tests.deploy.objects import ROOT, TENANT, fresh_id, named, subagent, virtual_user, with_changes
from tests.deploy.world import CANARY, DEPLOY, Everybody, manifests_of, song

LOCK = "agentspawn-lock"
OUTSIDERS = ["orchestrator", "editor", "namespace_admin", "cluster_admin", "kagent"]
CHANGES: list[dict[str, Any]] = [
    {"spec": {"declarative": {"systemMessage": "You obey."}}},
    {"metadata": {"annotations": {"agentspawn.dev/lifetime": "86400"}}},
    {"metadata": {"labels": {"agentspawn.dev/tree": "agents.other"}}},
    {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}},
    {"metadata": {"finalizers": ["example.com/never"]}},
    {"spec": {"declarative": {"tools": []}}},
]


async def test_a_roots_virtual_user_creates_the_agent_of_its_proposal(everyone: Everybody) -> None:
    agent = await everyone.spawn()

    assert await everyone.server.has(agent)


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_whoever_has_every_right_on_agents_still_creates_no_subagent(everyone: Everybody, outsider: str) -> None:
    answer = await everyone.named(outsider).create(subagent(fresh_id()))

    assert (answer.status, answer.policy) == (422, LOCK)


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_applying_is_creating(everyone: Everybody, outsider: str) -> None:
    answer = await everyone.named(outsider).apply(subagent(fresh_id()))

    assert (answer.status, answer.policy) == (422, LOCK)


async def test_the_server_creates_nothing_as_itself(everyone: Everybody) -> None:
    answer = await everyone.server.create(subagent(fresh_id()))

    assert (answer.status, answer.policy) == (403, "")


async def test_the_server_creates_nothing_as_itself_even_with_every_right(everyone: Everybody) -> None:
    server = everyone.cluster.person(f"system:serviceaccount:{SYSTEM}:agentspawn", BROAD)
    name = fresh_id()
    marked = with_changes(
        subagent(name), {"metadata.annotations": _marks(f"system:serviceaccount:{SYSTEM}:agentspawn")}
    )

    assert (await server.saying((EXTRA, name)).create(marked)).policy == LOCK


async def test_a_proposal_has_to_be_named(everyone: Everybody) -> None:
    assert (await everyone.root().create(subagent(fresh_id()))).policy == LOCK


async def test_one_request_names_one_proposal(everyone: Everybody) -> None:
    name = fresh_id()

    assert (await everyone.root(name).saying((EXTRA, fresh_id())).create(subagent(name))).policy == LOCK


def _marks(user: str) -> dict[str, str]:
    return {"agentspawn.dev/root": user, "agentspawn.dev/lifetime": "60", "agentspawn.dev/depth": "0"}


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "sub-test-other"},
        {"metadata.labels": {"agentspawn.dev/proposal": "sub-test-other"}},
        {"metadata.labels": {"agentspawn.dev/tree": "agents.mallory"}},
        {"metadata.labels": None},
        {"metadata.annotations": {"agentspawn.dev/lifetime": "60", "agentspawn.dev/depth": "0"}},
        {"metadata.annotations": _marks(virtual_user(TENANT))},
        {"metadata.annotations": _marks("system:serviceaccount:agents:mallory")},
        {"metadata.name": None, "metadata.generateName": "sub-test-"},
    ],
    ids=str,
)
async def test_name_label_root_and_extra_agree(everyone: Everybody, changes: dict[str, Any]) -> None:
    name = fresh_id()
    manifest = with_changes(subagent(name), changes)
    path = f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}/agents"

    answer = await everyone.root(name).send("POST", path, manifest)

    assert (answer.status, answer.policy) == (422, LOCK)


async def test_one_proposal_makes_one_agent(everyone: Everybody) -> None:
    agent = await everyone.spawn()
    first = agent["metadata"]["name"]

    again = await everyone.root(first).create(agent)
    other = await everyone.root(first).create(subagent(fresh_id()))

    assert (again.status, other.policy) == (409, LOCK)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lock_alone(on_reduced: Everybody) -> str:
    """A namespace under the lock and nothing else, for what another policy would refuse as well."""
    name = "lock-alone"
    _, binding = manifests_of(DEPLOY / "30-policy-lock.yaml")
    names = [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [name]}]
    changes = {"metadata.name": "test-lock-alone", "spec.matchResources.namespaceSelector.matchExpressions": names}
    for manifest in (named("v1", "Namespace", name, ""), with_changes(binding, changes)):
        assert (await on_reduced.administrator.apply(manifest)).status < 300

    async def acts() -> bool:
        answer = await on_reduced.cluster_admin.create(subagent(fresh_id(), namespace=name), dryRun="All")
        return answer.policy == LOCK

    assert await until(acts)
    return name


async def test_an_agent_without_any_mark_is_nobodys(everyone: Everybody, lock_alone: str) -> None:
    name = fresh_id()
    agent = with_changes(subagent(name, namespace=lock_alone), {"metadata.annotations": None})

    assert (await everyone.root_with_every_right(name).create(agent)).policy == LOCK


async def test_the_older_version_of_the_kind_is_no_way_in(everyone: Everybody, lock_alone: str) -> None:
    name = fresh_id()
    older = subagent(name, namespace=lock_alone) | {"apiVersion": "kagent.dev/v1alpha1", "spec": {"modelConfig": "m"}}
    same = subagent(name, namespace=lock_alone)

    assert (await everyone.root_with_every_right(name).create(older)).policy == LOCK
    assert (await everyone.root_with_every_right(name).create(same, dryRun="All")).status == 201


async def test_where_the_shape_is_asked_too_the_older_version_is_no_way_in_either(everyone: Everybody) -> None:
    name = fresh_id()
    older = subagent(name) | {"apiVersion": "kagent.dev/v1alpha1", "spec": {"systemMessage": "x", "modelConfig": "m"}}

    assert (await everyone.root(name).create(older)).policy in {LOCK, "agentspawn-shape"}


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_a_subagent_is_never_altered(everyone: Everybody, outsider: str, change: dict[str, Any]) -> None:
    agent = await everyone.spawn()

    answer = await everyone.named(outsider).patch(agent, change)

    assert (answer.status, answer.policy) == (422, LOCK)


async def test_not_even_its_root_alters_a_subagent(everyone: Everybody) -> None:
    agent = await everyone.spawn()
    root = everyone.root_with_every_right(agent["metadata"]["name"])

    answers = [await root.patch(agent, change) for change in CHANGES]

    assert {answer.policy for answer in answers} == {LOCK}


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_an_outsider_removes_no_subagent(everyone: Everybody, outsider: str) -> None:
    agent = await everyone.spawn()

    one = await everyone.named(outsider).delete(agent)
    many = await everyone.named(outsider).send("DELETE", f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}/agents")

    assert (one.policy, many.policy) == (LOCK, LOCK)
    assert await everyone.server.has(agent)


async def test_a_root_removes_its_own_under_its_proposals_id(everyone: Everybody) -> None:
    agent = await everyone.spawn()
    name = agent["metadata"]["name"]

    assert (await everyone.root().delete(agent)).policy == LOCK
    assert (await everyone.root(fresh_id()).delete(agent)).policy == LOCK
    assert (await everyone.root(name).delete(agent)).status == 200


async def test_the_server_removes_a_subagent_whose_time_is_over(everyone: Everybody) -> None:
    agent = await everyone.spawn()

    assert (await everyone.server.delete(agent)).status == 200


async def test_the_server_removes_nothing_that_is_not_ours(everyone: Everybody) -> None:
    stranger = with_changes(subagent(fresh_id()), {"metadata.labels": None})
    assert (await everyone.operator.create(stranger)).status == 201

    assert (await everyone.server.delete(stranger)).policy == LOCK
    assert (await everyone.operator.delete(stranger)).status == 200


async def test_a_second_tenant_neither_makes_nor_removes_in_anothers_name(everyone: Everybody) -> None:
    agent = await everyone.spawn(ROOT)
    victim, name = agent["metadata"]["name"], fresh_id()

    assert (await everyone.root(name, TENANT).create(subagent(name, ROOT))).policy == LOCK
    assert (await everyone.root(victim, TENANT).delete(agent)).policy == LOCK
    assert await everyone.server.has(agent)


async def test_the_canary_creates_nothing(everyone: Everybody) -> None:
    name = fresh_id()
    manifest = with_changes(subagent(name), {"metadata.annotations": _marks(CANARY)})
    canary = everyone.server.impersonating(CANARY)

    assert (await canary.create(manifest, dryRun="All")).policy == LOCK
    assert (await canary.saying((EXTRA, name)).create(manifest)).policy in {LOCK, "agentspawn-freeze"}
    assert (await canary.saying((EXTRA, name)).create(manifest, dryRun="All")).status == 201


async def test_the_canary_creates_nothing_where_no_freeze_stops_it_either(everyone: Everybody, lock_alone: str) -> None:
    name = fresh_id()
    manifest = song(name, lock_alone)
    canary = everyone.cluster.person(CANARY, BROAD).saying((EXTRA, name))

    assert (await canary.create(manifest)).policy == LOCK
    assert (await canary.create(manifest, dryRun="All")).status == 201


async def test_whom_an_agent_names_as_its_root_is_no_root_unless_virtual(everyone: Everybody) -> None:
    name = fresh_id()
    manifest = with_changes(subagent(name), {"metadata.annotations": _marks("eve")})
    eve = everyone.cluster_admin.saying((EXTRA, name))

    assert (await eve.create(manifest)).policy == LOCK
    assert (await everyone.operator.create(manifest)).status == 201
    assert (await eve.delete(manifest)).policy == LOCK


@pytest.mark.parametrize("exempt", ["operator", "administrator"])
async def test_operators_may_do_everything(everyone: Everybody, exempt: str) -> None:
    agent, actor = subagent(fresh_id()), everyone.named(exempt)

    done = [await actor.create(agent), await actor.patch(agent, CHANGES[0]), await actor.delete(agent)]

    assert [answer.status for answer in done] == [201, 200, 200]


async def test_the_namespace_can_not_be_renamed_out_of_the_lock(everyone: Everybody) -> None:
    namespace = named("v1", "Namespace", HOME, "")
    labels = {"metadata": {"labels": {"kubernetes.io/metadata.name": "elsewhere"}}}

    await everyone.cluster_admin.patch(namespace, labels)

    assert (await everyone.orchestrator.create(subagent(fresh_id()))).policy == LOCK


async def test_where_it_was_not_onboarded_a_root_has_no_right(everyone: Everybody) -> None:
    name = fresh_id()

    answer = await everyone.root(name).create(subagent(name, namespace=ORCHESTRATORS))

    assert (answer.status, answer.policy) == (403, "")


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_a_removed_subagent_is_gone_however_its_removal_spreads(everyone: Everybody, policy: str) -> None:
    """In the foreground the collector takes its own finalizer off the Agent, and the lock has to let it."""
    agent = await everyone.spawn()

    await everyone.root(agent["metadata"]["name"]).delete(agent, propagationPolicy=policy)

    async def gone() -> bool:
        return not await everyone.administrator.has(agent)

    assert await until(gone)


async def test_what_kagent_made_for_a_subagent_goes_with_it(everyone: Everybody) -> None:
    agent = await everyone.spawn()
    stored = (await everyone.server.get(agent)).body["metadata"]
    owner = {"apiVersion": "kagent.dev/v1alpha2", "kind": "Agent", "controller": True, "blockOwnerDeletion": True}
    children = [
        with_changes(
            named("v1", kind, stored["name"]),
            {"metadata.ownerReferences": [owner | {"name": stored["name"], "uid": stored["uid"]}]},
        )
        for kind in ("Secret", "ServiceAccount")
    ]
    assert [(await everyone.kagent.create(child)).message for child in children] == ["", ""]

    await everyone.root(stored["name"]).delete(agent)

    async def gone() -> bool:
        return not any([await everyone.administrator.has(child) for child in children])

    assert await until(gone)

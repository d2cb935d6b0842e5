"""How the server cuts a subagent off, and that it changes no other limit."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, HOME, KAGENT, SYSTEM, Answer, Manifest, until
from tests.deploy.objects import fresh_id, named, with_changes
from tests.deploy.world import Everybody, type_checked

QUARANTINE, RESERVED = "agentspawn-quarantine", "agentspawn-reserved"
PEOPLE = ["operator", "administrator"]
SYSTEM_ACCOUNT = "system:serviceaccount:kube-system:"
NETWORKING = "networking.k8s.io/v1"
LEAVES_OUT = {"key": "kagent", "operator": "NotIn", "values": ["nobody", "sub-other"]}
OURS = {"app.kubernetes.io/part-of": "agentspawn"}


def record(agent: str, uid: str = "5ca1ab1e-0000-4000-8000-000000000000") -> Manifest:
    """What cuts one agent off, as the server makes it."""
    owner = {"apiVersion": "kagent.dev/v1alpha2", "kind": "Agent", "name": agent, "uid": uid}
    policy = named(NETWORKING, "NetworkPolicy", f"{agent}-quarantine")
    policy["metadata"] |= {
        "labels": {**OURS, "agentspawn.dev/quarantine": agent},
        "ownerReferences": [{**owner, "controller": False, "blockOwnerDeletion": False}],
    }
    selector = {"matchLabels": {"kagent": agent}}
    return policy | {"spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]}}


def allowing(name: str, **changes: Any) -> Manifest:
    """One of the policies that allow something, as deploy/ has them."""
    policy = named(NETWORKING, "NetworkPolicy", name)
    policy["metadata"] |= {"labels": dict(OURS), "annotations": {"an-operators": "note"}}
    rule = {"ports": [{"protocol": "TCP", "port": 443}]}
    selector = {"matchLabels": {"app": "kagent"}, "matchExpressions": [LEAVES_OUT, {"key": "x", "operator": "Exists"}]}
    spec = {"podSelector": selector, "policyTypes": ["Egress"], "egress": [rule]}
    return with_changes(policy | {"spec": spec}, changes)


async def stored(everyone: Everybody, manifest: Manifest) -> Manifest:
    """Have an operator make it, and give it as it was stored."""
    answer = await everyone.operator.create(manifest)
    assert answer.status == 201, answer.message
    return manifest | dict(answer.body)


async def _recorded(everyone: Everybody, **changes: Any) -> tuple[Manifest, Answer]:
    agent = await everyone.spawn()
    uid = (await everyone.administrator.get(agent)).body["metadata"]["uid"]
    policy = with_changes(record(agent["metadata"]["name"], uid), changes)
    return policy, await everyone.server.create(policy, fieldValidation="Strict")


async def test_nothing_in_the_policy_is_misspelled(everyone: Everybody) -> None:
    assert await type_checked(everyone, QUARANTINE) == {}


async def test_the_server_makes_and_removes_what_cuts_a_subagent_off(everyone: Everybody) -> None:
    policy, made = await _recorded(everyone)

    assert made.message == ""
    assert (await everyone.server.delete(policy)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "sub-test-other-quarantine"},
        {"metadata.name": "default-deny-2"},
        {"metadata.labels": None},
        {"metadata.labels.agentspawn~dev/quarantine": "sub-test-other"},
        {"metadata.labels.more": "x"},
        {"metadata.labels.app~kubernetes~io/part-of": "others"},
        {"metadata.annotations": {"x": "y"}},
        {"metadata.finalizers": ["example.com/never"]},
        {"metadata.ownerReferences": None},
        {"metadata.ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]},
        {"spec.podSelector": {}},
        {"spec.podSelector": {"matchLabels": {"kagent": "sub-test-other"}}},
        {"spec.podSelector.matchLabels.app": "kagent"},
        {"spec.podSelector.matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
        {"spec.policyTypes": ["Ingress"]},
        {"spec.ingress": [{}]},
        {"spec.egress": [{}]},
    ],
    ids=str,
)
async def test_the_server_makes_no_other_network_policy(everyone: Everybody, changes: dict[str, Any]) -> None:
    _, answer = await _recorded(everyone, **changes)

    assert (answer.status, answer.policy) == (422, QUARANTINE)


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "ModelConfig"},
        {"apiVersion": "kagent.dev/v1alpha1"},
        {"name": "sub-test-other"},
        {"controller": True},
        {"blockOwnerDeletion": True},
    ],
    ids=str,
)
async def test_what_cuts_an_agent_off_goes_with_that_agent_alone(everyone: Everybody, owner: dict[str, Any]) -> None:
    policy = record(fresh_id())
    policy["metadata"]["ownerReferences"][0] |= owner

    assert (await everyone.server_with_broad_rights.create(policy, dryRun="All")).policy == QUARANTINE
    assert (await everyone.server_with_broad_rights.create(record(fresh_id()), dryRun="All")).message == ""


async def test_two_owners_are_one_too_many(everyone: Everybody) -> None:
    policy = record(fresh_id())
    (owner,) = policy["metadata"]["ownerReferences"]
    policy["metadata"]["ownerReferences"].append(owner | {"uid": "another"})

    assert (await everyone.server.create(policy, dryRun="All")).policy == QUARANTINE


async def test_the_server_cuts_off_nothing_but_subagents(everyone: Everybody) -> None:
    assert (await everyone.server.create(record("operators-own"), dryRun="All")).policy == QUARANTINE


@pytest.mark.parametrize("values", [["nobody"], ["nobody", "sub-a", "sub-other"], ["sub-a", "nobody"]], ids=str)
async def test_the_server_says_which_subagents_a_policy_leaves_out(everyone: Everybody, values: list[str]) -> None:
    policy = await stored(everyone, allowing(fresh_id()))
    expressions = [{**LEAVES_OUT, "values": values}, {"key": "x", "operator": "Exists"}]

    answer = await everyone.server.replace(with_changes(policy, {"spec.podSelector.matchExpressions": expressions}))

    assert answer.message == ""
    assert answer.body["spec"]["podSelector"]["matchExpressions"] == expressions
    await everyone.operator.delete(policy)


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.egress": [{}]},
        {"spec.egress": None},
        {"spec.ingress": [{}]},
        {"spec.policyTypes": ["Ingress", "Egress"]},
        {"spec.podSelector": {}},
        {"spec.podSelector.matchLabels": None},
        {"spec.podSelector.matchLabels.app": "other"},
        {"spec.podSelector.matchExpressions": None},
        {"spec.podSelector.matchExpressions": [LEAVES_OUT]},
        {"spec.podSelector.matchExpressions": [LEAVES_OUT, {"key": "y", "operator": "Exists"}]},
        {"spec.podSelector.matchExpressions": [LEAVES_OUT, LEAVES_OUT, {"key": "x", "operator": "Exists"}]},
        {"metadata.labels": None},
        {"metadata.labels.more": "x"},
        {"metadata.annotations": None},
        {"metadata.annotations.an-operators": "other"},
        {"metadata.finalizers": ["example.com/never"]},
        {"metadata.ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "x"}]},
    ],
    ids=str,
)
async def test_the_server_changes_nothing_else_of_it(everyone: Everybody, changes: dict[str, Any]) -> None:
    policy = await stored(everyone, allowing(fresh_id()))

    answer = await everyone.server.replace(with_changes(policy, changes))

    assert (answer.status, answer.policy) == (422, QUARANTINE)
    await everyone.operator.delete(policy)


@pytest.mark.parametrize("values", [["sub-a"], ["nobody", "an-operators"], ["everybody", "sub-other"]], ids=str)
async def test_whom_else_a_policy_leaves_out_is_an_operators_to_say(everyone: Everybody, values: list[str]) -> None:
    policy = await stored(everyone, allowing(fresh_id()))
    expressions = [{**LEAVES_OUT, "values": values}, {"key": "x", "operator": "Exists"}]

    answer = await everyone.server.replace(with_changes(policy, {"spec.podSelector.matchExpressions": expressions}))

    assert (answer.status, answer.policy) == (422, QUARANTINE)
    await everyone.operator.delete(policy)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.labels": None},
        {"metadata.labels.app~kubernetes~io/part-of": "others"},
        {"spec.podSelector.matchExpressions": [{**LEAVES_OUT, "operator": "In"}]},
        {"spec.podSelector.matchExpressions": [{**LEAVES_OUT, "key": "app"}]},
        {"spec.podSelector.matchExpressions": [LEAVES_OUT, {**LEAVES_OUT, "values": ["sub-b"]}]},
    ],
    ids=str,
)
async def test_a_policy_that_is_not_made_for_it_is_not_changed(everyone: Everybody, changes: dict[str, Any]) -> None:
    policy = await stored(everyone, allowing(fresh_id(), **changes))
    expressions = [
        {**item, "values": ["nobody", "sub-a"]} if "values" in item else item
        for item in policy["spec"]["podSelector"]["matchExpressions"]
    ]

    answer = await everyone.server.replace(with_changes(policy, {"spec.podSelector.matchExpressions": expressions}))

    assert (answer.status, answer.policy) == (422, QUARANTINE)
    await everyone.operator.delete(policy)


async def test_the_server_takes_no_expression_away(everyone: Everybody) -> None:
    second = {**LEAVES_OUT, "values": ["an-operators"]}
    policy = await stored(everyone, allowing(fresh_id(), **{"spec.podSelector.matchExpressions": [LEAVES_OUT, second]}))

    answer = await everyone.server.replace(with_changes(policy, {"spec.podSelector.matchExpressions": [LEAVES_OUT]}))

    assert (answer.status, answer.policy) == (422, QUARANTINE)
    await everyone.operator.delete(policy)


async def test_the_server_removes_no_other_network_policy(everyone: Everybody) -> None:
    default = named(NETWORKING, "NetworkPolicy", "default-deny")
    disguised, _ = await _recorded(everyone)
    assert (await everyone.operator.patch(disguised, {"spec": {"egress": [{}]}})).status == 200
    other = await stored(everyone, allowing(fresh_id()))

    refused = [await everyone.server.delete(manifest) for manifest in (default, disguised, other)]
    many = await everyone.server_with_broad_rights.send(
        "DELETE", f"/apis/{NETWORKING}/namespaces/{HOME}/networkpolicies"
    )

    assert [answer.policy for answer in (*refused, many)] == [QUARANTINE] * 4
    for manifest in (disguised, other):
        await everyone.operator.delete(manifest)


async def test_the_server_never_alters_what_cuts_an_agent_off(everyone: Everybody) -> None:
    policy, _ = await _recorded(everyone)

    answer = await everyone.server_with_broad_rights.patch(policy, {"spec": {"egress": [{}]}})

    assert answer.policy == QUARANTINE
    assert (await everyone.server.delete(policy)).status == 200


@pytest.mark.parametrize("person", PEOPLE)
async def test_people_are_not_limited_by_it(everyone: Everybody, person: str) -> None:
    actor, policy = everyone.named(person), allowing(fresh_id())

    assert (await actor.create(policy)).status == 201
    assert (await actor.patch(policy, {"spec": {"egress": [{}]}})).status == 200
    assert (await actor.delete(policy)).status == 200


@pytest.mark.parametrize("outsider", ["editor", "namespace_admin", "cluster_admin", "kagent"])
async def test_nobody_else_cuts_off_or_gives_back(everyone: Everybody, outsider: str) -> None:
    actor = everyone.named(outsider)
    policy, _ = await _recorded(everyone)

    answers = [
        await actor.create(record(fresh_id())),
        await actor.patch(policy, {"spec": {"egress": [{}]}}),
        await actor.delete(policy),
    ]

    assert [answer.policy == RESERVED or answer.status == 403 for answer in answers] == [True] * 3
    assert outsider not in {"cluster_admin", "kagent"} or {answer.policy for answer in answers} == {RESERVED}


async def test_it_goes_when_its_agent_goes(everyone: Everybody) -> None:
    policy, _ = await _recorded(everyone)

    await everyone.tidy()

    async def gone() -> bool:
        return not await everyone.administrator.has(policy)

    assert await until(gone)


async def test_the_collector_takes_no_other_limit_away(everyone: Everybody) -> None:
    collector = everyone.cluster.person(SYSTEM_ACCOUNT + "generic-garbage-collector", BROAD)
    policy = await stored(everyone, allowing(fresh_id()))

    assert (await collector.delete(policy)).policy == RESERVED
    await everyone.operator.delete(policy)


async def test_elsewhere_the_server_has_no_say_over_networks(everyone: Everybody) -> None:
    for namespace in ("agents", SYSTEM):
        policy = with_changes(record(fresh_id()), {"metadata.namespace": namespace})
        assert (await everyone.server.create(policy)).status == 403
        path = f"/apis/{NETWORKING}/namespaces/{namespace}/networkpolicies"
        assert (await everyone.server.send("GET", path)).status == 403


def _lease(name: str) -> Manifest:
    return named("coordination.k8s.io/v1", "Lease", name, SYSTEM, spec={"leaseDurationSeconds": 15})


async def test_the_server_holds_one_lease_and_no_other(everyone: Everybody) -> None:
    own, other = _lease("agentspawn-reconciler"), _lease("of-another")
    await everyone.administrator.create(other)

    assert (await everyone.server.create(own)).status in {201, 409}
    stored_own = (await everyone.server.get(own)).body
    assert (await everyone.server.replace(own | dict(stored_own))).status == 200
    refused = [
        await everyone.server.get(other),
        await everyone.server.replace(other),
        await everyone.server.delete(own),
        await everyone.server.create(with_changes(other, {"metadata.namespace": HOME})),
        await everyone.server.send("GET", f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"),
    ]
    assert [answer.status for answer in refused] == [403] * 5
    for manifest in (own, other):
        await everyone.administrator.delete(manifest)


def _event(namespace: str, version: str = "events.k8s.io/v1") -> Manifest:
    agent = {"apiVersion": "kagent.dev/v1alpha2", "kind": "Agent", "name": "sub-x", "namespace": namespace}
    said = {"reason": "Ready", "action": "LookAfter", "type": "Normal", "note": "x", "regarding": agent}
    parts = {"eventTime": "2026-11-21T12:00:00.000000Z", "reportingController": "x", "reportingInstance": "x", **said}
    return named(version, "Event", fresh_id(), namespace, **parts)


async def test_the_server_tells_of_subagents_and_reads_and_takes_back_nothing(everyone: Everybody) -> None:
    event = _event(HOME)

    assert (await everyone.server.create(event)).message == ""
    refused = [
        await everyone.server.get(event),
        await everyone.server.patch(event, {"note": "y"}),
        await everyone.server.delete(event),
        await everyone.server.create(_event("agents")),
        await everyone.server.create(_event(SYSTEM)),
        await everyone.server.send("GET", f"/api/v1/namespaces/{HOME}/events"),
    ]
    assert [answer.status for answer in refused] == [403] * 6


async def test_the_server_watches_subagents_and_their_pods_and_touches_no_pod(everyone: Everybody) -> None:
    agents, pods = f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}/agents", f"/api/v1/namespaces/{HOME}/pods"
    watching = {"watch": "true", "timeoutSeconds": "1"}
    pod = named("v1", "Pod", fresh_id(), spec={"containers": [{"name": "x", "image": "x"}]})
    assert (await everyone.cluster.person(KAGENT, BROAD).create(pod)).status in {201, 422}

    allowed = [
        await everyone.server.send("GET", agents, **watching),
        await everyone.server.send("GET", pods),
        await everyone.server.send("GET", pods, **watching),
    ]
    refused = [
        await everyone.server.get(pod),
        await everyone.server.delete(pod),
        await everyone.server.create(pod),
        await everyone.server.send("GET", f"{pods}/{pod['metadata']['name']}/log"),
        await everyone.server.send("GET", "/api/v1/namespaces/agents/pods"),
    ]
    assert [answer.status for answer in allowed] == [200] * 3
    assert [answer.status for answer in refused] == [403] * 5

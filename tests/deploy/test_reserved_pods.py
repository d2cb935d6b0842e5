"""Where subagents live, nobody but operators runs pods, looks into them, or changes what limits them."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, HOME, Manifest, until
from tests.deploy.objects import fresh_id, named, with_changes
from tests.deploy.world import Everybody

RESERVED = "agentspawn-reserved"
OUTSIDERS = ["editor", "namespace_admin", "cluster_admin"]
POD = {"containers": [{"name": "x", "image": "x"}]}
SYSTEM_ACCOUNT = "system:serviceaccount:kube-system:"


def _workload(kind: str, name: str) -> Manifest:
    """A pod that takes a subagent's identity, or what makes such a pod."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {**POD, "serviceAccountName": "sub-test-victim"}}
    selected = {"selector": {"matchLabels": labels}, "template": template}
    job = {"template": {"spec": {**POD, "restartPolicy": "Never"}}}
    forms: dict[str, tuple[str, Any]] = {
        "Pod": ("v1", template["spec"]),
        "Deployment": ("apps/v1", selected),
        "ReplicaSet": ("apps/v1", selected),
        "StatefulSet": ("apps/v1", {**selected, "serviceName": "x"}),
        "DaemonSet": ("apps/v1", selected),
        "ReplicationController": ("v1", {"selector": labels, "template": template}),
        "Job": ("batch/v1", job),
        "CronJob": ("batch/v1", {"schedule": "* * * * *", "jobTemplate": {"spec": job}}),
    }
    version, spec = forms[kind]
    return named(version, kind, name, spec=spec)


WORKLOADS = [
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "ReplicationController",
    "Job",
    "CronJob",
]
LIMITS = [
    named("v1", "ResourceQuota", "agentspawn"),
    named("v1", "LimitRange", "test-limits", spec={"limits": []}),
    named("networking.k8s.io/v1", "NetworkPolicy", "default-deny"),
]


@pytest.mark.parametrize("kind", WORKLOADS)
@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_else_runs_pods_there(everyone: Everybody, outsider: str, kind: str) -> None:
    actor, name = everyone.named(outsider), fresh_id()
    plain = _workload(kind, name.removeprefix("sub-"))

    answers = [await actor.create(_workload(kind, name)), await actor.create(plain), await actor.apply(plain)]

    assert [answer.policy for answer in answers] == [RESERVED] * 3


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_else_changes_a_subagents_deployment(everyone: Everybody, outsider: str) -> None:
    actor, stored = everyone.named(outsider), _workload("Deployment", fresh_id())
    assert (await everyone.kagent.create(with_changes(stored, {"spec.replicas": 0}))).status == 201
    nameless = with_changes(stored, {"metadata.name": None, "metadata.generateName": "sub-"})

    answers = [
        await actor.patch(stored, {"spec": {"template": {"spec": {"serviceAccountName": "default"}}}}),
        await actor.patch(stored, {"spec": {"replicas": 100}}, "scale"),
        await actor.send("POST", f"/apis/apps/v1/namespaces/{HOME}/deployments", nameless),
    ]

    assert [answer.policy for answer in answers] == [RESERVED] * 3
    await everyone.kagent.delete(stored)


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_else_alters_or_enters_a_subagents_pod(everyone: Everybody, outsider: str) -> None:
    actor, stored = everyone.named(outsider), named("v1", "Pod", fresh_id(), spec=POD)
    assert (await everyone.operator.create(stored)).status == 201
    path = f"/api/v1/namespaces/{HOME}/pods/{stored['metadata']['name']}"
    debugger = {"name": "debugger", "image": "x", "targetContainerName": "x"}

    answers = [
        await actor.patch(stored, {"metadata": {"labels": {"kagent": "other"}}}),
        await actor.patch(stored, {"spec": {"ephemeralContainers": [debugger]}}, "ephemeralcontainers"),
        await actor.send("POST", f"{path}/exec", command="sh", container="x"),
        await actor.send("POST", f"{path}/attach", container="x"),
        await actor.send("POST", f"{path}/portforward"),
        await actor.send("GET", f"{path}/proxy/"),
        await actor.send("GET", f"/api/v1/namespaces/{HOME}/services/x/proxy/"),
    ]

    refused = [answer.policy == RESERVED or answer.status == 403 for answer in answers]
    assert refused == [True] * 7, answers[1].message
    assert outsider != "cluster_admin" or {answer.policy for answer in answers} == {RESERVED}
    await everyone.operator.delete(stored)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda manifest: manifest["kind"])
@pytest.mark.parametrize("outsider", [*OUTSIDERS, "kagent", "server_with_broad_rights"])
async def test_nobody_else_changes_what_limits_subagents(everyone: Everybody, outsider: str, limit: Manifest) -> None:
    actor = everyone.named(outsider)
    assert (await everyone.operator.apply(limit)).status in {200, 201}

    answers = [
        await actor.create(with_changes(limit, {"metadata.name": fresh_id(), "spec.podSelector": None})),
        await actor.patch(limit, {"metadata": {"labels": {"x": "y"}}}),
        await actor.delete(limit),
    ]

    of_the_server = (outsider, limit["kind"]) == ("server_with_broad_rights", "NetworkPolicy")
    refusing = "agentspawn-quarantine" if of_the_server else RESERVED
    assert [answer.policy == refusing or answer.status == 403 for answer in answers] == [True] * 3
    if outsider in {"cluster_admin", "kagent", "server_with_broad_rights"}:
        assert [answer.policy for answer in answers[1:]] == [refusing] * 2


@pytest.mark.parametrize("limit", LIMITS[1:], ids=lambda manifest: manifest["kind"])
async def test_the_collector_takes_its_own_finalizers_off_a_limit_and_no_more(
    everyone: Everybody, limit: Manifest
) -> None:
    collector = everyone.cluster.person(SYSTEM_ACCOUNT + "generic-garbage-collector", BROAD)
    stored = with_changes(limit, {"metadata.name": fresh_id()})
    stored.setdefault("spec", {"podSelector": {}})
    assert (await everyone.operator.create(stored)).message == ""
    lifted = {"NetworkPolicy": {"ingress": [{}]}, "LimitRange": {"limits": [{"type": "Pod", "max": {"cpu": "1k"}}]}}

    harmless = await collector.patch(stored, {"metadata": {"finalizers": None}})
    refused = [await collector.patch(stored, {"spec": lifted[stored["kind"]]}), await collector.delete(stored)]

    assert harmless.status == 200
    assert [answer.policy for answer in refused] == [RESERVED] * 2
    await everyone.operator.delete(stored)


@pytest.mark.parametrize("kind", ["Endpoints", "EndpointSlice"])
async def test_nobody_else_says_where_a_subagents_service_leads(everyone: Everybody, kind: str) -> None:
    version = {"Endpoints": "v1", "EndpointSlice": "discovery.k8s.io/v1"}[kind]
    parts: dict[str, Any] = {"addressType": "IPv4", "endpoints": []} if kind == "EndpointSlice" else {}
    controller = {"Endpoints": "endpoint-controller", "EndpointSlice": "endpointslice-controller"}[kind]
    manifest = named(version, kind, fresh_id(), **parts)

    assert (await everyone.cluster_admin.create(manifest)).policy == RESERVED
    assert (await everyone.cluster.person(SYSTEM_ACCOUNT + controller, BROAD).create(manifest)).status == 201
    await everyone.operator.delete(manifest)


async def test_what_kagent_deploys_comes_to_run(everyone: Everybody) -> None:
    """Its Deployment becomes a ReplicaSet and a pod by the cluster's own controllers, and a node says how it is."""
    deployment = with_changes(_workload("Deployment", fresh_id()), {"spec.replicas": 1})
    name = deployment["metadata"]["name"]
    assert (await everyone.kagent.create(deployment)).message == ""

    async def pods() -> list[dict[str, Any]]:
        path = f"/api/v1/namespaces/{HOME}/pods"
        return list((await everyone.administrator.send("GET", path, labelSelector=f"app={name}")).body["items"])

    (pod,) = await until(pods)
    node = everyone.cluster.person("system:node:one", "system:nodes", BROAD)
    scheduler = everyone.cluster.person("system:kube-scheduler", BROAD)
    target = named("v1", "Pod", pod["metadata"]["name"])
    binding = named("v1", "Binding", target["metadata"]["name"], target={"kind": "Node", "name": "one"})
    bound = await scheduler.send("POST", f"/api/v1/namespaces/{HOME}/pods/{pod['metadata']['name']}/binding", binding)
    reported = await node.patch(target, {"status": {"phase": "Running"}}, "status")

    assert (bound.message, reported.body["status"]["phase"]) == ("", "Running")
    assert (await everyone.kagent.patch(deployment, {"spec": {"replicas": 0}})).status == 200

    async def gone() -> bool:
        await everyone.administrator.delete(target, gracePeriodSeconds="0")
        return not await pods()

    assert await until(gone)
    await everyone.kagent.delete(deployment)


@pytest.mark.parametrize("exempt", ["operator", "administrator"])
async def test_operators_run_and_limit_what_they_like(everyone: Everybody, exempt: str) -> None:
    actor, stored = everyone.named(exempt), [_workload(kind, fresh_id()) for kind in WORKLOADS]

    assert [(await actor.create(manifest, dryRun="All")).message for manifest in stored] == [""] * len(stored)
    assert (await actor.apply(LIMITS[1])).status in {200, 201}
    assert (await actor.delete(LIMITS[1])).status == 200


async def test_elsewhere_pods_are_as_free_as_before(everyone: Everybody) -> None:
    manifest = with_changes(_workload("Pod", fresh_id()), {"metadata.namespace": "default"})

    assert (await everyone.cluster_admin.create(manifest, dryRun="All")).status == 201

"""What stands in deploy/, read as a file and tried on the API server."""

import re
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn import settings
from mcp_agentspawn.adapters.registry.indexing import INDEXERS_AT_ONCE
from mcp_agentspawn.adapters.registry.live import READERS_AT_ONCE
from mcp_agentspawn.adapters.registry.worker import MOST_ADDRESS_SPACE_BYTES
from tests.deploy.cluster import SYSTEM, Manifest
from tests.deploy.objects import named, with_changes
from tests.deploy.world import DEPLOY, Everybody, manifests_of

FILES = sorted(file for file in DEPLOY.rglob("*.yaml") if file.parent.name != "templates")
POLICIES = [file for file in FILES if "policy" in file.name or file.name == "kagent-creates-no-agents.yaml"]


def _of_kind(kind: str) -> dict[str, Manifest]:
    manifests = [manifest for file in sorted(DEPLOY.glob("*.yaml")) for manifest in manifests_of(file)]
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_object_is_marked_as_ours(file: Any) -> None:
    for manifest in manifests_of(file):
        assert manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "agentspawn"


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.name)
def test_a_policy_fails_closed_and_its_bindings_deny_by_namespace(file: Any) -> None:
    policy, *bindings = manifests_of(file)

    assert policy["spec"]["failurePolicy"] == "Fail"
    assert policy["spec"]["matchConstraints"]["matchPolicy"] == "Equivalent"
    assert bindings
    for binding in bindings:
        assert binding["spec"]["policyName"] == policy["metadata"]["name"]
        assert binding["spec"]["validationActions"] == ["Deny", "Audit"]
    for place in (policy["spec"]["matchConstraints"], *(item["spec"].get("matchResources", {}) for item in bindings)):
        assert "objectSelector" not in place


def _conditions(condition: str) -> dict[str, str]:
    """The policies that have a match condition of this name, and what it says."""
    return {
        name.removeprefix("agentspawn-"): item["expression"]
        for name, policy in _of_kind("ValidatingAdmissionPolicy").items()
        for item in policy["spec"].get("matchConditions", [])
        if item["name"] == condition
    }


def test_operators_are_the_same_everywhere_and_decide_like_everybody() -> None:
    conditions = _conditions("not-an-operator")

    assert set(conditions) == {"lock", "shape", "kin", "reserved"}
    assert len(set(conditions.values())) == 1


def test_the_collector_is_the_same_everywhere() -> None:
    conditions = _conditions("not-the-collector")

    assert set(conditions) == {"lock", "kin", "approvals", "answers", "people"}
    assert len(set(conditions.values())) == 1


@pytest.mark.parametrize("policy", ["own", "approvals", "answers", "people"])
def test_our_own_kinds_are_guarded_in_every_namespace(policy: str) -> None:
    assert "matchResources" not in _of_kind("ValidatingAdmissionPolicyBinding")[f"agentspawn-{policy}"]["spec"]


def test_nobody_is_exempt_from_own() -> None:
    assert "matchConditions" not in _of_kind("ValidatingAdmissionPolicy")["agentspawn-own"]["spec"]


def test_a_freeze_that_is_not_there_refuses() -> None:
    bindings = [
        binding["spec"]["paramRef"]
        for binding in _of_kind("ValidatingAdmissionPolicyBinding").values()
        if binding["spec"]["policyName"] == "agentspawn-freeze"
    ]

    assert [reference["parameterNotFoundAction"] for reference in bindings] == ["Deny", "Deny"]
    assert [reference["namespace"] for reference in bindings] == [SYSTEM, SYSTEM]
    assert sorted(str(reference.get("name", reference.get("selector"))) for reference in bindings) == [
        "everywhere",
        "{}",
    ]


def test_freezes_come_after_their_kind_and_before_the_policy_that_asks_for_them() -> None:
    """Files are applied in the order of their names."""
    order = [
        (item["kind"], item["metadata"]["name"])
        for file in sorted(DEPLOY.glob("*.yaml"))
        for item in manifests_of(file)
    ]

    kind = order.index(("CustomResourceDefinition", "spawnfreezes.agentspawn.dev"))
    policy = order.index(("ValidatingAdmissionPolicy", "agentspawn-freeze"))
    freezes = [index for index, (what, _) in enumerate(order) if what == "SpawnFreeze"]
    assert [order[index][1] for index in freezes] == ["everywhere", "root.agentspawn-system.canary"]
    assert kind < min(freezes) <= max(freezes) < policy


def _roles() -> dict[tuple[str, str], Manifest]:
    manifests = [manifest for file in sorted(DEPLOY.glob("*.yaml")) for manifest in manifests_of(file)]
    roles = [manifest for manifest in manifests if manifest["kind"] in {"Role", "ClusterRole"}]
    return {(role["metadata"]["name"], role["metadata"].get("namespace", "")): role for role in roles}


def test_no_role_lets_anybody_read_a_secret_or_make_an_agent() -> None:
    rules = [rule for (name, _), role in _roles().items() if name != "agentspawn-canary" for rule in role["rules"]]
    secrets = [rule["verbs"] for rule in rules if "secrets" in rule["resources"]]

    assert not [rule for rule in rules if "*" in {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}]
    assert secrets == [["create", "delete"]]
    assert not [rule for rule in rules if "agents" in rule["resources"] and {"create", "update"} & {*rule["verbs"]}]


def test_the_settings_of_the_server_are_settings(tmp_path: Path) -> None:
    data = _of_kind("ConfigMap")["agentspawn-settings"]["data"]
    folders = ("AGENTSPAWN_POLICIES", "AGENTSPAWN_TEMPLATES", "AGENTSPAWN_REGISTRIES")
    places = {name: str(tmp_path) for name in folders}

    loaded = settings.load({**data, **places, "AGENTSPAWN_AUDIT_FILE": str(tmp_path / "audit.jsonl")})

    assert set(places) | {"AGENTSPAWN_AUDIT_FILE"} <= set(data)
    assert [(root.name, root.home) for root in loaded.roots] == [("agents/orchestrator", "subagents")]
    assert loaded.host == "0.0.0.0"  # noqa: S104 - the pod's network


def test_the_server_writes_nowhere_but_to_its_audit_and_to_a_folder_that_goes_with_it() -> None:
    workload = _of_kind("StatefulSet")["agentspawn"]
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    audit = _of_kind("ConfigMap")["agentspawn-settings"]["data"]["AGENTSPAWN_AUDIT_FILE"]

    assert writable == [audit.rpartition("/")[0], "/tmp"]  # noqa: S108 - in the pod
    assert [list(volume) for volume in pod["volumes"] if volume["name"] == "scratch"] == [["name", "emptyDir"]]
    assert [claim["metadata"]["name"] for claim in workload["spec"]["volumeClaimTemplates"]] == ["audit"]
    assert (workload["metadata"]["namespace"], workload["spec"]["replicas"]) == (SYSTEM, 2)


def test_every_folder_of_a_setting_is_mounted_and_registries_need_not_be_there() -> None:
    pod = _of_kind("StatefulSet")["agentspawn"]["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in pod["volumes"]}
    data = _of_kind("ConfigMap")["agentspawn-settings"]["data"]
    sample = (DEPLOY.parent / "docs" / "registries" / "main.yaml").read_text()
    (credential,) = re.findall(r"^# credential_file: (.*)/", sample, re.MULTILINE)

    for name in ("AGENTSPAWN_POLICIES", "AGENTSPAWN_TEMPLATES", "AGENTSPAWN_REGISTRIES"):
        assert data[name] in mounts
    assert volumes[mounts[data["AGENTSPAWN_REGISTRIES"]]]["configMap"]["optional"] is True
    credentials = volumes[mounts[credential]]["secret"]
    assert (credentials["optional"], credentials["defaultMode"]) == (True, 0o440)


def test_a_registry_that_makes_its_readers_large_takes_no_memory_from_the_server() -> None:
    """The kernel would end all of the container."""
    (container,) = _of_kind("StatefulSet")["agentspawn"]["spec"]["template"]["spec"]["containers"]
    helpers = READERS_AT_ONCE + INDEXERS_AT_ONCE

    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
    assert limit >= (512 << 20) + helpers * MOST_ADDRESS_SPACE_BYTES


@pytest.mark.parametrize("manifest", manifests_of(DEPLOY / "50-server.yaml"), ids=lambda manifest: manifest["kind"])
async def test_the_api_server_takes_the_server(everyone: Everybody, manifest: Manifest) -> None:
    answer = await everyone.administrator.apply(manifest, dryRun="All", fieldValidation="Strict")

    assert answer.message == ""


async def test_the_server_meets_the_restricted_pod_security_standard(everyone: Everybody) -> None:
    """Its namespace enforces it, and would refuse a pod with one right more."""
    pod = named(
        "v1", "Pod", "agentspawn-0", SYSTEM, spec=_of_kind("StatefulSet")["agentspawn"]["spec"]["template"]["spec"]
    )
    pod["spec"] |= {"volumes": [*pod["spec"]["volumes"], {"name": "audit", "emptyDir": {}}]}
    wider = with_changes(pod, {"spec.hostNetwork": True})

    assert (await everyone.administrator.create(pod, dryRun="All", fieldValidation="Strict")).message == ""
    assert "PodSecurity" in (await everyone.administrator.create(wider, dryRun="All")).message
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_service_the_budget_and_the_server_mean_the_same_pods() -> None:
    labels = _of_kind("StatefulSet")["agentspawn"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        _of_kind("Service")["agentspawn"]["spec"]["selector"],
        _of_kind("PodDisruptionBudget")["agentspawn"]["spec"]["selector"]["matchLabels"],
        _of_kind("StatefulSet")["agentspawn"]["spec"]["selector"]["matchLabels"],
    ]

    assert all(selector.items() <= labels.items() for selector in selectors)


def test_a_subagent_is_reached_by_the_server_alone() -> None:
    policies = _of_kind("NetworkPolicy").values()
    ingress = [rule for policy in policies for rule in policy["spec"].get("ingress", [])]

    assert _of_kind("NetworkPolicy")["default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    server = {"app.kubernetes.io/name": "agentspawn"}
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SYSTEM}}}
    assert [(rule["from"], [port["port"] for port in rule["ports"]]) for rule in ingress] == [
        ([peer | {"podSelector": {"matchLabels": server}}], [8080])
    ]
    assert server.items() <= _of_kind("StatefulSet")["agentspawn"]["spec"]["template"]["metadata"]["labels"].items()
    assert all("podSelector" in policy["spec"] for policy in policies)


def test_every_network_policy_that_allows_something_can_leave_a_subagent_out() -> None:
    """One that could not would let it through for good: policies only ever add up."""
    selectors = [
        policy["spec"]["podSelector"]
        for policy in _of_kind("NetworkPolicy").values()
        if {"ingress", "egress"} & {*policy["spec"]}
    ]

    assert selectors == [{"matchExpressions": [{"key": "kagent", "operator": "NotIn", "values": ["nobody"]}]}] * 6

"""What onboards an orchestrator, beside what deploy/ gives to the first namespace."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcp_agentspawn.adapters.kubernetes.policies import OF_HOMES, binding_name
from mcp_agentspawn.cli.manifests import TEMPLATES, onboarding, render

DEPLOY = Path(__file__).parents[2] / "deploy"
Manifest = dict[str, Any]


def _key(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def _keyed(manifests: list[Manifest]) -> dict[tuple[str, str, str], Manifest]:
    return {_key(manifest): manifest for manifest in manifests}


def _deployed(name: str) -> list[Manifest]:
    return [item for item in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")) if item]


def _for_team(manifest: Manifest) -> Manifest:
    """What an object of deploy/ for `subagents` is for `team-b`."""
    moved = copy.deepcopy(manifest)
    if manifest["kind"] == "ValidatingAdmissionPolicyBinding":
        moved["metadata"]["name"] += "-team-b"
    return dict(json.loads(json.dumps(moved).replace('"subagents"', '"team-b"')))


def _in_subagents(manifest: Manifest) -> bool:
    return '"subagents"' in json.dumps(manifest)


def test_a_namespace_of_its_own_gets_what_deploy_gives_to_the_first() -> None:
    files = [file.name for file in sorted(DEPLOY.glob("*.yaml")) if not file.name.startswith("50-")]
    expected = [_for_team(item) for name in files for item in _deployed(name) if _in_subagents(item)]

    made = _keyed(onboarding("agents", "orchestrator", "team-b", constrained=True))

    assert {_key(item): made.get(_key(item)) for item in expected} == _keyed(expected)
    assert len(expected) > 15


def test_before_1_36_a_namespace_of_its_own_gets_what_the_option_gives() -> None:
    expected = [_for_team(item) for item in _deployed("options/impersonation-before-1.36.yaml") if _in_subagents(item)]
    constrained = {verb for verb in _verbs(onboarding("agents", "x", "team-b", constrained=False)) if ":" in verb}

    made = _keyed(onboarding("agents", "x", "team-b", constrained=False))

    assert {_key(item): made.get(_key(item)) for item in expected} == _keyed(expected)
    assert constrained == set()


def _verbs(manifests: list[Manifest]) -> set[str]:
    return {verb for manifest in manifests for rule in manifest.get("rules", []) for verb in rule["verbs"]}


def test_the_first_namespace_is_left_as_deploy_made_it() -> None:
    made = onboarding("agents", "orchestrator", "subagents", constrained=True)
    deployed = [item for file in DEPLOY.glob("*.yaml") for item in _deployed(file.name)]

    assert set(_keyed(made)) & set(_keyed(deployed)) == set()


def test_the_virtual_user_creates_and_deletes_agents_and_nothing_else() -> None:
    made = onboarding("agents", "orchestrator", "subagents", constrained=True)
    subjects = [(item, subject) for item in made for subject in item.get("subjects", [])]
    bound = [item for item, subject in subjects if subject["name"] == "agentspawn:agents:orchestrator"]
    rights = [_keyed(made)["Role", item["metadata"]["namespace"], item["roleRef"]["name"]]["rules"] for item in bound]

    assert rights == [
        [{"apiGroups": ["kagent.dev"], "resources": ["agents"], "verbs": ["create", "delete"]}],
        [
            {
                "apiGroups": ["agentspawn.dev"],
                "resources": ["templates"],
                "resourceNames": list(TEMPLATES),
                "verbs": ["use"],
            }
        ],
    ]


@pytest.mark.parametrize(
    ("constrained", "group", "verb"),
    [(True, "authentication.k8s.io", "impersonate:user-info"), (False, "", "impersonate")],
)
def test_the_server_may_be_this_user_and_no_other(*, constrained: bool, group: str, verb: str) -> None:
    made = _keyed(onboarding("agents", "orchestrator", "subagents", constrained=constrained))

    rules = made["ClusterRole", "", "agentspawn-impersonates:agents:orchestrator"]["rules"]

    extra = {"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/agentspawn.dev/proposal"]}
    user = {"apiGroups": [group], "resources": ["users"], "resourceNames": ["agentspawn:agents:orchestrator"]}
    assert rules == [user | {"verbs": [verb]}, extra | {"verbs": [verb]}]


def test_the_orchestrators_account_has_no_right() -> None:
    made = onboarding("agents", "orchestrator", "subagents", constrained=True)
    subjects = [subject for manifest in made for subject in manifest.get("subjects", [])]

    assert {(item["kind"], item["name"]) for item in subjects} == {
        ("User", "agentspawn:agents:orchestrator"),
        ("ServiceAccount", "agentspawn"),
    }
    assert _keyed(made)["ServiceAccount", "agents", "orchestrator"]["automountServiceAccountToken"] is False


def test_no_templates_are_none_and_not_all() -> None:
    made = onboarding("agents", "orchestrator", "subagents", constrained=True, templates=())

    assert "use" not in _verbs(made)


def test_the_sample_agent_shows_its_token_to_this_server_alone() -> None:
    made = _keyed(onboarding("agents", "orchestrator", "subagents", constrained=True))
    (tool,) = made["Agent", "agents", "orchestrator"]["spec"]["declarative"]["tools"]
    (header,) = tool["headersFrom"]
    secret = made["Secret", "agents", header["valueFrom"]["name"]]

    assert header["name"] == "X-Agentspawn-Token"
    assert tool["mcpServer"]["name"] == "agentspawn"
    assert tool["mcpServer"]["toolNames"]
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "orchestrator"}


def test_the_same_server_stands_beside_the_subagents() -> None:
    made = _keyed(onboarding("agents", "orchestrator", "team-b", constrained=True))
    here, there = (made["RemoteMCPServer", place, "agentspawn"] for place in ("agents", "team-b"))

    assert here["spec"] == there["spec"]


def test_what_bears_the_sample_agents_name_is_not_taken_over() -> None:
    """kagent makes a Secret and, unless an account is named, a ServiceAccount with its Agent's name."""
    made = _keyed(onboarding("agents", "a.b", "subagents", constrained=True))
    agent = made["Agent", "agents", "a-b"]

    assert agent["spec"]["declarative"]["deployment"]["serviceAccountName"] == "a.b"
    assert ("Secret", "agents", "a-b") not in made


def test_operators_may_do_elsewhere_what_they_may_where_deploy_puts_orchestrators() -> None:
    deployed = _keyed(_deployed("22-people-rbac.yaml"))
    made = _keyed(onboarding("robots", "x", "subagents", constrained=True))

    for kind in ("Role", "RoleBinding"):
        here, there = (
            keyed[kind, place, "agentspawn-operator"] for keyed, place in ((deployed, "agents"), (made, "robots"))
        )
        assert {**there, "metadata": {}} == {**here, "metadata": {}}


def test_the_server_looks_at_the_bindings_of_a_namespace_of_its_own_and_no_others() -> None:
    made = _keyed(onboarding("agents", "x", "team-b", constrained=True))
    (rule,) = made["ClusterRole", "", "agentspawn-server-team-b"]["rules"]

    assert (rule["resources"], rule["verbs"]) == (["validatingadmissionpolicybindings"], ["get"])
    assert rule["resourceNames"] == [binding_name(policy, "team-b") for policy in OF_HOMES]
    assert set(rule["resourceNames"]) <= {name for kind, _, name in made if kind == "ValidatingAdmissionPolicyBinding"}


def test_credentials_elsewhere_come_under_kin() -> None:
    made = _keyed(onboarding("robots", "x", "subagents", constrained=True))
    binding = made["ValidatingAdmissionPolicyBinding", "", "agentspawn-kin-robots"]

    names = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert names == [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["robots"]}]
    assert "excludeResourceRules" not in binding["spec"]["matchResources"]
    (rule,) = made["ClusterRole", "", "agentspawn-orchestrators-robots"]["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["agentspawn-kin-robots"], ["get"])


@pytest.mark.parametrize(
    ("namespace", "account", "home"),
    [
        ("agents", "orchestrator", "agents"),
        ("agents", "orchestrator", "agentspawn-system"),
        ("agentspawn-system", "orchestrator", "subagents"),
        ("subagents", "orchestrator", "team-b"),
        ("robots", "x", "robots"),
        ("agents", "x", "kube-system"),
        ("agents", "x", "default"),
        ("agents", "x", "kagent"),
        ("Agents", "x", "subagents"),
        ("a.b", "x", "subagents"),
        ("agents", "x:y", "subagents"),
        ("agents", "", "subagents"),
        ("agents", "x\n", "subagents"),
        ("agents", "a" * 200, "subagents"),
        ("agents", "x", "subagents'"),
        ("", "x", "subagents"),
    ],
)
def test_a_name_that_can_not_be_is_refused(namespace: str, account: str, home: str) -> None:
    with pytest.raises(ValueError, match=r"can not|is no name"):
        onboarding(namespace, account, home, constrained=True)


@pytest.mark.parametrize("templates", [["*"], ["researcher", ""], ["a b"]])
def test_a_template_is_named(templates: list[str]) -> None:
    with pytest.raises(ValueError, match="is no name"):
        onboarding("agents", "x", "subagents", constrained=True, templates=templates)


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("home", ["subagents", "team-b"])
def test_the_yaml_is_the_same_and_says_what_each_part_is_for(*, constrained: bool, home: str) -> None:
    text = render("agents", "orchestrator", home, constrained=constrained)

    assert [item for item in yaml.safe_load_all(text) if item] == onboarding(
        "agents", "orchestrator", home, constrained=constrained
    )
    assert "&id" not in text
    assert f"# Onboards agents/orchestrator, whose subagents live in {home}." in text

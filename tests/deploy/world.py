"""Puts deploy/ on a control plane, exactly as a user would, and brings in the people and attackers of these tests."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcp_agentspawn.cli.manifests import render
from mcp_agentspawn.localplane import ControlPlane, install
from tests.deploy.cluster import (
    BROAD,
    EXTRA,
    HOME,
    KAGENT,
    MASTERS,
    OPERATORS,
    ORCHESTRATORS,
    REPOSITORY,
    SERVER,
    SYSTEM,
    Actor,
    Cluster,
    Manifest,
    until,
)
from tests.deploy.objects import (
    ROOT,
    TENANT,
    answer,
    approval,
    freeze,
    fresh_handle,
    fresh_id,
    named,
    proposal,
    subagent,
    tool_server,
    virtual_user,
    with_changes,
)

SHARED = Path(os.environ.get("AGENTSPAWN_SHARED", REPOSITORY.parent / "shared"))
REDUCED = REPOSITORY / "dev" / "kagent-crds"
DEPLOY = REPOSITORY / "deploy"
OLDER_IMPERSONATION = DEPLOY / "options" / "impersonation-before-1.36.yaml"
KAGENT_OPTION = DEPLOY / "options" / "kagent-creates-no-agents.yaml"
DORAS, DORAS_TASK = "sub-test-doras", f"task-{'d' * 32}"
COUNTED = "count/agents.kagent.dev"
CANARY, FROZEN_SONG = "agentspawn:agentspawn-system:canary", "sub-canary-frozen"
# Kinds of kagent's that no folder here has. What they hold does not matter, only that the policies see them.
STUBS = {"SandboxAgent": "v1alpha2", "AgentHarness": "v1alpha2", "ToolServer": "v1alpha1", "AgentTemplate": "v1alpha3"}


def kagent_kinds(version: str) -> Path:
    """The folder with kagent's CRDs; skips the test when it is not there."""
    folder = REDUCED if version == "reduced" else SHARED / "kagent-crds" / version
    if not folder.is_dir():
        pytest.skip(f"kagent's own CRDs are not at {folder}")
    return folder


def deployed(*, constrained: bool = True) -> list[Path]:
    """The files of deploy/ in their order, without the server itself."""
    files = [file for file in sorted(DEPLOY.glob("*.yaml")) if not file.name.startswith("50-")]
    return files if constrained else [OLDER_IMPERSONATION if file.name.startswith("21-") else file for file in files]


def manifests_of(file: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]


async def set_up(
    plane: ControlPlane, cluster: Cluster, folder: Path, *, constrained: bool = True, also: Sequence[Path] = ()
) -> None:
    """Install and onboard, then wait until every policy acts."""
    onboardings = []
    for account in (ROOT, TENANT):
        onboardings.append(folder / f"{account}.yaml")
        text = render(ORCHESTRATORS, account, HOME, constrained=constrained)
        onboardings[-1].write_text(text, encoding="utf-8")
    for stub in _stubs():
        await cluster.administrator.apply(stub)
    await install(plane.admin, [*deployed(constrained=constrained), *also, *onboardings])
    for manifest in _rights():
        assert (await cluster.administrator.apply(manifest)).status < 300
    await policies_act(cluster)
    if KAGENT_OPTION in also:
        elsewhere = subagent(fresh_id(), namespace="default")
        await _refuses(cluster.person(KAGENT, BROAD), elsewhere, "agentspawn-kagent-creates-no-agents")


async def policies_act(cluster: Cluster, home: str = HOME, orchestrators: str = ORCHESTRATORS) -> None:
    """Wait until each policy refuses what it is there to refuse."""
    canary, eve, name = cluster.person(CANARY, BROAD), cluster.person("eve", BROAD), fresh_id()
    secret = named("v1", "Secret", "x", home)
    labelled = with_changes(song(name, home), {"metadata.labels.other": "x"})
    frozen = canary.saying((EXTRA, FROZEN_SONG))
    await _refuses(canary, subagent(name, namespace=home), "agentspawn-lock")
    await _refuses(canary.saying((EXTRA, name)), labelled, "agentspawn-shape")
    await _refuses(eve, tool_server("x", home), "agentspawn-kin")
    await _refuses(eve, tool_server("x", orchestrators), "agentspawn-kin")
    await _refuses(eve, secret, "agentspawn-reserved")
    await _refuses(
        cluster.person(SERVER, BROAD),
        named("networking.k8s.io/v1", "NetworkPolicy", "x", home),
        "agentspawn-quarantine",
    )
    await _refuses(cluster.administrator, proposal(name), "agentspawn-own")
    await _refuses(eve, approval(name, "adam"), "agentspawn-approvals")
    await _refuses(eve, answer(fresh_handle(), "adam"), "agentspawn-answers")
    await _refuses(eve, freeze("namespace.x", "adam"), "agentspawn-people")
    await _refuses(frozen, song(FROZEN_SONG, home), "agentspawn-freeze")
    assert await until(lambda: _counted(cluster, home)), "the quota is not counted"


def song(name: str, home: str = HOME) -> Manifest:
    """What the canary sings: an Agent of its own, right in all but what is tried."""
    return with_changes(subagent(name, namespace=home), {"metadata.annotations.agentspawn~dev/root": CANARY})


async def _counted(cluster: Cluster, home: str) -> bool:
    """Until a quota's controller has counted, the API server refuses everything that the quota limits."""
    quota = await cluster.administrator.get(named("v1", "ResourceQuota", "agentspawn", home))
    return COUNTED in quota.body.get("status", {}).get("used", {})


async def _refuses(actor: Actor, manifest: Manifest, policy: str) -> None:
    async def refused() -> bool:
        return (await actor.create(manifest, dryRun="All")).policy == policy

    assert await until(refused), f"{policy} does not act"


def _stubs() -> list[Manifest]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    stubs = []
    for kind, version in STUBS.items():
        plural = f"{kind.lower()}s" if not kind.endswith("ss") else f"{kind.lower()}es"
        names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
        served = {"name": version, "served": True, "storage": True, "schema": schema}
        spec = {"group": "kagent.dev", "scope": "Namespaced", "names": names, "versions": [served]}
        definition = named("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.kagent.dev", "", spec=spec)
        stubs.append(definition)
    return stubs


def _rights() -> list[Manifest]:
    """What RBAC says here: an orchestrator with far too much, holders of edit and admin, operators, kagent."""
    everything = [{"apiGroups": ["kagent.dev"], "resources": ["*"], "verbs": ["*"]}]
    aggregated = named("rbac.authorization.k8s.io/v1", "ClusterRole", "test-kagent-edit", "", rules=everything)
    aggregated["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    account = {"kind": "ServiceAccount", "name": ROOT, "namespace": ORCHESTRATORS}
    token = [{"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]
    rights = [
        aggregated,
        named("rbac.authorization.k8s.io/v1", "ClusterRole", "test-kagent", "", rules=everything),
        named("rbac.authorization.k8s.io/v1", "ClusterRole", "test-node", "", rules=token),
    ]
    for namespace in (HOME, ORCHESTRATORS):
        rights += [
            _bound("test-orchestrator", "test-kagent", account, namespace),
            _bound("test-edit", "edit", _user("edith"), namespace),
            _bound("test-admin", "admin", _user("adam"), namespace),
            _bound("test-node", "test-node", _group("system:nodes"), namespace),
        ]
    for group in (BROAD, OPERATORS):
        rights.append(_bound(f"test-{group}", "cluster-admin", _group(group), ""))
    return [*rights, *_rights_of_people()]


def _rights_of_people() -> list[Manifest]:
    """Alice and Bob decide and Frida freezes, by deploy/'s own roles; Carol may store decisions, Dora decide on one."""
    ours = {"apiGroups": ["agentspawn.dev"]}
    makes = {**ours, "resources": ["subagentapprovals", "subagenttaskanswers"], "verbs": ["create", "delete"]}
    approves = {**ours, "resources": ["subagentproposals"], "verbs": ["approve"], "resourceNames": [DORAS]}
    answers = {**ours, "resources": ["subagenttasks"], "verbs": ["answer"], "resourceNames": [DORAS_TASK]}
    rules = {"test-makes": [makes], "test-decides-on-one": [makes, approves, answers]}
    roles = [named("rbac.authorization.k8s.io/v1", "Role", name, SYSTEM, rules=rule) for name, rule in rules.items()]
    bound = {
        "agentspawn-approver": ("alice", "bob"),
        "agentspawn-operator": ("frida",),
        "agentspawn-viewer": ("vera",),
        "test-makes": ("carol",),
        "test-decides-on-one": ("dora",),
    }
    people = [(role, person) for role, group in bound.items() for person in group]
    bindings = [_bound(f"test-{person}", role, _user(person), SYSTEM, of="Role") for role, person in people]
    return [*roles, *bindings]


def _user(name: str) -> Manifest:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}


def _group(name: str) -> Manifest:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}


def _bound(name: str, role: str, subject: Manifest, namespace: str, *, of: str = "ClusterRole") -> Manifest:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    binding = named("rbac.authorization.k8s.io/v1", kind, name, namespace, subjects=[subject])
    return binding | {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": role}}


class Everybody:
    """Those who try things, by the word that a test uses for them."""

    def __init__(self, cluster: Cluster, server: Actor, orchestrator: Actor) -> None:
        self.cluster = cluster
        self.administrator = cluster.administrator
        self.server = server
        self.orchestrator = orchestrator
        self.editor = cluster.person("edith")
        self.namespace_admin = cluster.person("adam")
        self.operator = cluster.person("oscar", OPERATORS)
        self.kagent = cluster.person(KAGENT, BROAD)
        self.cluster_admin = cluster.person("eve", BROAD)
        self.server_with_every_right = cluster.person(SERVER, MASTERS)
        self.server_with_broad_rights = cluster.person(SERVER, BROAD)
        self.alice, self.bob, self.carol = (cluster.person(name) for name in ("alice", "bob", "carol"))
        self.dora, self.frida, self.vera = (cluster.person(name) for name in ("dora", "frida", "vera"))

    def named(self, word: str) -> Actor:
        actor: Actor = getattr(self, word)
        return actor

    def root(self, proposal_id: str = "", account: str = ROOT) -> Actor:
        """The server as a root's virtual user."""
        return self.server.impersonating(virtual_user(account), proposal=proposal_id)

    def root_with_every_right(self, proposal_id: str, account: str = ROOT) -> Actor:
        """What would be if RBAC gave the virtual user everything."""
        headers = [(EXTRA, proposal_id)] if proposal_id else []
        return self.cluster.person(virtual_user(account), BROAD).saying(*headers)

    async def spawn(self, account: str = ROOT) -> Manifest:
        """A subagent, made as the server makes them."""
        manifest = subagent(fresh_id(), account)
        return await self.root(manifest["metadata"]["name"], account).store(manifest)

    async def tidy(self) -> None:
        """Take every Agent away that a test left behind.

        Nothing is asked when nobody tried to write one: after any other write it takes the API server a tenth of a
        second to list its Agents.
        """
        if any(f"/namespaces/{HOME}/agents" in path for path in self.cluster.written):
            await self.administrator.send("DELETE", f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}/agents")
        self.cluster.written.clear()


async def everybody(cluster: Cluster) -> Everybody:
    server = await cluster.account(SYSTEM, "agentspawn")
    return Everybody(cluster, server, await cluster.account(ORCHESTRATORS, ROOT))


async def type_checked(everyone: Everybody, name: str) -> dict[str, Any]:
    """What the type checker says about a policy as it is now."""
    policy = named("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", name, "")

    async def checked() -> list[dict[str, Any]]:
        body = (await everyone.administrator.get(policy)).body
        status = body.get("status", {})
        same = status.get("observedGeneration") == body["metadata"]["generation"]
        return [status["typeChecking"]] if same and "typeChecking" in status else []

    (found,) = await until(checked)
    return found

"""A namespace of subagents beside the first one: the rights, policies and limits that deploy/ gives to `subagents`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import CANARY, SERVER_ACCOUNT, SYSTEM_NAMESPACE
from mcp_agentspawn.core.switches import EVERYWHERE

Manifest = dict[str, Any]
Section = tuple[str, list[Manifest]]

ORCHESTRATORS = "agents"
OPERATORS = "agentspawn:operators"
MOST_AGENTS = "40"
PRIVATE_NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
RBAC = "rbac.authorization.k8s.io"
ALL_AGENTS = {"apiGroups": ["kagent.dev"], "apiVersions": ["*"], "operations": ["*"], "resources": ["agents"]}


def tenancy(namespace: str, *, constrained: bool) -> list[Section]:
    """List what a namespace of subagents needs before anybody spawns into it; the policies are bound first."""
    bindings = [_binding(policy, namespace) for policy in ("lock", "shape", "reserved", "quarantine")]
    bindings += _freezes(namespace)
    metadata = named("v1", "Namespace", namespace)
    metadata["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"
    rights = [*_server(namespace), *(_impersonating(namespace) if constrained else ()), *_canary(namespace)]
    seen = [f"agentspawn-{name}-{namespace}" for name in ("kin", "reserved", "quarantine", f"freeze-{EVERYWHERE}")]
    rights += looking(f"agentspawn-server-{namespace}", seen)
    retiring = operators("kagent.dev", "agents", ["get", "list", "delete"], namespace)
    return [
        ("Where its subagents live, and what the API server refuses there.", [metadata]),
        ("The policies of deploy/, for this namespace.", [*bindings, kin_binding(namespace, exclude_agents=True)]),
        ("The sum of all roots.", [_quota(namespace)]),
        ("What a subagent reaches, and who reaches it. Adapt: DNS, kagent, tools, models.", _network(namespace)),
        ("What the server may do here, and the canary that shows that the policies act.", rights),
        ("Operators look at subagents here, and remove them.", retiring),
    ]


def kin_binding(namespace: str, *, exclude_agents: bool = False) -> Manifest:
    """Bind `kin`; in a namespace of subagents without Agents, which are the lock's and the shape's."""
    binding = _binding("kin", namespace)
    if exclude_agents:
        binding["spec"]["matchResources"]["excludeResourceRules"] = [ALL_AGENTS]
    return binding


def operators(group: str, resource: str, verbs: Sequence[str], namespace: str) -> list[Manifest]:
    """Give operators these rights in one namespace."""
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}]
    return list(grant("agentspawn-operator", rules, {"kind": "Group", "name": OPERATORS}, namespace))


def looking(name: str, bindings: Sequence[str]) -> Iterator[Manifest]:
    """Let the server see that policies which no canary can try are bound."""
    resources = {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingadmissionpolicybindings"]}
    return grant(name, [{**resources, "resourceNames": list(bindings), "verbs": ["get"]}], server_account())


def named(version: str, kind: str, name: str, namespace: str = "") -> Manifest:
    """Begin a manifest."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    labels = {"app.kubernetes.io/part-of": "agentspawn"}
    return {"apiVersion": version, "kind": kind, "metadata": {**metadata, "labels": labels}}


def server_account() -> Mapping[str, str]:
    """The server, as a subject of RBAC."""
    return {"kind": "ServiceAccount", "name": SERVER_ACCOUNT, "namespace": SYSTEM_NAMESPACE}


def grant(
    name: str, rules: Sequence[Mapping[str, Any]], subject: Mapping[str, str], namespace: str = ""
) -> Iterator[Manifest]:
    """Give a subject these rights, in one namespace or, without one, in the cluster."""
    kind = "Role" if namespace else "ClusterRole"
    group = {} if subject["kind"] == "ServiceAccount" else {"apiGroup": RBAC}
    yield named(f"{RBAC}/v1", kind, name, namespace) | {"rules": list(rules)}
    yield named(f"{RBAC}/v1", f"{kind}Binding", name, namespace) | {
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{**group, **subject}],
    }


def _binding(policy: str, namespace: str) -> Manifest:
    version = "admissionregistration.k8s.io/v1"
    names = [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}]
    return named(version, "ValidatingAdmissionPolicyBinding", f"agentspawn-{policy}-{namespace}") | {
        "spec": {
            "policyName": f"agentspawn-{policy}",
            "validationActions": ["Deny", "Audit"],
            "matchResources": {"namespaceSelector": {"matchExpressions": names}},
        }
    }


def _freezes(namespace: str) -> Iterator[Manifest]:
    """Bind `freeze` to every SpawnFreeze, and by name to the one that is always there."""
    which: dict[str, dict[str, Any]] = {"freeze": {"selector": {}}, f"freeze-{EVERYWHERE}": {"name": EVERYWHERE}}
    for name, freezes in which.items():
        binding = _binding(name, namespace)
        missing = {"parameterNotFoundAction": "Deny"}
        binding["spec"] |= {
            "policyName": "agentspawn-freeze",
            "paramRef": {"namespace": SYSTEM_NAMESPACE, **freezes, **missing},
        }
        yield binding


def _server(namespace: str) -> Iterator[Manifest]:
    rules = [
        {"apiGroups": ["kagent.dev"], "resources": ["agents"], "verbs": ["get", "list", "watch", "delete"]},
        {"apiGroups": ["kagent.dev"], "resources": ["modelconfigs", "remotemcpservers"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["networkpolicies"],
            "verbs": ["list", "create", "update", "delete"],
        },
    ]
    return grant("agentspawn-server", rules, server_account(), namespace)


def _impersonating(namespace: str) -> Iterator[Manifest]:
    verbs = ["impersonate-on:user-info:create", "impersonate-on:user-info:delete"]
    rules = [{"apiGroups": ["kagent.dev"], "resources": ["agents"], "verbs": verbs}]
    return grant("agentspawn-impersonation", rules, server_account(), namespace)


def _canary(namespace: str) -> Iterator[Manifest]:
    rules = [{"apiGroups": ["kagent.dev"], "resources": ["agents"], "verbs": ["create"]}]
    user = Root(SYSTEM_NAMESPACE, CANARY, namespace).virtual_user
    return grant("agentspawn-canary", rules, {"kind": "User", "name": user}, namespace)


def _quota(namespace: str) -> Manifest:
    return named("v1", "ResourceQuota", "agentspawn", namespace) | {
        "spec": {"hard": {"count/agents.kagent.dev": MOST_AGENTS}}
    }


def _network(namespace: str) -> list[Manifest]:
    dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    server = _pods(SYSTEM_NAMESPACE, {"app.kubernetes.io/name": "agentspawn"})
    controller = {"app.kubernetes.io/name": "kagent", "app.kubernetes.io/component": "controller"}
    public = {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_NETWORKS)}}
    rules: dict[str, dict[str, Any]] = {
        "default-deny": {"policyTypes": ["Ingress", "Egress"]},
        "from-agentspawn": {
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [server], "ports": [{"protocol": "TCP", "port": 8080}]}],
        },
        "to-dns": _egress(_pods("kube-system", {"k8s-app": "kube-dns"}), dns),
        "to-agentspawn": _egress(server, [{"protocol": "TCP", "port": 8000}]),
        "to-kagent": _egress(_pods("kagent", controller), [{"protocol": "TCP", "port": 8083}]),
        "to-tools": _egress(_pods("tools"), [{"protocol": "TCP", "port": 8084}]),
        "to-models": _egress(public, [{"protocol": "TCP", "port": 443}]),
    }
    return [
        named("networking.k8s.io/v1", "NetworkPolicy", name, namespace)
        | {"spec": {"podSelector": _selected(rule), **rule}}
        for name, rule in rules.items()
    ]


def _selected(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Every pod; of a policy that allows something, all but those of subagents that are cut off."""
    cut_off = {"key": "kagent", "operator": "NotIn", "values": ["nobody"]}
    return {"matchExpressions": [cut_off]} if {"ingress", "egress"} & {*rule} else {}


def _egress(to: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"policyTypes": ["Egress"], "egress": [{"to": [to], "ports": list(ports)}]}


def _pods(namespace: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return selector | ({"podSelector": {"matchLabels": dict(labels)}} if labels else {})

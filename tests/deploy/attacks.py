"""Every field of an Agent that turns "create agents" into something else, one by one.

Each attack is what is changed in a subagent that would be accepted, by path.
"""

import copy
from collections.abc import Callable
from typing import Any

from tests.deploy.cluster import Manifest
from tests.deploy.objects import credential_of, tool

DEPLOYMENT = "spec.declarative.deployment"
SKILLS = "spec.skills"
TOOLS = "spec.declarative.tools"
SECRET = {"type": "Secret", "name": "any", "key": "token"}
Changes = dict[str, Any]


def _deployed(**fields: Any) -> Changes:
    return {f"{DEPLOYMENT}.{name}": value for name, value in fields.items()}


def _armed(**changes: Any) -> Changes:
    return {TOOLS: [tool("web-search", **changes)]}


def _tool_with(**fields: Any) -> Changes:
    return {TOOLS: [tool(), tool("verify") | fields]}


POD: dict[str, Changes] = {
    "another account": _deployed(serviceAccountName="default"),
    "an account's cloud identity": _deployed(serviceAccountConfig={"annotations": {"eks.amazonaws.com/role-arn": "x"}}),
    "a variable": _deployed(env=[{"name": "HTTPS_PROXY", "value": "http://evil.example"}]),
    "a secret in a variable": _deployed(
        env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "any", "key": "token"}}}]
    ),
    "the host's files": _deployed(volumes=[{"name": "x", "hostPath": {"path": "/"}}]),
    "a secret's files": _deployed(volumes=[{"name": "x", "secret": {"secretName": "any"}}]),
    "a token of any audience": _deployed(
        volumes=[{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]
    ),
    "a mount": _deployed(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
    "another container": _deployed(extraContainers=[{"name": "x", "image": "evil.example/x"}]),
    "a privileged container": _deployed(securityContext={"privileged": True}),
    "a root pod": _deployed(podSecurityContext={"runAsUser": 0}),
    "a pull secret": _deployed(imagePullSecrets=[{"name": "any"}]),
    "another registry": _deployed(imageRegistry="evil.example"),
    "a pull policy": _deployed(imagePullPolicy="Never"),
    "a toleration": _deployed(tolerations=[{"operator": "Exists"}]),
    "a node": _deployed(nodeSelector={"node-role.kubernetes.io/control-plane": ""}),
    "an affinity": _deployed(affinity={"nodeAffinity": {}}),
    "many replicas": _deployed(replicas=100),
    "much memory": _deployed(resources={"limits": {"memory": "1Ti"}}),
    "a pod's label": _deployed(labels={"azure.workload.identity/use": "true"}),
    "a pod's annotation": _deployed(annotations={"x": "y"}),
    "a deployment of nothing": {DEPLOYMENT: {}},
}
OWN_CODE: dict[str, Changes] = {
    "an image of one's own": {
        "spec.type": "BYO",
        "spec.declarative": None,
        "spec.byo": {"deployment": {"image": "evil.example/x", "cmd": "sh", "args": ["-c", "x"]}},
    },
    "an image by its digest, and nothing else": {
        "spec.type": "BYO",
        "spec.declarative": None,
        "spec.byo": {"deployment": {"image": f"registry.example/acme/agent@sha256:{'0' * 64}"}},
    },
    "an image beside it": {"spec.byo": {"deployment": {"image": "evil.example/x"}}},
    "skills": {f"{SKILLS}.refs": ["evil.example/skill"]},
    "skills from git": {f"{SKILLS}.gitRefs": [{"url": "https://evil.example/x.git"}]},
    "a git secret": {f"{SKILLS}.gitAuthSecretRef": {"name": "any"}},
    "an unverified registry": {f"{SKILLS}.insecureSkipVerify": True},
    "a skill's pull secret": {f"{SKILLS}.imagePullSecrets": [{"name": "any"}]},
    "a skill's container": {f"{SKILLS}.initContainer": {"env": [{"name": "X", "value": "y"}]}},
    "skills of nothing": {SKILLS: {}},
    "code blocks": {"spec.declarative.executeCodeBlocks": True},
    "code blocks switched off": {"spec.declarative.executeCodeBlocks": False},
    "the network's domains": {"spec.sandbox": {"network": {"allowedDomains": ["*"]}}},
    "use by all namespaces": {"spec.allowedNamespaces": {"from": "All"}},
}
WORDS: dict[str, Changes] = {
    "a secret as prompt": {"spec.declarative.systemMessage": None, "spec.declarative.systemMessageFrom": SECRET},
    "a prompt template": {"spec.declarative.promptTemplate": {"dataSources": [{"kind": "ConfigMap", "name": "any"}]}},
    "no prompt": {"spec.declarative.systemMessage": None},
    "an empty prompt": {"spec.declarative.systemMessage": ""},
    "no model": {"spec.declarative.modelConfig": None},
    "an empty model": {"spec.declarative.modelConfig": ""},
    "memory": {"spec.declarative.memory": {"modelConfig": "other"}},
    "a summarizer": {"spec.declarative.context": {"compaction": {"summarizer": {"modelConfig": "other"}}}},
    "a skill's examples": {"spec.declarative.a2aConfig": {"skills": [{"name": "x", "examples": ["y"]}]}},
}
TOOLING: dict[str, Changes] = {
    "a secret to a server": _tool_with(headersFrom=[{"name": "Authorization", "valueFrom": SECRET}]),
    "a header": _tool_with(headersFrom=[{"name": "X-Agentspawn-Token", "value": "x"}]),
    "the caller's headers": _armed(allowedHeaders=["authorization"]),
    "another namespace": _armed(namespace="agents"),
    "the same namespace, named": _armed(namespace="subagents"),
    "an MCPServer": _armed(kind="MCPServer"),
    "a Service": _armed(kind="Service", apiGroup=""),
    "no kind": _armed(kind=None),
    "no group": _armed(apiGroup=None),
    "another group": _armed(apiGroup="evil.example"),
    "no server": _armed(name=""),
    "all tools": _armed(toolNames=None),
    "no tools, which is all": _armed(toolNames=[]),
    "a tool without a name": _armed(toolNames=["search", ""]),
    "another agent": {TOOLS: [{"type": "Agent", "agent": {"name": "k8s-agent", "namespace": "kagent"}}]},
    "another agent, here": {TOOLS: [{"type": "Agent", "agent": {"name": "sub-other"}}]},
}
METADATA: dict[str, Changes] = {
    "a made-up owner": {
        "metadata.ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "00000000-0000-0000-0000-000000000000"}
        ]
    },
    "a finalizer": {"metadata.finalizers": ["example.com/never"]},
    "a foreign label": {"metadata.labels.app": "kagent"},
    "a foreign annotation": {"metadata.annotations.eks~amazonaws~com/role-arn": "x"},
    "a label that looks like ours": {"metadata.labels.agentspawn~dev~evil/x": "y"},
    "no lifetime": {"metadata.annotations.agentspawn~dev/lifetime": None},
    "a lifetime of nothing": {"metadata.annotations.agentspawn~dev/lifetime": "0"},
    "a lifetime of a day and a second": {"metadata.annotations.agentspawn~dev/lifetime": "86401"},
    "a lifetime beyond numbers": {"metadata.annotations.agentspawn~dev/lifetime": "9" * 30},
    "a lifetime in words": {"metadata.annotations.agentspawn~dev/lifetime": "1h"},
    "no depth": {"metadata.annotations.agentspawn~dev/depth": None},
    "an empty depth": {"metadata.annotations.agentspawn~dev/depth": ""},
    "a third generation": {"metadata.annotations.agentspawn~dev/depth": "3"},
    "a depth below nothing": {"metadata.annotations.agentspawn~dev/depth": "-1"},
    "a depth that looks like one": {"metadata.annotations.agentspawn~dev/depth": "01"},
}
FIELDS: dict[str, Changes] = POD | OWN_CODE | WORDS | TOOLING | METADATA
SINCE_0_10: dict[str, Changes] = {
    "variables from a secret": _deployed(envFrom=[{"secretRef": {"name": "any"}}]),
    "a deployment's annotation": _deployed(deploymentAnnotations={"x": "y"}),
    "skills from a bucket": {f"{SKILLS}.s3Refs": [{"uri": "s3://evil/x"}]},
    "shared tools": {"spec.declarative.shareTools": True},
    "an icon": {"spec.iconUrl": "https://evil.example/x"},
    "documentation": {"spec.documentationUrl": "https://evil.example/x"},
    "a version": {"spec.version": "1"},
    "a provider": {"spec.provider": {"organization": "x", "url": "https://evil.example"}},
    "an isolated agent": {
        TOOLS: [{"type": "Agent", "agent": {"name": "sub-other"}, "isolateSessions": True}],
    },
}
NAMES = ["default", "kagent-tools", "sub-", "sub-1", "sub-UP", "sub-a.b", "sub-a-", "sub-" + "a" * 37, "sup-test"]


def _header(**changes: Any) -> Callable[[Manifest], Manifest]:
    """Change the one header of a subagent with depth left; None takes a field of it away."""
    return lambda agent: _held(agent, headersFrom=[_without_none({**_own(agent), **changes})])


def _source(**changes: Any) -> Callable[[Manifest], Manifest]:
    """Change where that header comes from."""
    return lambda agent: _held(agent, headersFrom=[{**_own(agent), "valueFrom": {**_credential(agent), **changes}}])


def _credential(agent: Manifest) -> Manifest:
    return credential_of(agent["metadata"]["name"])


def _own(agent: Manifest) -> Manifest:
    return {"name": "X-Agentspawn-Token", "valueFrom": _credential(agent)}


def _held(agent: Manifest, /, **changes: Any) -> Manifest:
    changed = copy.deepcopy(agent)
    tools = changed["spec"]["declarative"]["tools"]
    tools[-1] = _without_none({**tools[-1], **changes})
    return changed


def _also(agent: Manifest, *tools: Manifest) -> Manifest:
    changed = copy.deepcopy(agent)
    changed["spec"]["declarative"]["tools"] += tools
    return changed


def _without_none(fields: Manifest) -> Manifest:
    return {key: value for key, value in fields.items() if value is not None}


HEADERS: dict[str, Callable[[Manifest], Manifest]] = {
    "another secret": _source(name="any"),
    "another agent's secret": _source(name="sub-test-other-agentspawn"),
    "its kagent secret": lambda agent: _source(name=agent["metadata"]["name"])(agent),
    "another key": _source(key="password"),
    "a config map": _source(type="ConfigMap"),
    "another header": _header(name="Authorization"),
    "the header in another case": _header(name="x-agentspawn-token"),
    "a value": _header(value="x", valueFrom=None),
    "two headers": lambda agent: _held(agent, headersFrom=[_own(agent)] * 2),
    "another header beside it": lambda agent: _held(
        agent, headersFrom=[_own(agent), {**_own(agent), "name": "Authorization"}]
    ),
    "no header": lambda agent: _held(agent, headersFrom=[]),
    "no header at all": lambda agent: _held(agent, headersFrom=None),
    "its credential to another server": lambda agent: _also(agent, {**tool("other"), "headersFrom": [_own(agent)]}),
    "an empty list to another server": lambda agent: _held(agent, **tool("web-search"), headersFrom=[]),
    "this server twice": lambda agent: _also(agent, agent["spec"]["declarative"]["tools"][-1]),
    "this server twice, bare": lambda agent: _also(agent, tool("agentspawn")),
    "a server of another kind": lambda agent: _held(agent, **tool("agentspawn", kind="MCPServer")),
}

"""Looks whether the policies that no canary can try are there, fail closed, and deny where they should."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import Resource
from mcp_agentspawn.core.errors import Missing, Upstream
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import DEFAULT_HOME, SYSTEM_NAMESPACE
from mcp_agentspawn.core.switches import EVERYWHERE

KNOWN_SECONDS = 5.0
MOST_OBJECTS = 1024
GROUP, VERSION = "admissionregistration.k8s.io", "v1"
POLICIES = Resource(GROUP, VERSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
BINDINGS = Resource(GROUP, VERSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")
OF_OUR_KINDS = ("agentspawn-answers", "agentspawn-approvals", "agentspawn-own", "agentspawn-people")
KIN, RESERVED, FREEZE = "agentspawn-kin", "agentspawn-reserved", "agentspawn-freeze"
QUARANTINE = "agentspawn-quarantine"
OF_HOMES = {KIN: KIN, RESERVED: RESERVED, QUARANTINE: QUARANTINE, f"{FREEZE}-{EVERYWHERE}": FREEZE}
"""The bindings that a namespace of subagents has, each with its policy. By every other freeze the canary is refused."""
EVERYWHERE_BY_NAME = {"namespace": SYSTEM_NAMESPACE, "name": EVERYWHERE, "parameterNotFoundAction": "Deny"}
NAME = "kubernetes.io/metadata.name"


class _Bound(NamedTuple):
    policy: str
    binding: str
    namespace: str


class Policies:
    """What is known is at most 5 seconds old: a probe asks often, and policies change seldom."""

    def __init__(self, client: Client, roots: Iterable[Root], clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._bound = list(dict.fromkeys(_all_bound(roots)))
        self._known = Answers[str, str](KNOWN_SECONDS, MOST_OBJECTS, clock)

    async def problems(self) -> Sequence[str]:
        """What is missing or weakened, one sentence each. Never raises an `Upstream` error."""
        asked = [self._policy(policy) for policy in (*OF_OUR_KINDS, *OF_HOMES.values())]
        asked += [self._binding(bound) for bound in self._bound]
        return [problem for problem in await asyncio.gather(*asked) if problem]

    async def _policy(self, name: str) -> str:
        return await self._look(POLICIES, name, _weakness_of_policy)

    async def _binding(self, bound: _Bound) -> str:
        return await self._look(BINDINGS, bound.binding, lambda binding: _weakness_of_binding(binding, bound))

    async def _look(self, resource: Resource, name: str, weakness: Callable[[Mapping[str, Any]], str]) -> str:
        path = resource.item("", name)

        async def look() -> str:
            try:
                problem = read(weakness, await self._client.request("GET", path, as_=SERVER))
            except Missing:
                problem = "is not there"
            except Upstream as error:
                problem = f"can not be looked at: {error}"
            return problem and f"{resource.kind} {name}: {problem}"

        return await self._known.get(path, look)


def binding_name(first: str, namespace: str) -> str:
    """How deploy/ and `agentspawn manifests` call for a namespace what is `first` for the first one of subagents."""
    return first if namespace == DEFAULT_HOME else f"{first}-{namespace}"


def _all_bound(roots: Iterable[Root]) -> Iterator[_Bound]:
    """Ours everywhere, those of each namespace of subagents, and `kin` where credentials of orchestrators lie."""
    for policy in OF_OUR_KINDS:
        yield _Bound(policy, policy, SYSTEM_NAMESPACE)
    for root in roots:
        for first, policy in OF_HOMES.items():
            yield _Bound(policy, binding_name(first, root.home), root.home)
        yield _Bound(KIN, binding_name(KIN, root.namespace), root.namespace)


def _weakness_of_policy(policy: Mapping[str, Any]) -> str:
    return "" if policy["spec"].get("failurePolicy") == "Fail" else "lets pass what it can not judge"


def _weakness_of_binding(binding: Mapping[str, Any], bound: _Bound) -> str:
    spec = binding["spec"]
    if spec["policyName"] != bound.policy:
        return f"does not bind {bound.policy}"
    if "Deny" not in spec["validationActions"]:
        return "does not deny"
    if bound.policy == FREEZE and spec.get("paramRef") != EVERYWHERE_BY_NAME:
        return f"does not refuse without {EVERYWHERE}"
    return "" if _reaches(spec.get("matchResources", {}), bound.namespace) else f"does not reach {bound.namespace}"


def _reaches(resources: Mapping[str, Any], namespace: str) -> bool:
    """Whether what it says about namespaces' names includes this one; other labels are not looked at."""
    selector = resources.get("namespaceSelector", {})
    expressions = [item for item in selector.get("matchExpressions", []) if item["key"] == NAME]
    named = selector.get("matchLabels", {}).get(NAME, namespace)
    return named == namespace and all(_includes(item, namespace) for item in expressions)


def _includes(expression: Mapping[str, Any], namespace: str) -> bool:
    match expression["operator"]:
        case "In":
            return namespace in expression["values"]
        case "NotIn":
            return namespace not in expression["values"]
        case operator:
            return bool(operator == "Exists")

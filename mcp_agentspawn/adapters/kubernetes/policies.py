"""Looks whether the policies that no canary can try are there, fail closed, and deny where they should."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import Resource
from mcp_agentspawn.core.errors import Missing, Upstream
from mcp_agentspawn.core.names import DEFAULT_HOME, SYSTEM_NAMESPACE

KNOWN_SECONDS = 5.0
MOST_OBJECTS = 1024
GROUP, VERSION = "admissionregistration.k8s.io", "v1"
POLICIES = Resource(GROUP, VERSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
BINDINGS = Resource(GROUP, VERSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")
OF_OUR_KINDS = ("agentspawn-approvals", "agentspawn-own", "agentspawn-people")
OF_HOMES = ("agentspawn-kin", "agentspawn-reserved")
NAME = "kubernetes.io/metadata.name"


class _Bound(NamedTuple):
    policy: str
    binding: str
    namespace: str


class Policies:
    """What is known is at most 5 seconds old: a probe asks often, and policies change seldom."""

    def __init__(self, client: Client, homes: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._bound = [_Bound(policy, policy, SYSTEM_NAMESPACE) for policy in OF_OUR_KINDS]
        self._bound += [_Bound(policy, binding_name(policy, home), home) for policy in OF_HOMES for home in homes]
        self._known = Answers[str, str](KNOWN_SECONDS, MOST_OBJECTS, clock)

    async def problems(self) -> Sequence[str]:
        """What is missing or weakened, one sentence each. Never raises an `Upstream` error."""
        asked = [self._policy(policy) for policy in (*OF_OUR_KINDS, *OF_HOMES)]
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


def binding_name(policy: str, home: str) -> str:
    """How deploy/ and `agentspawn manifests` call the binding of a policy to a namespace of subagents."""
    return policy if home == DEFAULT_HOME else f"{policy}-{home}"


def _weakness_of_policy(policy: Mapping[str, Any]) -> str:
    return "" if policy["spec"].get("failurePolicy") == "Fail" else "lets pass what it can not judge"


def _weakness_of_binding(binding: Mapping[str, Any], bound: _Bound) -> str:
    spec = binding["spec"]
    if spec["policyName"] != bound.policy:
        return f"does not bind {bound.policy}"
    if "Deny" not in spec["validationActions"]:
        return "does not deny"
    return "" if _reaches(spec.get("matchResources", {}), bound.namespace) else f"does not reach {bound.namespace}"


def _reaches(resources: Mapping[str, Any], namespace: str) -> bool:
    """Whether what it says about namespaces' names includes this one; a list of other labels is not looked at."""
    expressions = resources.get("namespaceSelector", {}).get("matchExpressions", [])
    named = [item["values"] for item in expressions if (item["key"], item["operator"]) == (NAME, "In")]
    return all(namespace in values for values in named)

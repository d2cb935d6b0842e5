"""What NetworkPolicies say of a subagent's pod, and what is to be written so that none lets it through.

They only ever add: what one allows, no other takes away. So each policy of ours that allows something leaves out the
agents that its expression `kagent NotIn [nobody, …]` names.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mcp_agentspawn.adapters.kubernetes.resources import AGENTS, NETWORK_POLICIES
from mcp_agentspawn.core.model import Subagent
from mcp_agentspawn.core.names import GROUP

Policy = Mapping[str, Any]

QUARANTINE = f"{GROUP}/quarantine"
"""The label of a policy that cuts an agent off: the agent's id."""
OURS = {"app.kubernetes.io/part-of": "agentspawn"}
POD_LABEL = "kagent"
PREFIX = "sub-"
"""How the ids of subagents begin; whatever else an expression names is an operator's."""
NOBODY = "nobody"
"""What an expression names that names no agent: Kubernetes takes no empty one."""
MOST_EXCLUDED = 200


class Write(NamedTuple):
    """One request about one policy: POST, PUT or DELETE."""

    method: str
    name: str
    body: Mapping[str, Any]


def cutting(policies: Iterable[Policy], agent: str, owner: Mapping[str, Any]) -> Sequence[Write]:
    """What is left to write until this agent is cut off, in this order; `owner` is its Agent, see `owner_of`."""
    listed = list(policies)
    writes = [
        _naming(policy, [*_named_by(policy), agent])
        for policy in listed
        if _is_adjustable(policy) and agent not in _named_by(policy) and _has_room(policy)
    ]
    record = next((policy for policy in listed if _agent_of(policy) == agent), None)
    if record is None:
        return [*writes, Write("POST", _record_name(agent), _record(agent, owner))]
    return writes if _uid_of(record) == owner["uid"] else [*writes, _removal(record)]


def lifting(policies: Iterable[Policy], agent: str, running: Collection[str] = ()) -> Sequence[Write]:
    """What is left to write until nothing cuts this agent off.

    Others that are left out, without a record and not among the `running`, are forgotten with it.
    """
    listed = list(policies)
    kept = ({_agent_of(policy) for policy in listed} | {*running}) - {agent}
    writes = []
    for policy in filter(_is_adjustable, listed):
        named = _named_by(policy)
        left = [name for name in named if not name.startswith(PREFIX) or name in kept]
        writes += [_naming(policy, left or [NOBODY])] if left != named else []
    return [*writes, *(_removal(policy) for policy in listed if _agent_of(policy) == agent)]


def over(policies: Iterable[Policy], agent: str) -> Sequence[str]:
    """This agent, and all others that are left out although no record says that they are cut off."""
    listed = list(policies)
    named = {name for policy in listed if _is_adjustable(policy) for name in _named_by(policy)}
    recorded = {_agent_of(policy) for policy in listed}
    return sorted({agent, *(name for name in named - recorded if name.startswith(PREFIX))})


def standing(policies: Iterable[Policy]) -> Mapping[str, str]:
    """The agents that are cut off with nothing left to write, by id, with their uids."""
    listed = list(policies)
    recorded = {_agent_of(policy): _uid_of(policy) for policy in listed if _agent_of(policy)}
    return {agent: uid for agent, uid in recorded.items() if not cutting(listed, agent, {"uid": uid})}


def holes(policies: Iterable[Policy], agent: str) -> Sequence[str]:
    """The names of the policies that let something through to this agent's pod, or from it."""
    return [policy["metadata"]["name"] for policy in policies if _allows(policy) and _may_select(policy, agent)]


def owner_of(agent: Subagent) -> Mapping[str, Any]:
    """Its Agent as the owner of an object, which goes when it goes and does not keep it."""
    return {
        "apiVersion": AGENTS.served_as,
        "kind": AGENTS.kind,
        "name": agent.id,
        "uid": agent.uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }


def _record_name(agent: str) -> str:
    return f"{agent}-quarantine"


def _record(agent: str, owner: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": _record_name(agent), "labels": {**OURS, QUARANTINE: agent}, "ownerReferences": [dict(owner)]}
    selector = {"matchLabels": {POD_LABEL: agent}}
    return NETWORK_POLICIES.object(metadata, spec={"podSelector": selector, "policyTypes": ["Ingress", "Egress"]})


def _agent_of(policy: Policy) -> str:
    """The agent that this policy was written to cut off; `""` for every other policy."""
    agent = str(_labels(policy).get(QUARANTINE, ""))
    return agent if policy["metadata"]["name"] == _record_name(agent) else ""


def _uid_of(policy: Policy) -> str:
    owners = policy["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner["kind"] == AGENTS.kind), "")


def _removal(policy: Policy) -> Write:
    return Write("DELETE", policy["metadata"]["name"], {"preconditions": {"uid": policy["metadata"]["uid"]}})


def _naming(policy: Policy, agents: Sequence[str]) -> Write:
    """The same policy, which leaves these out."""
    spec, selector = policy["spec"], policy["spec"]["podSelector"]
    expressions = [
        {**expression, "values": list(agents)} if _leaves_out(expression) else expression
        for expression in selector["matchExpressions"]
    ]
    changed = {**spec, "podSelector": {**selector, "matchExpressions": expressions}}
    return Write("PUT", policy["metadata"]["name"], NETWORK_POLICIES.object(dict(policy["metadata"]), spec=changed))


def _named_by(policy: Policy) -> list[str]:
    return [name for expression in _expressions(policy) if _leaves_out(expression) for name in expression["values"]]


def _has_room(policy: Policy) -> bool:
    return sum(name.startswith(PREFIX) for name in _named_by(policy)) < MOST_EXCLUDED


def _is_adjustable(policy: Policy) -> bool:
    marked = OURS.items() <= _labels(policy).items()
    return marked and _allows(policy) and sum(map(_leaves_out, _expressions(policy))) == 1


def _allows(policy: Policy) -> bool:
    return bool(policy["spec"].get("ingress") or policy["spec"].get("egress"))


def _leaves_out(expression: Mapping[str, Any]) -> bool:
    return (expression["key"], expression["operator"]) == (POD_LABEL, "NotIn")


def _may_select(policy: Policy, agent: str) -> bool:
    """Whether it selects the agent's pod. Labels that kagent does not write may be there or not, with any value."""
    pod = {
        "app": "kagent",
        POD_LABEL: agent,
        "app.kubernetes.io/name": agent,
        "app.kubernetes.io/managed-by": "kagent",
        "app.kubernetes.io/part-of": "kagent",
    }
    equal = (policy["spec"].get("podSelector") or {}).get("matchLabels") or {}
    return all(pod.get(key, value) == value for key, value in equal.items()) and all(
        _may_match(expression, pod) for expression in _expressions(policy)
    )


def _may_match(expression: Mapping[str, Any], pod: Mapping[str, str]) -> bool:
    value = pod.get(expression["key"])
    if value is None:
        return True
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case operator:
            return bool(operator != "DoesNotExist")


def _expressions(policy: Policy) -> Sequence[Mapping[str, Any]]:
    return (policy["spec"].get("podSelector") or {}).get("matchExpressions") or ()


def _labels(policy: Policy) -> Mapping[str, str]:
    return policy["metadata"].get("labels") or {}

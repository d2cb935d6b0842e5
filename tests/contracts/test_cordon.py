"""A subagent that is cut off: nothing reaches it, it reaches nothing, and everybody else goes on as before."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes.network_policies import MOST_EXCLUDED
from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.model import Subagent
from tests.contracts.stages import KubernetesStage, Stage, fresh, manifest
from tests.faults.cluster import HOME
from tests.localplane.waiting import until

POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{HOME}/networkpolicies"
PODS = f"/api/v1/namespaces/{HOME}/pods"
SERVER_PUTS = ("resourceVersion", "generation", "managedFields")
Policy = Mapping[str, Any]


async def make(stage: Stage) -> Subagent:
    id_ = fresh()
    return await stage.world.agents.create(stage.root, id_, manifest(stage.root, id_))


def pod_of(agent: str, **more: str) -> dict[str, str]:
    """The labels that kagent gives to an agent's pod, and what comes on top of them."""
    return {
        "app": "kagent",
        "kagent": agent,
        "app.kubernetes.io/name": agent,
        "app.kubernetes.io/managed-by": "kagent",
        "app.kubernetes.io/part-of": "kagent",
        "pod-template-hash": "5d8f",
        **more,
    }


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects, as Kubernetes says: an absent label is not in anything."""
    of: dict[str, Any] = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    return equal and all(
        of[said["operator"]](said["key"], said.get("values")) for said in selector.get("matchExpressions", [])
    )


def lets_through(policies: Sequence[Policy], labels: Mapping[str, str]) -> list[str]:
    """The policies that allow a pod anything; policies only ever add up."""
    return [
        policy["metadata"]["name"]
        for policy in policies
        if selects(policy["spec"]["podSelector"], labels) and {"ingress", "egress"} & {*policy["spec"]}
    ]


def isolated(policies: Sequence[Policy], labels: Mapping[str, str]) -> set[str]:
    """In which directions nothing passes but what a policy allows."""
    selecting = [policy["spec"] for policy in policies if selects(policy["spec"]["podSelector"], labels)]
    return {direction for spec in selecting for direction in spec["policyTypes"]}


def as_written(policies: Sequence[Policy]) -> dict[str, Policy]:
    """The policies without what changes with every write."""
    return {
        policy["metadata"]["name"]: {
            **policy,
            "metadata": {key: value for key, value in policy["metadata"].items() if key not in SERVER_PUTS},
        }
        for policy in policies
    }


class Fence:
    """The network policies of the subagents' namespace, as an administrator sees and makes them."""

    def __init__(self, stage: KubernetesStage) -> None:
        self.stage = stage
        self.cordon = stage.world.cordon
        self.names: list[str] = []

    async def policies(self) -> list[Policy]:
        found = await self.stage.cluster.get(POLICIES)
        assert found is not None
        return list(found["items"])

    async def put(self, selector: Mapping[str, Any], *, labels: Mapping[str, str] | None = None, **rules: Any) -> str:
        """Have an operator make a policy that allows something."""
        name = fresh("operators")
        spec = {"podSelector": selector, "policyTypes": ["Egress"], "egress": [{}], **rules}
        body = {"metadata": {"name": name, "labels": dict(labels or {})}, "spec": spec}
        async with self.stage.cluster.admin.post(POLICIES, json=body) as response:
            assert response.status == 201, await response.text()
        self.names.append(name)
        return name

    async def run(self, agent: str) -> None:
        """Have a pod of an agent there, as kagent's controller would; no node runs it."""
        metadata = {"name": agent, "labels": pod_of(agent)}
        body = {"metadata": metadata, "spec": {"containers": [{"name": "kagent", "image": "x"}]}}
        async with self.stage.cluster.admin.post(PODS, json=body) as response:
            assert response.status == 201, await response.text()

    async def tidy(self) -> None:
        for name in self.names:
            await self.stage.cluster.remove(f"{POLICIES}/{name}")


@pytest_asyncio.fixture
async def fence(kubernetes: KubernetesStage) -> AsyncIterator[Fence]:
    fence = Fence(kubernetes)
    yield fence
    await fence.tidy()
    for agent in await kubernetes.world.cordon.standing(HOME):
        await kubernetes.world.cordon.lift(HOME, agent)


async def test_who_is_cut_off_stands_there_with_its_uid(stage: Stage) -> None:
    agent, other = await make(stage), await make(stage)

    await stage.world.cordon.cut_off(agent)
    await stage.replica.cordon.cut_off(agent)

    assert dict(await stage.replica.cordon.standing(HOME)) == {agent.id: agent.uid}
    await stage.world.cordon.cut_off(other)
    await stage.world.cordon.lift(HOME, agent.id)
    assert dict(await stage.world.cordon.standing(HOME)) == {other.id: other.uid}
    await stage.world.cordon.lift(HOME, other.id)
    assert not await stage.world.cordon.standing(HOME)


async def test_what_does_not_stand_is_lifted_as_well(stage: Stage) -> None:
    await stage.world.cordon.lift(HOME, fresh())

    assert not await stage.world.cordon.standing(HOME)


async def test_nothing_that_allows_anything_selects_the_pod(fence: Fence) -> None:
    agent, other = await make(fence.stage), await make(fence.stage)
    before = lets_through(await fence.policies(), pod_of(agent.id))

    await fence.cordon.cut_off(agent)

    policies = await fence.policies()
    assert len(before) == 6
    assert lets_through(policies, pod_of(agent.id)) == []
    assert isolated(policies, pod_of(agent.id)) == {"Ingress", "Egress"}
    assert lets_through(policies, pod_of(other.id)) == before
    assert lets_through(policies, {"app": "an-operators"}) == before


async def test_without_default_deny_it_is_cut_off_as_well(fence: Fence) -> None:
    agent = await make(fence.stage)

    await fence.cordon.cut_off(agent)

    policies = [policy for policy in await fence.policies() if policy["metadata"]["name"] != "default-deny"]
    assert isolated(policies, pod_of(agent.id)) == {"Ingress", "Egress"}


async def test_afterwards_all_is_as_before(fence: Fence) -> None:
    before = as_written(await fence.policies())
    agents = [await make(fence.stage) for _ in range(3)]

    for agent in agents:
        await fence.cordon.cut_off(agent)
    for agent in (agents[1], agents[0], agents[2]):
        await fence.cordon.lift(HOME, agent.id)

    assert as_written(await fence.policies()) == before


async def test_two_replicas_cut_off_different_agents_at_once(fence: Fence) -> None:
    """Each writes on top of what the other one wrote."""
    agents = [await make(fence.stage) for _ in range(4)]
    cordons = [fence.stage.world.cordon, fence.stage.replica.cordon] * 2

    await asyncio.gather(*(cordon.cut_off(agent) for cordon, agent in zip(cordons, agents, strict=True)))

    policies = await fence.policies()
    assert [lets_through(policies, pod_of(agent.id)) for agent in agents] == [[]] * 4


async def test_one_replica_cuts_off_as_many_at_once_as_there_are(fence: Fence) -> None:
    agents = [await make(fence.stage) for _ in range(12)]

    await asyncio.gather(*(fence.cordon.cut_off(agent) for agent in agents))

    assert set(await fence.cordon.standing(HOME)) >= {agent.id for agent in agents}


async def test_what_cuts_it_off_goes_with_its_agent_and_lifting_clears_the_rest(fence: Fence) -> None:
    before = as_written(await fence.policies())
    agent = await make(fence.stage)
    await fence.cordon.cut_off(agent)
    await fence.stage.world.agents.delete(fence.stage.root, agent.id, agent.uid)

    async def gone() -> bool:
        return f"{agent.id}-quarantine" not in as_written(await fence.policies())

    await until(gone)
    assert lets_through(await fence.policies(), pod_of(agent.id)) == []
    assert not await fence.cordon.standing(HOME)
    await fence.cordon.lift(HOME, agent.id)
    assert as_written(await fence.policies()) == before


async def test_as_long_as_its_pod_is_there_it_stays_cut_off(fence: Fence) -> None:
    """A pod that is asked to end may run on for half a minute, and its Agent is gone before it."""
    agent, other = await make(fence.stage), await make(fence.stage)
    await fence.cordon.cut_off(agent)
    await fence.cordon.cut_off(other)
    await fence.run(agent.id)
    await fence.stage.world.agents.delete(fence.stage.root, agent.id, agent.uid)

    with pytest.raises(Unavailable):
        await fence.cordon.lift(HOME, agent.id)
    await fence.cordon.lift(HOME, other.id)

    assert lets_through(await fence.policies(), pod_of(agent.id)) == []
    assert lets_through(await fence.policies(), pod_of(other.id)) != []
    await fence.stage.cluster.remove(f"{PODS}/{agent.id}")
    await fence.cordon.lift(HOME, agent.id)
    assert lets_through(await fence.policies(), pod_of(agent.id)) != []


async def test_one_of_that_name_that_is_another_agent_does_not_count(fence: Fence) -> None:
    agent = await make(fence.stage)
    await fence.cordon.cut_off(agent)
    await fence.stage.world.agents.delete(fence.stage.root, agent.id, agent.uid)
    again = await fence.stage.world.agents.create(fence.stage.root, agent.id, manifest(fence.stage.root, agent.id))

    await fence.cordon.cut_off(again)

    assert dict(await fence.cordon.standing(HOME)) == {again.id: again.uid}


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        ({}, {}),
        ({}, {"app.kubernetes.io/part-of": "agentspawn"}),
        ({"matchLabels": {"app": "kagent"}}, {}),
        ({"matchLabels": {"a-webhooks": "label"}}, {}),
        ({"matchExpressions": [{"key": "kagent", "operator": "Exists"}]}, {}),
        ({"matchExpressions": [{"key": "kagent", "operator": "NotIn", "values": ["nobody"]}]}, {}),
        ({"matchExpressions": [{"key": "pod-template-hash", "operator": "NotIn", "values": ["x"]}]}, {}),
    ],
    ids=str,
)
async def test_an_operators_own_way_through_is_told_after_all_else_was_done(
    fence: Fence, selector: dict[str, Any], labels: dict[str, str]
) -> None:
    agent = await make(fence.stage)
    own = await fence.put(selector, labels=labels)

    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            await fence.cordon.cut_off(agent)
        assert refusal.value.code == "cordon.incomplete"
        assert own in refusal.value.message

    assert set(lets_through(await fence.policies(), pod_of(agent.id, **{"a-webhooks": "label"}))) == {own}
    assert dict(await fence.cordon.standing(HOME)) == {agent.id: agent.uid}


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "an-operators"}},
        {"matchLabels": {"kagent": "sub-another"}},
        {"matchExpressions": [{"key": "kagent", "operator": "In", "values": ["sub-another"]}]},
        {"matchExpressions": [{"key": "kagent", "operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["kagent"]}]},
    ],
    ids=str,
)
async def test_what_is_for_other_pods_is_left_alone(fence: Fence, selector: dict[str, Any]) -> None:
    agent = await make(fence.stage)
    own = await fence.put(selector)
    before = as_written(await fence.policies())[own]

    await fence.cordon.cut_off(agent)

    assert as_written(await fence.policies())[own] == before


async def test_an_operators_own_that_is_marked_as_ours_is_adjusted_and_given_back(fence: Fence) -> None:
    agent = await make(fence.stage)
    expressions: list[dict[str, Any]] = [
        {"key": "app", "operator": "Exists"},
        {"key": "kagent", "operator": "NotIn", "values": ["nobody", "an-operators"]},
    ]
    own = await fence.put({"matchExpressions": expressions}, labels={"app.kubernetes.io/part-of": "agentspawn"})
    before = as_written(await fence.policies())[own]

    await fence.cordon.cut_off(agent)

    changed = as_written(await fence.policies())[own]["spec"]["podSelector"]["matchExpressions"]
    assert changed == [expressions[0], {**expressions[1], "values": ["nobody", "an-operators", agent.id]}]
    await fence.cordon.lift(HOME, agent.id)
    assert as_written(await fence.policies())[own] == before


async def test_a_policy_leaves_out_so_many_and_no_more(fence: Fence) -> None:
    agent = await make(fence.stage)
    many = [f"sub-gone-{number}" for number in range(MOST_EXCLUDED)]
    full = {"matchExpressions": [{"key": "kagent", "operator": "NotIn", "values": ["nobody", *many]}]}
    own = await fence.put(full, labels={"app.kubernetes.io/part-of": "agentspawn"})

    with pytest.raises(Refused) as refusal:
        await fence.cordon.cut_off(agent)

    assert refusal.value.message.count(own) == 1
    assert dict(await fence.cordon.standing(HOME)) == {agent.id: agent.uid}
    await fence.cordon.lift(HOME, agent.id)
    await fence.cordon.cut_off(agent)
    assert lets_through(await fence.policies(), pod_of(agent.id)) == []


async def test_policies_that_were_put_back_no_longer_count(fence: Fence) -> None:
    """As when deploy/ is applied once more: nobody is left out, and the next pass of repair finds it."""
    agent = await make(fence.stage)
    await fence.cordon.cut_off(agent)
    nobody = {"matchExpressions": [{"key": "kagent", "operator": "NotIn", "values": ["nobody"]}]}
    await fence.stage.cluster.patch(f"{POLICIES}/to-models", {"spec": {"podSelector": nobody}})

    standing = dict(await fence.cordon.standing(HOME))
    await fence.cordon.cut_off(agent)

    assert standing == {}
    assert dict(await fence.cordon.standing(HOME)) == {agent.id: agent.uid}
    assert lets_through(await fence.policies(), pod_of(agent.id)) == []


async def test_nothing_is_cut_off_that_is_no_subagent(fence: Fence) -> None:
    operators = replace(await make(fence.stage), id="operators-own")

    with pytest.raises(Refused):
        await fence.cordon.cut_off(operators)

    assert lets_through(await fence.policies(), pod_of("operators-own")) != []
    assert not await fence.cordon.standing(HOME)

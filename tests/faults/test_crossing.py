"""Steps of two writers that cross: what one of them saw is no longer so when it acts."""

import asyncio

import pytest

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations import retire as retiring
from mcp_agentspawn.operations.answers import Answer, Applied, Refusal
from tests.faults import proxy as faults
from tests.faults.cluster import AGENTS, HOME, Cluster
from tests.faults.paths import CREATE_AGENT, change_of_ledger, ledger_holds, mark_of
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica, start
from tests.faults.stopping import paused_before_create
from tests.localplane.waiting import until

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


async def test_an_apply_that_read_its_proposal_before_it_was_spent_reserves_nothing(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal = await replica.propose()
    reserve = proxy.on(*change_of_ledger(root), faults.hold)
    paused = asyncio.create_task(replica.applied(proposal))
    await reserve.arrived()
    await other.retire((await other.apply(proposal)).agent)
    reserve.release()
    assert _codes(await paused) == ["proposal.spent"]
    assert (await cluster.ledger_of(root))["spawned"] == 1
    assert await ledger_holds(cluster, root) == set()
    assert await cluster.agents_of(root) == []


async def test_an_agent_that_appears_while_its_reservation_is_fenced_keeps_its_slot_until_it_is_gone(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, applying = await paused_before_create(replica, proxy)
    applying.cancel()
    fence = proxy.on(*mark_of(proposal.proposal), faults.hold)
    repairing = asyncio.create_task(replica.later().repair())
    await fence.arrived()
    create.release()
    await create.over()
    fence.release()
    assert ("fence", proposal.proposal) not in await repairing
    assert len(await cluster.agents_of(root)) == 1
    assert await ledger_holds(cluster, root) == {proposal.proposal}
    assert ("remove", proposal.proposal) in await other.repair()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()


async def test_an_apply_that_is_refused_gives_back_its_own_reservation_and_not_a_later_one(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy
) -> None:
    proposal = await replica.propose()
    first = proxy.on(*CREATE_AGENT, faults.hold)
    refused = asyncio.create_task(replica.applied(proposal))
    await first.arrived()
    async with start(cluster, root, proxy) as overtaking:
        second = proxy.on(*CREATE_AGENT, faults.hold)
        later = asyncio.create_task(overtaking.applied(proposal))
        await second.arrived()
        await cluster.remove(f"{RBAC}/{HOME}/rolebindings/agentspawn-{root.account}")
        await until(lambda: _may_not_create(cluster, root))
        first.release()
        assert _codes(await refused) == ["access.forbidden.rbac"]
        assert await ledger_holds(cluster, root) == {proposal.proposal}
        second.release()
        assert _codes(await later) == ["access.forbidden.rbac"]
    assert await ledger_holds(cluster, root) == set()
    assert await cluster.agents_of(root) == []


async def test_an_agent_that_is_not_gone_yet_keeps_its_slot(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "GONE_WITHIN_SECONDS", 0.2)
    agent = await replica.apply(await replica.propose())
    await cluster.patch(f"{AGENTS}/{agent.agent}", {"metadata": {"finalizers": ["example.com/slow"]}})
    first = await replica.retire(agent.agent)
    assert (first.phase, first.not_yet) == ("retiring", (agent.agent,))
    assert await ledger_holds(cluster, root) == {agent.agent}
    await other.repair()
    assert await ledger_holds(cluster, root) == {agent.agent}
    await cluster.patch(f"{AGENTS}/{agent.agent}", {"metadata": {"finalizers": None}})
    assert (await other.retire(agent.agent)).phase == "retired"
    assert await ledger_holds(cluster, root) == set()


async def test_an_apply_of_an_agent_that_is_going_makes_no_other_and_frees_nothing(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, paused = await paused_before_create(replica, proxy)
    agent = await other.apply(proposal)
    await cluster.patch(f"{AGENTS}/{agent.agent}", {"metadata": {"finalizers": ["example.com/slow"]}})
    await cluster.remove(f"{AGENTS}/{agent.agent}")
    create.release()
    answer = await paused
    standing = await ledger_holds(cluster, root)
    await cluster.patch(f"{AGENTS}/{agent.agent}", {"metadata": {"finalizers": None}})
    assert not isinstance(answer, Applied)
    assert standing == {agent.agent}
    await other.services.later.settle()
    await other.repair()
    assert await ledger_holds(cluster, root) == set()


async def _may_not_create(cluster: Cluster, root: Root) -> bool:
    asked = {"verb": "create", "group": "kagent.dev", "resource": "agents", "namespace": HOME}
    review = {"spec": {"user": root.virtual_user, "resourceAttributes": asked}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    async with cluster.admin.post(path, json=review) as response:
        return not (await response.json())["status"]["allowed"]


def _codes(answer: Answer) -> list[str]:
    assert isinstance(answer, Refusal), answer
    return [reason.code for reason in answer.reasons]

"""The API server acted and nobody heard of it, or was never asked: the next call finds what is there."""

import pytest

from mcp_agentspawn.core.errors import UnknownOutcome
from mcp_agentspawn.core.model import Root
from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.paths import (
    CREATE_AGENT,
    DELETE_AGENT,
    LEDGERS,
    STORE_PROPOSAL,
    change_of_ledger,
    ledger_holds,
    mark_of,
    one_agent,
)
from tests.faults.proxy import Effect, FaultProxy
from tests.faults.replicas import Replica
from tests.localplane.waiting import until

LOSSES = [faults.cut_after, faults.gateway_timeout, faults.cut_before]


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_create_whose_answer_is_lost_keeps_its_slot_and_is_found_by_a_retry(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    proposal = await replica.propose()
    fault = proxy.on(*CREATE_AGENT, loss)
    with pytest.raises(UnknownOutcome):
        await replica.apply(proposal)
    await fault.over()
    assert await ledger_holds(cluster, root) == {proposal.proposal}
    standing = await cluster.agents_of(root)
    again = await replica.apply(proposal)
    assert [agent["metadata"]["uid"] for agent in standing] in ([], [again.uid])
    assert await one_agent(cluster, root) == (again.agent, again.uid)
    assert await ledger_holds(cluster, root) == {proposal.proposal}
    assert (await cluster.ledger_of(root))["spawned"] == 1


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_reservation_whose_answer_is_lost_is_made_once(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    proposal = await replica.propose()
    fault = proxy.on(*change_of_ledger(root), loss)
    agent = await replica.apply(proposal)
    await fault.over()
    assert await one_agent(cluster, root) == (agent.agent, agent.uid)
    assert (await cluster.ledger_of(root))["spawned"] == 1
    assert len((await cluster.ledger_of(root))["changes"]) == 2


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_roots_first_ledger_is_made_once(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    fault = proxy.on("POST", LEDGERS, loss)
    proposal = await replica.propose()
    await fault.over()
    opened = (await cluster.ledger_of(root))["open"].values()
    assert [entry["proposal"] for entry in opened] == [proposal.proposal]
    assert len((await cluster.ledger_of(root))["changes"]) == 1


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_proposal_whose_storing_was_lost_is_the_same_proposal_at_a_retry(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    fault = proxy.on(*STORE_PROPOSAL, loss)
    with pytest.raises(UnknownOutcome):
        await replica.propose()
    await fault.over()
    (opened,) = (await cluster.ledger_of(root))["open"].values()
    proposal = await replica.propose()
    assert proposal.proposal == opened["proposal"]
    assert [stored["metadata"]["name"] for stored in await cluster.proposals_of(root)] == [proposal.proposal]
    assert len((await cluster.ledger_of(root))["open"]) == 1


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_mark_that_is_lost_is_made_by_repair(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    proposal = await replica.propose()
    fault = proxy.on(*mark_of(proposal.proposal), loss)
    agent = await replica.apply(proposal)
    await replica.services.later.settle()
    await fault.over()
    assert replica.services.later.wanted.is_set()
    await replica.repair()
    assert await cluster.phase_of(proposal.proposal) == "starting"
    assert (await replica.apply(proposal)).uid == agent.uid
    assert await ledger_holds(cluster, root) == {proposal.proposal}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_delete_whose_answer_is_lost_keeps_the_slot_until_a_retry_sees_that_it_is_gone(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    agent = await replica.apply(await replica.propose())
    fault = proxy.on(*DELETE_AGENT, loss)
    with pytest.raises(UnknownOutcome):
        await replica.retire(agent.agent)
    await fault.over()
    assert await ledger_holds(cluster, root) == {agent.agent}
    assert (await replica.retire(agent.agent)).phase == "retired"
    assert await ledger_holds(cluster, root) == set()
    assert await cluster.agents_of(root) == []


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_release_whose_answer_is_lost_frees_the_slot_once(
    cluster: Cluster, root: Root, replica: Replica, proxy: FaultProxy, loss: Effect
) -> None:
    agent = await replica.apply(await replica.propose())
    fault = proxy.on(*change_of_ledger(root), loss)
    assert (await replica.retire(agent.agent)).phase == "retired"
    await fault.over()
    assert await ledger_holds(cluster, root) == set()
    await until(lambda: _is_retired(cluster, agent.agent))
    assert (await cluster.ledger_of(root))["used"].keys() == {agent.agent}


async def _is_retired(cluster: Cluster, proposal: str) -> bool:
    return await cluster.phase_of(proposal) == "retired"

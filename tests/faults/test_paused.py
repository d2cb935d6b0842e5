"""A writer that stands still, or ends, between two steps: others finish or undo its work, and it finds that so."""

import asyncio
from datetime import timedelta

import pytest

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Applied, Refusal
from mcp_agentspawn.operations.services import PROPOSAL_LIFETIME
from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.paths import (
    CREATE_AGENT,
    DELETE_AGENT,
    STORE_PROPOSAL,
    change_of_ledger,
    ledger_holds,
    mark_of,
    one_agent,
)
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica
from tests.faults.stopping import paused_before_create

OTHER = "fast-model-config"


async def test_an_applier_paused_until_it_was_given_up_takes_its_own_agent_back(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, applying = await paused_before_create(replica, proxy)
    assert ("fence", proposal.proposal) in await other.later().repair()
    assert await ledger_holds(cluster, root) == set()
    create.release()
    await applying
    await replica.services.later.settle()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()
    assert await cluster.phase_of(proposal.proposal) == "lapsed"
    assert ("apply.undone", "lapsed") in replica.audit.events()


async def test_a_create_that_arrives_after_its_writer_ended_and_was_given_up_is_removed_by_repair(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, applying = await paused_before_create(replica, proxy)
    applying.cancel()
    await other.later().repair()
    create.release()
    await create.over()
    assert len(await cluster.agents_of(root)) == 1
    assert ("remove", proposal.proposal) in await other.repair()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()


async def test_repair_leaves_a_reservation_alone_that_is_not_old(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, applying = await paused_before_create(replica, proxy)
    assert await _about(other, proposal.proposal) == set()
    assert await ledger_holds(cluster, root) == {proposal.proposal}
    create.release()
    assert isinstance(await applying, Applied)
    await replica.services.later.settle()
    assert await cluster.phase_of(proposal.proposal) == "starting"


async def test_repair_marks_an_agent_whose_maker_was_paused_before_the_mark(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal = await replica.propose()
    mark = proxy.on(*mark_of(proposal.proposal), faults.hold)
    agent = await replica.apply(proposal)
    await mark.arrived()
    assert await _about(other.later(), proposal.proposal) == {"mark"}
    mark.release()
    await replica.services.later.settle()
    assert await one_agent(cluster, root) == (agent.agent, agent.uid)
    assert await ledger_holds(cluster, root) == {proposal.proposal}


async def test_a_second_apply_overtakes_a_paused_one_and_both_name_the_same_agent(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal = await replica.propose()
    create = proxy.on(*CREATE_AGENT, faults.hold)
    paused = asyncio.create_task(replica.apply(proposal))
    await create.arrived()
    agent = await other.apply(proposal)
    create.release()
    assert (await paused).uid == agent.uid
    assert await one_agent(cluster, root) == (agent.agent, agent.uid)
    assert (await cluster.ledger_of(root))["spawned"] == 1


async def test_an_apply_paused_while_its_agent_was_made_and_retired_makes_no_second_one(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, paused = await paused_before_create(replica, proxy)
    await other.apply(proposal)
    await other.retire(proposal.proposal)
    await other.services.later.settle()
    create.release()
    await paused
    await replica.services.later.settle()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()


async def test_an_apply_paused_while_its_agent_was_made_and_removed_by_hand_makes_no_second_one(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, paused = await paused_before_create(replica, proxy)
    await other.apply(proposal)
    await other.services.later.settle()
    await cluster.clear(root)
    create.release()
    await paused
    await replica.services.later.settle()
    assert await cluster.agents_of(root) == []
    await other.repair()
    assert await ledger_holds(cluster, root) == set()


async def test_a_proposal_withdrawn_while_its_apply_is_paused_leaves_nothing(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal, create, applying = await paused_before_create(replica, proxy)
    assert (await other.retire(proposal.proposal)).phase == "lapsed"
    create.release()
    await applying
    await replica.services.later.settle()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()
    assert isinstance(await other.applied(proposal), Refusal)


async def test_two_repairers_at_once_with_one_of_them_paused_release_a_slot_once(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    proposal = await other.propose()
    create = proxy.on(*CREATE_AGENT, faults.hold)
    applying = asyncio.create_task(replica.applied(proposal))
    await create.arrived()
    applying.cancel()
    fence = proxy.on(*mark_of(proposal.proposal), faults.hold)
    paused = asyncio.create_task(_about(replica.later(), proposal.proposal))
    await fence.arrived()
    assert await _about(other.later(), proposal.proposal) == {"fence"}
    again = await other.propose()
    assert again.proposal != proposal.proposal
    agent = await other.apply(again)
    fence.release()
    assert await paused == set()
    assert await one_agent(cluster, root) == (agent.agent, agent.uid)
    assert await ledger_holds(cluster, root) == {again.proposal}


async def test_a_propose_that_ended_before_its_proposal_was_stored_is_finished_under_the_same_id(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    store = proxy.on(*STORE_PROPOSAL, faults.hold)
    proposing = asyncio.create_task(replica.propose())
    await store.arrived()
    proposing.cancel()
    store.drop()
    (opened,) = (await cluster.ledger_of(root))["open"].values()
    finished = await other.propose()
    assert finished.proposal == opened["proposal"]
    assert len((await cluster.ledger_of(root))["open"]) == 1


async def test_a_propose_that_ended_and_is_not_repeated_holds_its_place_no_longer_than_it_would_have_lived(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    store = proxy.on(*STORE_PROPOSAL, faults.hold)
    proposing = asyncio.create_task(replica.propose())
    await store.arrived()
    proposing.cancel()
    store.drop()
    (opened,) = (await cluster.ledger_of(root))["open"].values()
    other.clock.ahead += 2 * PROPOSAL_LIFETIME
    later = await other.propose()
    assert later.proposal != opened["proposal"]
    assert [entry["proposal"] for entry in (await cluster.ledger_of(root))["open"].values()] == [later.proposal]


@pytest.mark.parametrize("seen_by", ["retry", "repair"])
async def test_a_retire_that_ended_between_delete_and_release_is_finished(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy, seen_by: str
) -> None:
    agent = await replica.apply(await replica.propose())
    await replica.services.later.settle()
    release = proxy.on(*change_of_ledger(root), faults.hold)
    retiring = asyncio.create_task(replica.retire(agent.agent))
    await release.arrived()
    retiring.cancel()
    release.drop()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == {agent.agent}
    if seen_by == "retry":
        assert (await other.retire(agent.agent)).phase == "retired"
    else:
        assert ("release", agent.agent) in await other.repair()
    assert await ledger_holds(cluster, root) == set()


@pytest.mark.parametrize("seen_by", ["propose", "repair"])
async def test_a_withdrawal_that_ended_between_lapse_and_close_keeps_no_place(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy, seen_by: str
) -> None:
    proposal = await replica.propose()
    close = proxy.on(*change_of_ledger(root), faults.hold)
    withdrawing = asyncio.create_task(replica.retire(proposal.proposal))
    await close.arrived()
    withdrawing.cancel()
    close.drop()
    assert await cluster.phase_of(proposal.proposal) == "lapsed"
    if seen_by == "repair":
        assert await _about(other, proposal.proposal) == {"close"}
        assert (await cluster.ledger_of(root))["open"] == {}
    again = await other.propose()
    assert again.proposal != proposal.proposal
    assert [entry["proposal"] for entry in (await cluster.ledger_of(root))["open"].values()] == [again.proposal]
    assert (await other.apply(again)).agent == again.proposal


async def test_a_request_retired_elsewhere_a_moment_ago_makes_a_new_proposal(
    cluster: Cluster, root: Root, replica: Replica, other: Replica
) -> None:
    first = await replica.propose()
    agent = await replica.apply(first)
    assert (await other.propose()).proposal == first.proposal
    await replica.retire(agent.agent)
    second = await other.propose()
    assert second.proposal != first.proposal
    assert (await replica.apply(second)).agent == second.proposal
    assert (await one_agent(cluster, root))[0] == second.proposal


async def test_what_repair_can_not_do_keeps_nothing_else_waiting(
    cluster: Cluster, root: Root, replica: Replica, other: Replica, proxy: FaultProxy
) -> None:
    stuck, gone = await replica.apply(await replica.propose()), await replica.apply(await replica.propose(model=OTHER))
    await replica.services.later.settle()
    delete = proxy.on(*DELETE_AGENT, faults.cut_before)
    done = await replica.later(timedelta(hours=1)).repair()
    await delete.over()
    assert len({("expire", stuck.agent), ("expire", gone.agent)} & done) == 1
    assert len(await cluster.agents_of(root)) == 1
    await other.later(timedelta(hours=1)).repair()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()


async def _about(replica: Replica, proposal: str) -> set[str]:
    return {verb for verb, id_ in await replica.repair() if id_ == proposal}

"""A server killed between two steps: another one, or repair, finishes or releases what it left."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.paths import CREATE_AGENT, STORE_PROPOSAL, change_of_ledger, ledger_holds, mark_of, one_agent
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica
from tests.faults.servers import Answer, Rules, Server
from tests.faults.stopping import Servers, killed, two_servers
from tests.localplane.waiting import until


@pytest_asyncio.fixture
async def two(cluster: Cluster, root: Root, proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[Servers]:
    rules = Rules(tmp_path)
    rules.write()
    async with two_servers(cluster, root, rules, proxy) as both:
        yield both


@pytest.mark.parametrize("finished_by", ["retry", "repair"])
async def test_killed_between_reserve_and_create(
    cluster: Cluster, root: Root, proxy: FaultProxy, two: Servers, other: Replica, finished_by: str
) -> None:
    proposal = await two.doomed.propose()
    create = proxy.on(*CREATE_AGENT, faults.hold)
    await killed(two.doomed, create, create.arrived(), two.doomed.apply(proposal))
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == {proposal["proposal"]}
    if finished_by == "retry":
        await _one_agent_of_a_retry(cluster, root, two.healthy, proposal)
    else:
        assert ("fence", proposal["proposal"]) in await other.later().repair()
        assert await ledger_holds(cluster, root) == set()
        assert await cluster.phase_of(proposal["proposal"]) == "lapsed"
        assert await _codes(two.healthy.apply(proposal)) == {"proposal.lapsed"}
        await _three_fit(cluster, root, two.healthy)


@pytest.mark.parametrize("finished_by", ["retry", "repair"])
async def test_killed_between_create_and_mark(
    cluster: Cluster, root: Root, proxy: FaultProxy, two: Servers, other: Replica, finished_by: str
) -> None:
    proposal = await two.doomed.propose()
    mark = proxy.on(*mark_of(proposal["proposal"]), faults.hold)
    await killed(two.doomed, mark, mark.arrived(), two.doomed.apply(proposal))
    standing = await one_agent(cluster, root)
    assert await cluster.phase_of(proposal["proposal"]) == "proposed"
    if finished_by == "retry":
        await _one_agent_of_a_retry(cluster, root, two.healthy, proposal)
    else:
        assert ("mark", proposal["proposal"]) in await other.later().repair()
    await until(lambda: _is(cluster, proposal, "starting"))
    assert await one_agent(cluster, root) == standing
    assert await ledger_holds(cluster, root) == {proposal["proposal"]}
    assert (await cluster.ledger_of(root))["spawned"] == 1


async def test_killed_while_the_answer_of_its_create_is_on_the_way(
    cluster: Cluster, root: Root, proxy: FaultProxy, two: Servers
) -> None:
    proposal = await two.doomed.propose()
    create = proxy.on(*CREATE_AGENT, faults.hold_answer)
    await killed(two.doomed, create, create.forwarded(), two.doomed.apply(proposal))
    standing = await one_agent(cluster, root)
    await _one_agent_of_a_retry(cluster, root, two.healthy, proposal)
    assert await one_agent(cluster, root) == standing


async def test_killed_between_opening_a_place_and_storing_the_proposal(
    cluster: Cluster, root: Root, proxy: FaultProxy, two: Servers
) -> None:
    store = proxy.on(*STORE_PROPOSAL, faults.hold)
    await killed(two.doomed, store, store.arrived(), two.doomed.propose())
    (opened,) = (await cluster.ledger_of(root))["open"].values()
    finished = await two.healthy.propose()
    assert finished["proposal"] == opened["proposal"]
    assert len((await cluster.ledger_of(root))["open"]) == 1
    await _one_agent_of_a_retry(cluster, root, two.healthy, finished)


@pytest.mark.parametrize("finished_by", ["retry", "repair"])
async def test_killed_between_delete_and_release(
    cluster: Cluster, root: Root, proxy: FaultProxy, two: Servers, other: Replica, finished_by: str
) -> None:
    proposal = await two.healthy.propose()
    agent = (await two.healthy.apply(proposal))["agent"]
    await until(lambda: _is(cluster, proposal, "starting"))
    release = proxy.on(*change_of_ledger(root), faults.hold)
    await killed(two.doomed, release, release.arrived(), two.doomed.retire(agent))
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == {agent}
    if finished_by == "retry":
        assert (await two.healthy.retire(agent))["phase"] == "retired"
    else:
        assert ("release", agent) in await other.repair()
    assert await ledger_holds(cluster, root) == set()
    await _three_fit(cluster, root, two.healthy)


async def _one_agent_of_a_retry(cluster: Cluster, root: Root, server: Server, proposal: Answer) -> None:
    applied = await server.apply(proposal)
    assert applied["outcome"] == "allowed", applied
    assert (await server.apply(proposal))["uid"] == applied["uid"]
    assert await one_agent(cluster, root) == (applied["agent"], applied["uid"])
    assert await ledger_holds(cluster, root) == {applied["agent"]}
    assert (await cluster.ledger_of(root))["spawned"] == 1


async def _three_fit(cluster: Cluster, root: Root, server: Server) -> None:
    """No slot was lost: the policy's three are all to be had, and no fourth."""
    proposals = [await server.propose(f"Number {number}") for number in range(4)]
    outcomes = [(await server.apply(proposal))["outcome"] for proposal in proposals]
    assert outcomes == ["allowed", "allowed", "allowed", "denied"]
    assert len(await cluster.agents_of(root)) == 3


async def _codes(call: Awaitable[Answer]) -> set[str]:
    return {reason["code"] for reason in (await call)["reasons"]}


async def _is(cluster: Cluster, proposal: Answer, phase: str) -> bool:
    return await cluster.phase_of(proposal["proposal"]) == phase

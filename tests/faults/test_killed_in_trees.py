"""A server killed around a subagent's own credential, or amid a tree: another one, or repair, finishes what it left."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.paths import CREATE_AGENT, DELETE_AGENT, change_of_ledger, ledger_holds, one_agent
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica
from tests.faults.servers import Answer, Rules, Server
from tests.faults.spawning import (
    CREATE_SECRET,
    DELETE_SECRET,
    approved_lead,
    credential,
    lead,
    let_spawn,
    spawned_by,
    status_of,
)
from tests.faults.stopping import Servers, killed, two_servers
from tests.localplane.waiting import until

both_ways = pytest.mark.parametrize("finished_by", ["retry", "repair"])


@pytest_asyncio.fixture
async def servers(cluster: Cluster, root: Root, proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[Servers]:
    rules = Rules(tmp_path)
    await let_spawn(cluster, root, rules)
    async with two_servers(cluster, root, rules, proxy) as both:
        yield both


@both_ways
async def test_killed_between_the_credential_and_its_agent(
    cluster: Cluster, root: Root, proxy: FaultProxy, servers: Servers, other: Replica, finished_by: str
) -> None:
    proposal = await approved_lead(cluster, servers.doomed)
    create = proxy.on(*CREATE_AGENT, faults.hold)
    await killed(servers.doomed, create, create.arrived(), servers.doomed.apply(proposal))
    token = await credential(cluster, proposal["proposal"])
    assert token
    assert await cluster.agents_of(root) == []
    assert await status_of(servers.healthy, token) == 401
    if finished_by == "retry":
        await _works(cluster, root, servers.healthy, proposal, token)
    else:
        await _is_cleaned_up(cluster, root, other, proposal)
        assert await status_of(servers.healthy, token) == 401


@both_ways
async def test_killed_while_the_answer_about_its_credential_is_on_the_way(
    cluster: Cluster, root: Root, proxy: FaultProxy, servers: Servers, other: Replica, finished_by: str
) -> None:
    proposal = await approved_lead(cluster, servers.doomed)
    store = proxy.on(*CREATE_SECRET, faults.hold_answer)
    await killed(servers.doomed, store, store.forwarded(), servers.doomed.apply(proposal))
    token = await credential(cluster, proposal["proposal"])
    assert token
    if finished_by == "retry":
        await _works(cluster, root, servers.healthy, proposal, token)
    else:
        await _is_cleaned_up(cluster, root, other, proposal)


async def test_killed_before_its_credential_is_stored(
    cluster: Cluster, root: Root, proxy: FaultProxy, servers: Servers
) -> None:
    proposal = await approved_lead(cluster, servers.doomed)
    store = proxy.on(*CREATE_SECRET, faults.hold)
    await killed(servers.doomed, store, store.arrived(), servers.doomed.apply(proposal))
    assert await credential(cluster, proposal["proposal"]) == ""
    applied = await servers.healthy.apply(proposal)
    assert applied["outcome"] == "allowed", applied
    assert await status_of(servers.healthy, await credential(cluster, applied["agent"])) == 200


@both_ways
@pytest.mark.parametrize("place", ["before", "after"])
async def test_killed_around_the_credentials_end(
    cluster: Cluster,
    root: Root,
    proxy: FaultProxy,
    servers: Servers,
    other: Replica,
    finished_by: str,
    place: str,
) -> None:
    agent = await lead(cluster, servers.healthy)
    await _is_marked(cluster, agent)
    token = await credential(cluster, agent)
    step = DELETE_SECRET if place == "before" else change_of_ledger(root)
    removal = proxy.on(*step, faults.hold)
    await killed(servers.doomed, removal, removal.arrived(), servers.doomed.retire(agent))
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == {agent}
    assert bool(await credential(cluster, agent)) == (place == "before")
    assert await status_of(servers.healthy, token) == 401
    if finished_by == "retry":
        assert (await servers.healthy.retire(agent))["retired"] == [agent]
    else:
        assert ("release", agent) in await other.repair()
    assert await ledger_holds(cluster, root) == set()
    assert await credential(cluster, agent) == ""


@both_ways
async def test_killed_between_the_top_of_a_tree_and_what_is_below_it(
    cluster: Cluster, root: Root, proxy: FaultProxy, servers: Servers, other: Replica, finished_by: str
) -> None:
    top = await lead(cluster, servers.healthy)
    await _is_marked(cluster, top)
    await spawned_by(servers.healthy.of(await credential(cluster, top)))
    removal = proxy.on(*DELETE_AGENT, faults.hold, nth=2)
    await killed(servers.doomed, removal, removal.arrived(), servers.doomed.retire(top))
    assert [agent["metadata"]["name"] for agent in await cluster.agents_of(root)] == [top]
    assert await cluster.phase_of(top) == "retiring"
    if finished_by == "retry":
        assert (await servers.healthy.retire(top))["retired"] == [top]
    else:
        assert ("finish", top) in await other.repair()
    assert await cluster.agents_of(root) == []
    assert await ledger_holds(cluster, root) == set()
    assert await credential(cluster, top) == ""


async def _works(cluster: Cluster, root: Root, server: Server, proposal: Answer, token: str) -> None:
    """One agent, known by the credential that was stored first; it spawns, and its child has none."""
    applied = await server.apply(proposal)
    assert applied["outcome"] == "allowed", applied
    assert await one_agent(cluster, root) == (applied["agent"], applied["uid"])
    assert await credential(cluster, applied["agent"]) == token
    below = await spawned_by(server.of(token))
    marks = {agent["metadata"]["name"]: agent["metadata"]["annotations"] for agent in await cluster.agents_of(root)}
    assert marks[below["agent"]]["agentspawn.dev/parent"] == applied["agent"]
    assert marks[below["agent"]]["agentspawn.dev/root"] == root.virtual_user
    assert await credential(cluster, below["agent"]) == ""


async def _is_cleaned_up(cluster: Cluster, root: Root, repairer: Replica, proposal: Answer) -> None:
    assert ("fence", proposal["proposal"]) in await repairer.later().repair()
    assert await credential(cluster, proposal["proposal"]) == ""
    assert await ledger_holds(cluster, root) == set()
    assert await cluster.phase_of(proposal["proposal"]) == "lapsed"


async def _is_marked(cluster: Cluster, agent: str) -> None:
    async def marked() -> bool:
        return await cluster.phase_of(agent) == "starting"

    await until(marked)

"""One root's world as crashes leave it: something for each thing that repair can do to what is old enough."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Proposal, Root
from mcp_agentspawn.operations.answers import Proposed
from mcp_agentspawn.operations.services import PROPOSAL_LIFETIME
from tests.builders import policy
from tests.faults import proxy as faults
from tests.faults.cluster import AGENTS, Cluster
from tests.faults.paths import CREATE_AGENT, mark_of
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import ROOMY, Replica, start

LONG_AGO = timedelta(minutes=10)
QUOTA: dict[str, Any] = {**ROOMY["quota"], "live_per_parent": 10}


async def mess(cluster: Cluster, root: Root) -> None:
    """Leave one of each behind, written by a replica whose clock is late: it counts as abandoned now."""
    way = FaultProxy(cluster.plane.url, cluster.plane.connection("").ssl_context())
    async with way as proxy, start(cluster, root, proxy) as replica:
        replica.clock.ahead -= LONG_AGO
        replica.rules.policies["default"] = policy(**{**ROOMY, "quota": QUOTA})
        await _fence(replica, proxy)
        await _mark(replica, proxy, "To be marked")
        await _remove(replica, proxy)
        await _release(cluster, replica)
        await _close(replica)
        replica.clock.ahead -= PROPOSAL_LIFETIME
        await replica.propose(purpose="To lapse")


async def _fence(replica: Replica, proxy: FaultProxy) -> None:
    """A place without an Agent, and without anybody who still makes it."""
    made = await replica.propose(purpose="To be fenced")
    fault = proxy.on(*CREATE_AGENT, faults.cut_before)
    with suppress(Upstream):
        await replica.applied(made)
    await fault.over()


async def _mark(replica: Replica, proxy: FaultProxy, purpose: str) -> Proposed:
    """An Agent of whom its proposal does not know."""
    made = await replica.propose(purpose=purpose)
    fault = proxy.on(*mark_of(made.proposal), faults.cut_before)
    await replica.apply(made)
    await fault.over()
    await replica.services.later.settle()
    return made


async def _remove(replica: Replica, proxy: FaultProxy) -> None:
    """An Agent whose proposal has ended."""
    made = await _mark(replica, proxy, "To be removed")
    await replica.services.proposals.mark(await _stored(replica, made), "lapsed")


async def _release(cluster: Cluster, replica: Replica) -> None:
    """A place of an Agent that somebody removed by hand."""
    agent = await replica.apply(await replica.propose(purpose="To be released"))
    await replica.services.later.settle()
    await cluster.remove(f"{AGENTS}/{agent.agent}")


async def _close(replica: Replica) -> None:
    """An open place of a proposal that was withdrawn."""
    made = await replica.propose(purpose="To be closed")
    await replica.services.proposals.mark(await _stored(replica, made), "lapsed")


async def _stored(replica: Replica, made: Proposed) -> Proposal:
    stored = await replica.services.proposals.get(made.proposal)
    assert stored is not None
    return stored

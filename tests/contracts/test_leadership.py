"""One replica acts at a time: it takes what is free, keeps it while it lives, and hands it over at once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.clock import SystemClock
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.adapters.kubernetes.lease import LEASE_SECONDS, MARGIN_SECONDS, KubernetesLeadership
from mcp_agentspawn.adapters.kubernetes.principals import Gate
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from tests.contracts.stages import KubernetesStage, Stage, kubeconfig
from tests.faults.cluster import LEASE, Cluster


class Seconds:
    """One machine's monotonic clock."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Two:
    """Two replicas, whose clocks have begun to count at different times."""

    first: KubernetesLeadership
    second: KubernetesLeadership
    of_first: Seconds
    of_second: Seconds
    cluster: Cluster

    def later(self, seconds: float) -> None:
        self.of_first.now += seconds
        self.of_second.now += seconds

    async def lease(self) -> dict[str, object]:
        found = await self.cluster.get(LEASE)
        assert found is not None
        return dict(found["spec"])


@pytest_asyncio.fixture
async def two(cluster: Cluster) -> AsyncIterator[Two]:
    await cluster.remove(LEASE)
    one, other = Seconds(5.0), Seconds(70_000.0)
    async with Transport(await load_credentials(kubeconfig(cluster)), Gate(())) as transport:
        client = Client(transport)
        first = KubernetesLeadership(client, SystemClock(), "first", one)
        second = KubernetesLeadership(client, SystemClock(), "second", other)
        yield Two(first, second, one, other, cluster)
    await cluster.remove(LEASE)


async def nobody_leads(stage: Stage) -> None:
    """Also none that another test has killed, whose lease would last a while."""
    if isinstance(stage, KubernetesStage):
        await stage.cluster.remove(LEASE)


async def test_who_is_alone_leads_and_goes_on_leading(stage: Stage) -> None:
    await nobody_leads(stage)

    assert [await stage.world.leadership.held() for _ in range(3)] == [True] * 3
    await stage.world.leadership.release()


async def test_what_was_handed_over_is_taken_again_when_nobody_else_did(stage: Stage) -> None:
    await nobody_leads(stage)
    assert await stage.world.leadership.held()

    await stage.world.leadership.release()
    await stage.world.leadership.release()

    assert await stage.world.leadership.held()
    await stage.world.leadership.release()


async def test_of_two_replicas_one_leads(two: Two) -> None:
    assert await two.first.held()
    assert not await two.second.held()

    for _ in range(8):
        two.later(6)
        assert (await two.first.held(), await two.second.held()) == (True, False)
    assert (await two.lease())["holderIdentity"] == "first"


async def test_what_is_handed_over_is_another_ones_at_once(two: Two) -> None:
    assert await two.first.held()
    assert not await two.second.held()

    await two.first.release()

    assert await two.second.held()
    assert not await two.first.held()
    assert ((await two.lease())["holderIdentity"], (await two.lease())["leaseTransitions"]) == ("second", 1)


async def test_who_is_silent_for_the_time_of_a_lease_has_lost_it(two: Two) -> None:
    assert await two.first.held()
    assert not await two.second.held()

    two.later(LEASE_SECONDS - 0.1)
    early = await two.second.held()
    two.later(0.2)

    assert (early, await two.second.held()) == (False, True)
    assert not await two.first.held()


async def test_the_time_runs_from_when_a_replica_first_saw_the_lease_as_it_is(two: Two) -> None:
    """However old the holder's own clock says that it is: clocks of two machines are not compared."""
    assert await two.first.held()
    await two.cluster.patch(LEASE, {"spec": {"renewTime": "2001-01-01T00:00:00.000000Z"}})
    two.of_second.now += 3600

    assert not await two.second.held()
    two.of_second.now += LEASE_SECONDS - 0.1
    await two.cluster.patch(LEASE, {"spec": {"renewTime": "2002-01-01T00:00:00.000000Z"}})

    assert not await two.second.held()
    two.of_second.now += LEASE_SECONDS - 0.1
    assert not await two.second.held()
    two.of_second.now += 0.2
    assert await two.second.held()


async def test_a_leader_stops_before_another_one_may_begin(two: Two) -> None:
    assert await two.first.held()
    assert not await two.second.held()
    two.later(LEASE_SECONDS - MARGIN_SECONDS - 0.1)
    assert not await two.second.held()

    two.of_first.now += 3600  # it was paused, and another one has taken over meanwhile
    two.of_second.now += LEASE_SECONDS
    assert await two.second.held()

    assert not await two.first.held()


async def test_it_is_renewed_seldom(two: Two) -> None:
    assert await two.first.held()
    before = await two.lease()
    two.later(4.9)
    assert await two.first.held()
    same = await two.lease()
    two.later(0.2)
    assert await two.first.held()

    assert same == before
    assert (await two.lease())["renewTime"] != before["renewTime"]
    assert (await two.lease())["acquireTime"] == before["acquireTime"]


async def test_a_lease_that_somebody_removed_is_made_again(two: Two) -> None:
    assert await two.first.held()
    await two.cluster.remove(LEASE)
    two.later(6)

    assert await two.first.held()
    assert (await two.lease())["holderIdentity"] == "first"


async def test_a_lease_that_somebody_touched_is_still_held(two: Two) -> None:
    assert await two.first.held()
    await two.cluster.patch(LEASE, {"metadata": {"labels": {"touched": "yes"}}})
    two.later(6)

    assert await two.first.held()


@pytest.mark.parametrize("replica", ["first", "second"])
async def test_who_does_not_lead_takes_nothing_away_by_releasing(two: Two, replica: str) -> None:
    assert await two.first.held()
    if replica == "first":
        two.of_second.now += 1
        assert not await two.second.held()
        two.of_second.now += LEASE_SECONDS
        assert await two.second.held()

    await (two.first if replica == "first" else two.second).release()

    assert (await two.lease())["holderIdentity"] == ("second" if replica == "first" else "first")

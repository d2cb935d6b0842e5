"""Two servers, one of which looks after the subagents: when it goes, the other one does, and nothing is done twice."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes.lease import LEASE_SECONDS
from mcp_agentspawn.core.model import Root
from tests.builders import RESEARCHER
from tests.faults.cluster import Cluster
from tests.faults.paths import ledger_holds
from tests.faults.servers import Answer, Rules, Server, serve
from tests.localplane.waiting import until

LIFETIME = timedelta(seconds=6)
A_PASS = timedelta(seconds=4)
"""What a pass, the garbage of a busy machine and looking at it all take together."""
HANDED_OVER_WITHIN_SECONDS = LEASE_SECONDS / 2

pytestmark = pytest.mark.timeout(120)


class Two(NamedTuple):
    """The server that leads, and the other one."""

    leader: Server
    other: Server


@pytest_asyncio.fixture
async def two(cluster: Cluster, root: Root, tmp_path: Path) -> AsyncIterator[Two]:
    rules = Rules(tmp_path)
    lifetime = {"default": f"{int(LIFETIME.total_seconds())}s", "most": "1h"}
    rules.write(template=RESEARCHER | {"lifetime": lifetime})
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serve(cluster, [root], rules)) for _ in range(2)]

        async def one_leads() -> bool:
            return sum([await server.leads() for server in servers]) == 1

        await until(one_leads)
        first, second = servers
        yield Two(first, second) if await first.leads() else Two(second, first)


async def test_what_was_due_when_the_leader_was_killed_is_done_once_and_in_time(
    cluster: Cluster, root: Root, two: Two
) -> None:
    made = [await spawned(two.other, f"Part {number}") for number in range(3)]
    two.leader.kill()

    async def gone() -> bool:
        return await cluster.agents_of(root) == []

    await until(gone)
    late = datetime.now(UTC) - max(expiry(agent) for agent in made)
    assert late <= timedelta(seconds=LEASE_SECONDS) + A_PASS

    async def nothing_is_forgotten() -> bool:
        phases = {await cluster.phase_of(agent["agent"]) for agent in made}
        return phases == {"retired"} and await ledger_holds(cluster, root) == set()

    await until(nothing_is_forgotten)
    assert removed(two) == Counter(agent["agent"] for agent in made)


async def test_a_leader_that_ends_in_order_hands_over_at_once(two: Two) -> None:
    os.kill(two.leader.process.pid, signal.SIGTERM)

    async with asyncio.timeout(HANDED_OVER_WITHIN_SECONDS):
        await until(two.other.leads)


async def spawned(server: Server, purpose: str) -> Answer:
    applied = await server.apply(await server.propose(purpose))
    assert applied["outcome"] == "allowed", applied
    return applied


def expiry(agent: Answer) -> datetime:
    return datetime.fromisoformat(agent["agent_expires_at"])


def removed(two: Two) -> Counter[str]:
    """How often each subagent was removed by whoever looks after them, as both audit logs have it."""
    return Counter(
        record["subject"]
        for server in two
        for record in records(server.audit_file)
        if record["event"] == "repair.outcome" and record["details"]["verb"] == "expire" and record["outcome"] == "done"
    )


def records(file: Path) -> Iterator[Answer]:
    for line in file.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)

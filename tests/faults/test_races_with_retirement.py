"""Two servers spawn as fast as they can while a third retires at random. SOAK=1 runs many more rounds."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from tests.faults.cluster import LEDGERS, Cluster
from tests.faults.nursery import nursery
from tests.faults.paths import ledger_holds
from tests.faults.servers import Answer, Rules, Server, serve
from tests.localplane.waiting import until

ROUNDS = 200 if os.environ.get("SOAK") else 4
SPAWNS = 16
LIMIT = 3


class Three(NamedTuple):
    """Two servers that spawn and one that retires, and a root for each round."""

    spawners: tuple[Server, Server]
    retirer: Server
    roots: list[Root]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def three(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    rules = Rules(tmp_path_factory.mktemp("rules"))
    rules.write()
    roots = [await cluster.onboard(f"turmoil-{number}") for number in range(ROUNDS)]
    with nursery(cluster.plane._group) as ready:
        async with (
            serve(cluster, roots, rules, start=ready.start) as one,
            serve(cluster, roots, rules, start=ready.start) as other,
            serve(cluster, roots, rules, start=ready.start) as retirer,
        ):
            yield Three((one, other), retirer, roots)


@dataclass
class History:
    """Every state that a root's ledger was ever stored in: the places that were taken."""

    live: list[set[str]] = field(default_factory=list)
    version: str = ""

    def was_full_since(self, moment: int) -> bool:
        """Whether it was full in any state from this one on, the one before it included."""
        return any(len(live) == LIMIT for live in self.live[max(0, moment - 1) :])


@asynccontextmanager
async def watched_ledger(cluster: Cluster, root: Root) -> AsyncIterator[History]:
    history = History()
    query = {"watch": "1", "fieldSelector": f"metadata.name={root.key}"}
    async with cluster.admin.get(LEDGERS, params=query, timeout=None) as events:

        async def look() -> None:
            async for line in events.content:
                ledger = json.loads(line)["object"]
                history.live.append(set(ledger["spec"]["live"]))
                history.version = ledger["metadata"]["resourceVersion"]

        looking = asyncio.create_task(look())
        try:
            yield history
        finally:
            looking.cancel()
            await asyncio.wait([looking])


@dataclass
class Turmoil:
    """One round: what was made, what was refused, and what the ledger went through."""

    servers: Three
    history: History
    dice: random.Random
    made: list[str] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)
    spawned: int = 0
    running: int = 0

    async def spawn(self, number: int) -> None:
        """Propose on one server, apply on either."""
        self.running += 1
        proposal = await self.servers.spawners[number % 2].propose(f"Question {number}")
        await self.apply(proposal)
        self.running -= 1

    async def apply(self, proposal: Answer) -> None:
        moment = len(self.history.live)
        answer = await self.dice.choice(self.servers.spawners).apply(proposal)
        if answer["outcome"] == "allowed":
            self.made.append(answer["agent"])
            self.spawned += 1
        else:
            assert {reason["code"] for reason in answer["reasons"]} == {"quota.live_per_parent"}, answer
            await until(lambda: self.history.was_full_since(moment))  # the watch may be behind the answer
            self.refused.append(proposal)

    async def retire_at_random(self) -> None:
        """Retire this and that for as long as anybody spawns."""
        while self.running:
            if self.made:
                agent = self.made.pop(self.dice.randrange(len(self.made)))
                answer = await self.servers.retirer.retire(agent)
                assert answer["phase"] == "retired", answer
            await asyncio.sleep(self.dice.uniform(0, 0.03))


@pytest.mark.timeout(60 + 6 * ROUNDS)
async def test_there_are_never_more_places_taken_than_the_limit_and_never_fewer_given_than_there_are(
    cluster: Cluster, three: Three
) -> None:
    for number in range(ROUNDS):
        root = three.roots[number]
        servers = await _called_by(cluster, three, root)
        async with watched_ledger(cluster, root) as history:
            turmoil = Turmoil(servers, history, random.Random(number))  # noqa: S311 - a test's dice
            spawning = [asyncio.create_task(turmoil.spawn(one)) for one in range(SPAWNS)]
            await asyncio.sleep(0)
            await asyncio.gather(turmoil.retire_at_random(), *spawning)
            await _all_room_is_given(turmoil)
            await _agrees(cluster, root, turmoil)
        await cluster.clear(root)


async def _called_by(cluster: Cluster, three: Three, root: Root) -> Three:
    token = await cluster.token_of(root)
    one, other = (server.of(token) for server in three.spawners)
    return Three((one, other), three.retirer.of(token), three.roots)


async def _all_room_is_given(turmoil: Turmoil) -> None:
    """What was refused for want of room gets it, as far as there is any."""
    again, turmoil.refused = turmoil.refused, []
    await asyncio.gather(*map(turmoil.apply, again))
    assert len(turmoil.made) == LIMIT or not turmoil.refused


async def _agrees(cluster: Cluster, root: Root, turmoil: Turmoil) -> None:
    ledger = await cluster.get(f"{LEDGERS}/{root.key}")
    assert ledger is not None
    version = ledger["metadata"]["resourceVersion"]

    def seen() -> bool:
        return bool(turmoil.history.version == version)

    await until(seen)
    assert max(map(len, turmoil.history.live)) <= LIMIT
    assert await ledger_holds(cluster, root) == set(turmoil.made)
    assert {agent["metadata"]["name"] for agent in await cluster.agents_of(root)} == set(turmoil.made)
    assert (ledger["spec"]["spawned"], len(ledger["spec"]["used"])) == (turmoil.spawned, turmoil.spawned)

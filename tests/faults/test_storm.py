"""Everything at once, and the way to the API server breaks at random: what must never happen does not.

SOAK=1 weathers many more storms.
"""

import asyncio
import json
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from tests.builders import ask
from tests.faults.cluster import AGENTS, Cluster
from tests.faults.paths import ledger_holds
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica, start

SEEDS = range(60 if os.environ.get("SOAK") else 2)
WRITERS, STEPS, QUESTIONS, LIMIT = 6, 12, 6, 3
SPAWN = {"propose": 4, "apply": 6, "repair": 1}
RETIRE = {"retire": 6, "repair": 1}
ALL = SPAWN | RETIRE


@dataclass
class Sight:
    """What an observer saw happen in the API server: the uids that each name ever had, and how many stood at once."""

    uids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    standing: set[str] = field(default_factory=set)
    most: int = 0
    history: list[tuple[str, str, str]] = field(default_factory=list)

    def see(self, event: str, name: str, uid: str) -> None:
        self.history.append((event, name, uid))
        self.uids[name].add(uid)
        if event == "DELETED":
            self.standing.discard(uid)
        else:
            self.standing.add(uid)
        self.most = max(self.most, len(self.standing))


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_storm_of_applies_makes_too_many_agents_or_two_of_one_or_loses_a_slot(
    cluster: Cluster, root: Root, proxy: FaultProxy, seed: int
) -> None:
    """Applies and retirements take turns, so that nothing at all may go wrong, not for an instant."""
    async with watched(cluster, root) as sight, start(cluster, root, proxy) as one, start(cluster, root) as other:
        known: list[Proposed] = []
        for turn, verbs in enumerate([SPAWN, RETIRE, SPAWN, RETIRE, SPAWN]):
            await _weather(proxy, (one, other), Writers(known, verbs, seed + turn))
        await _at_rest(other.later())
        assert len(sight.uids) >= LIMIT
        assert {len(uids) for uids in sight.uids.values()} == {1}, sight.history
        assert sight.most == LIMIT, sight.history
        await _agrees(cluster, root)
        assert set(sight.uids) <= set((await cluster.ledger_of(root))["used"])
        await _all_slots_are_to_be_had(cluster, root, other)


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_a_storm_of_everything_at_once_all_agrees_again(
    cluster: Cluster, root: Root, proxy: FaultProxy, seed: int
) -> None:
    """An apply that a retirement of the same subagent crosses may make another for an instant: it is taken back."""
    async with start(cluster, root, proxy) as one, start(cluster, root) as other:
        await _weather(proxy, (one, other), Writers([], ALL, seed))
        await _at_rest(other.later())
        await _agrees(cluster, root)
        await _all_slots_are_to_be_had(cluster, root, other)


@dataclass
class Writers:
    """What they do, with which weights, and the proposals that all of them know."""

    known: list[Proposed]
    verbs: Mapping[str, int]
    seed: int

    async def write(self, replica: Replica, number: int) -> None:
        """Do this and that, in any order; to fail is allowed, to be wrong is not."""
        dice = random.Random(f"{self.seed}-{number}")  # noqa: S311 - a test's dice, thrown the same way again
        for verb in dice.choices(list(self.verbs), list(self.verbs.values()), k=STEPS):
            with suppress(Upstream):
                await self._step(replica, verb, dice)

    async def _step(self, replica: Replica, verb: str, dice: random.Random) -> None:
        services, caller, lately = replica.services, replica.caller, self.known[-QUESTIONS:]
        if verb == "propose" or not lately:
            answer = await replica.asked(ask(purpose=f"Question {dice.randrange(QUESTIONS)}"))
            self.known += [answer] if isinstance(answer, Proposed) else []
        elif verb == "apply":
            proposal = dice.choice(lately)
            await apply(services, caller, proposal.proposal, proposal.digest)
        elif verb == "retire":
            await retire(services, caller, dice.choice(lately).proposal)
        else:
            await repair(services)


async def _weather(proxy: FaultProxy, replicas: tuple[Replica, Replica], writers: Writers) -> None:
    """Let them write through a storm, and wait until what they began has ended."""
    storm = proxy.storm(0.15, writers.seed)
    await asyncio.gather(*(writers.write(replicas[number % 2], number) for number in range(WRITERS)))
    storm.share = 0
    for replica in replicas:
        await replica.services.later.settle()


async def _at_rest(replica: Replica) -> None:
    """Repair until there is nothing left to do."""
    for _ in range(10):
        if not await replica.repair():
            return
    raise AssertionError("repair never comes to an end")


async def _agrees(cluster: Cluster, root: Root) -> None:
    agents = {agent["metadata"]["name"]: agent["metadata"]["uid"] for agent in await cluster.agents_of(root)}
    ledger = await cluster.ledger_of(root)
    assert set(agents) == set(ledger["live"])
    assert ledger["spawned"] == len(ledger["used"])
    phases = {stored["metadata"]["name"]: stored["status"] for stored in await cluster.proposals_of(root)}
    assert {name: phases[name]["agentUid"] for name in agents} == agents
    assert {phases[name]["phase"] for name in agents} <= {"starting"}
    assert {phases[entry["proposal"]]["phase"] for entry in ledger["open"].values() if entry["proposal"] in phases} <= {
        "proposed"
    }


async def _all_slots_are_to_be_had(cluster: Cluster, root: Root, replica: Replica) -> None:
    for agent in await ledger_holds(cluster, root):
        await replica.retire(agent)
    proposals = [await replica.propose(purpose=f"Afterwards {number}") for number in range(LIMIT + 1)]
    answers = [await replica.applied(proposal) for proposal in proposals]
    assert [isinstance(answer, Applied) for answer in answers] == [True] * LIMIT + [False]


@asynccontextmanager
async def watched(cluster: Cluster, root: Root) -> AsyncIterator[Sight]:
    """Watch a root's Agents, past the proxy; what happened is complete when the block's work is."""
    sight = Sight()
    query = {"watch": "1", "labelSelector": f"agentspawn.dev/tree={root.label}"}
    async with cluster.admin.get(AGENTS, params=query, timeout=None) as events:

        async def look() -> None:
            async for line in events.content:
                event = json.loads(line)
                metadata = event["object"]["metadata"]
                sight.see(event["type"], metadata["name"], metadata["uid"])

        looking = asyncio.create_task(look())
        try:
            yield sight
        finally:
            looking.cancel()
            await asyncio.wait([looking])

"""Everything at once, and the way to the API server breaks at random: what must never happen does not.

SOAK=1 weathers many more storms.
"""

import asyncio
import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest
import pytest_asyncio

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from tests.builders import ask
from tests.faults.cluster import Cluster
from tests.faults.invariants import agrees, all_slots_are_to_be_had, at_rest, nothing_was_spent_twice, watched
from tests.faults.matrix import nobody_else
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import Replica, start

SOAK = bool(os.environ.get("SOAK"))
SEEDS = range(60 if SOAK else 2)
WRITERS, STEPS, QUESTIONS, LIMIT = 6, 12, 6, 3
SPAWN = {"propose": 4, "apply": 6, "repair": 1}
RETIRE = {"retire": 6, "repair": 1}
ALL = SPAWN | RETIRE

pytestmark = pytest.mark.timeout(600 if SOAK else 120)


@pytest_asyncio.fixture(autouse=True)
async def _alone(cluster: Cluster) -> None:
    """Every repair goes through all that is there: what other storms left would make each slower than the last."""
    await nobody_else(cluster)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_storm_of_applies_makes_too_many_agents_or_two_of_one_or_loses_a_slot(
    cluster: Cluster, root: Root, proxy: FaultProxy, seed: int
) -> None:
    """Applies and retirements take turns, so that nothing at all may go wrong, not for an instant."""
    async with watched(cluster, root) as sight, start(cluster, root, proxy) as one, start(cluster, root) as other:
        known: list[Proposed] = []
        for turn, verbs in enumerate([SPAWN, RETIRE, SPAWN, RETIRE, SPAWN]):
            await _weather(proxy, (one, other), Writers(known, verbs, seed + turn))
        await at_rest(other.later())
        assert len(sight.uids) >= LIMIT
        assert {len(uids) for uids in sight.uids.values()} == {1}, sight.told()
        assert sight.most == LIMIT, sight.told()
        await agrees(cluster, root, other)
        await nothing_was_spent_twice(cluster, root)

        assert set(sight.uids) <= set((await cluster.ledger_of(root))["used"])
        await all_slots_are_to_be_had(cluster, root, other, LIMIT)


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_a_storm_of_everything_at_once_all_agrees_again(
    cluster: Cluster, root: Root, proxy: FaultProxy, seed: int
) -> None:
    """An apply that a retirement of the same subagent crosses may make another for an instant: it is taken back."""
    async with start(cluster, root, proxy) as one, start(cluster, root) as other:
        await _weather(proxy, (one, other), Writers([], ALL, seed))
        await at_rest(other.later())
        await agrees(cluster, root, other)
        await nothing_was_spent_twice(cluster, root)

        await all_slots_are_to_be_had(cluster, root, other, LIMIT)


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

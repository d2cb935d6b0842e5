"""Two server processes, one API server, and everything at the same moment. SOAK=1 runs many more rounds."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from tests.faults.cluster import Cluster
from tests.faults.paths import ledger_holds
from tests.faults.servers import Answer, Rules, Server, serve
from tests.localplane.waiting import until

ROUNDS = 200 if os.environ.get("SOAK") else 20
AT_ONCE = 40
LIMIT = 3


class Two(NamedTuple):
    """Two servers that share nothing but the API server, and a root for each round and test."""

    one: Server
    another: Server
    roots: list[Root]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    rules = Rules(tmp_path_factory.mktemp("rules"))
    rules.write()
    roots = [await cluster.onboard(f"race-{number}") for number in range(ROUNDS + 10)]
    async with serve(cluster, roots, rules) as one, serve(cluster, roots, rules) as another:
        yield Two(one, another, roots)


@pytest_asyncio.fixture
async def pair(cluster: Cluster, two: Two) -> AsyncIterator["Pair"]:
    """The two servers for one root that nobody used."""
    yield await _for_a_new_root(cluster, two)


class Pair(NamedTuple):
    """The two servers, called by one root."""

    root: Root
    one: Server
    another: Server


@pytest.mark.timeout(60 + 6 * ROUNDS)
async def test_forty_applies_at_once_on_two_servers_make_exactly_as_many_agents_as_the_limit(
    cluster: Cluster, two: Two
) -> None:
    for _ in range(ROUNDS):
        pair = await _for_a_new_root(cluster, two)
        proposals = await asyncio.gather(*(pair.one.propose(f"Question {number}") for number in range(AT_ONCE)))
        answers = await asyncio.gather(*(_either(pair, number).apply(it) for number, it in enumerate(proposals)))
        assert Counter(answer["outcome"] for answer in answers) == {"allowed": LIMIT, "denied": AT_ONCE - LIMIT}
        assert _codes(answers) == {"quota.live_per_parent"}
        made = {answer["agent"] for answer in answers if answer["outcome"] == "allowed"}
        assert {agent["metadata"]["name"] for agent in await cluster.agents_of(pair.root)} == made
        assert await ledger_holds(cluster, pair.root) == made
        assert (await cluster.ledger_of(pair.root))["spawned"] == LIMIT
        retired = await asyncio.gather(*(pair.another.retire(agent) for agent in made))
        assert {answer["phase"] for answer in retired} == {"retired"}
        assert await cluster.agents_of(pair.root) == []
        assert await ledger_holds(cluster, pair.root) == set()


async def test_the_same_propose_at_once_on_two_servers_is_one_proposal(cluster: Cluster, pair: Pair) -> None:
    answers = await asyncio.gather(*(_either(pair, number).propose() for number in range(10)))
    assert {answer["outcome"] for answer in answers} == {"allowed"}
    assert len({(answer["proposal"], answer["digest"]) for answer in answers}) == 1
    assert len(await cluster.proposals_of(pair.root)) == 1
    assert len((await cluster.ledger_of(pair.root))["open"]) == 1


async def test_the_same_apply_at_once_on_two_servers_is_one_agent(cluster: Cluster, pair: Pair) -> None:
    proposal = await pair.one.propose()
    answers = await asyncio.gather(*(_either(pair, number).apply(proposal) for number in range(10)))
    assert {answer["outcome"] for answer in answers} == {"allowed"}
    (agent,) = await cluster.agents_of(pair.root)
    assert {(answer["agent"], answer["uid"]) for answer in answers} == {
        (agent["metadata"]["name"], agent["metadata"]["uid"])
    }
    assert (await cluster.ledger_of(pair.root))["spawned"] == 1
    assert await ledger_holds(cluster, pair.root) == {agent["metadata"]["name"]}


async def test_after_it_was_retired_the_same_request_makes_a_new_proposal(cluster: Cluster, pair: Pair) -> None:
    first = await pair.one.propose()
    agent = (await pair.another.apply(first))["agent"]
    assert (await pair.one.propose())["proposal"] == first["proposal"]
    assert (await pair.one.retire(agent))["phase"] == "retired"
    second = await pair.another.propose()
    assert second["proposal"] != first["proposal"]
    assert (await pair.one.apply(second))["agent"] == second["proposal"]
    assert [one["metadata"]["name"] for one in await cluster.agents_of(pair.root)] == [second["proposal"]]


async def test_retire_and_apply_of_one_proposal_at_once_never_leave_an_agent_without_a_slot(
    cluster: Cluster, pair: Pair
) -> None:
    proposal = await pair.one.propose()
    applied, retired = await asyncio.gather(pair.one.apply(proposal), pair.another.retire(proposal["proposal"]))
    assert retired["outcome"] == "allowed", (applied, retired)
    await _either(pair, 1).retire(proposal["proposal"])
    assert await cluster.agents_of(pair.root) == []

    async def free() -> bool:
        return await ledger_holds(cluster, pair.root) == set()

    await until(free)  # an apply that took its own Agent back frees the slot after its answer


async def test_the_same_retire_at_once_on_two_servers_frees_one_slot(cluster: Cluster, pair: Pair) -> None:
    agents = [(await pair.one.apply(await pair.one.propose(f"Question {number}")))["agent"] for number in range(2)]
    answers = await asyncio.gather(*(_either(pair, number).retire(agents[0]) for number in range(6)))
    assert {answer["phase"] for answer in answers} == {"retired"}
    assert await ledger_holds(cluster, pair.root) == {agents[1]}
    await pair.one.retire(agents[1])


async def _for_a_new_root(cluster: Cluster, two: Two) -> Pair:
    root = two.roots.pop()
    token = await cluster.token_of(root)
    return Pair(root, two.one.of(token), two.another.of(token))


def _either(pair: Pair, number: int) -> Server:
    return pair.another if number % 2 else pair.one


def _codes(answers: list[Answer]) -> set[str]:
    return {reason["code"] for answer in answers for reason in answer["reasons"]}

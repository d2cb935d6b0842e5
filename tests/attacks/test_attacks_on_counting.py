"""The limits are a root's, whoever counts: not a server's, a session's, a moment's or a name's."""

import asyncio
from collections import Counter

from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import TOPIC, Orchestrator, codes, message

LIMIT = 3


async def test_many_applies_at_once_on_two_servers_make_as_many_agents_as_the_limit(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    proposals = [await orchestrator.propose(f"Question {number}") for number in range(9)]
    servers = [orchestrator.at(url) for url in field.urls]
    answers = await asyncio.gather(*(servers[number % 2].apply(it) for number, it in enumerate(proposals)))

    assert Counter(answer["outcome"] for answer in answers) == {"allowed": LIMIT, "denied": len(proposals) - LIMIT}
    assert len(await field.cluster.agents_of(orchestrator.root)) == LIMIT


async def test_making_and_retiring_in_a_loop_ends_at_the_days_limit(field: Battlefield) -> None:
    caller = await field.caller("attack-two-a-day")
    for number in range(2):
        await caller.retire(await caller.spawn(f"Round {number}"))

    assert codes(await caller.apply(await caller.propose("Round 3"))) == {"quota.spawned_per_root_per_day"}
    assert await field.cluster.agents_of(caller.root) == []


async def test_what_fails_at_the_api_server_gives_its_place_back_and_counts_as_a_change(field: Battlefield) -> None:
    caller = await field.caller("attack-three-changes")
    proposal = await caller.propose()
    async with field.human_agent(proposal["proposal"]):
        assert codes(await caller.apply(proposal)) == {"proposal.name_taken"}
    again = await caller.propose("Again")
    ledger = await field.cluster.ledger_of(caller.root)

    assert ledger["live"] == {}
    assert len(ledger["changes"]) == 3
    assert codes(await caller.apply(again)) == {"rate.changes_per_minute"}


async def test_the_same_request_over_and_over_is_one_proposal_and_one_agent(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    proposals = await asyncio.gather(*(orchestrator.at(field.urls[number % 2]).propose() for number in range(10)))
    applied = await asyncio.gather(
        *(orchestrator.at(field.urls[number % 2]).apply(it) for number, it in enumerate(proposals))
    )
    again = await orchestrator.apply(proposals[0])

    assert len({proposal["proposal"] for proposal in proposals}) == 1
    assert len({answer["uid"] for answer in [*applied, again]}) == 1
    assert (await field.cluster.ledger_of(orchestrator.root))["spawned"] == 1


async def test_a_proposal_whose_agent_is_gone_makes_no_other(field: Battlefield, orchestrator: Orchestrator) -> None:
    proposal = await orchestrator.propose()
    await orchestrator.retire((await orchestrator.apply(proposal))["agent"])

    assert codes(await orchestrator.apply(proposal)) == {"proposal.spent"}
    assert await field.cluster.agents_of(orchestrator.root) == []


async def test_one_request_is_one_call_and_a_batch_is_none(field: Battlefield, orchestrator: Orchestrator) -> None:
    one = message("tools/call", name="propose_subagent", arguments={"template": "researcher", "purpose": "x"})
    answered = await orchestrator.post([one, one | {"id": 2}])

    assert answered.status_code == 400
    assert await field.cluster.proposals_of(orchestrator.root) == []


async def test_what_is_wrong_in_one_place_is_refused_as_a_whole(field: Battlefield, orchestrator: Orchestrator) -> None:
    mixed = await orchestrator.propose(
        parameters=[TOPIC, {"name": "depth", "value": "9"}], tools=["web-search/search"], model="other-model"
    )

    assert mixed["outcome"] == "denied"
    assert await field.cluster.proposals_of(orchestrator.root) == []
    assert (await field.cluster.ledger_of(orchestrator.root))["open"] == {}


async def test_who_is_refused_over_and_over_is_slowed_and_nobody_else(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    caller = await field.newcomer()
    body = message("tools/call", name="get_subagent", arguments={"agent": "sub-never-was"})
    answers = await asyncio.gather(*(caller.post(body) for _ in range(120)))
    heard = set().union(*(codes(answer.json()["result"]["structuredContent"]) for answer in answers))

    assert heard == {"agent.unknown", "rate.refusals"}
    assert codes(await orchestrator.call("get_subagent", agent="sub-never-was")) == {"agent.unknown"}


async def test_an_open_proposal_takes_a_place_until_it_is_withdrawn(field: Battlefield) -> None:
    caller = await field.caller("attack-one-open")
    first = await caller.propose("One")

    assert codes(await caller.propose("Two")) == {"quota.open_proposals"}
    assert (await caller.retire(first["proposal"]))["phase"] == "lapsed"
    assert (await caller.propose("Two"))["outcome"] == "allowed"

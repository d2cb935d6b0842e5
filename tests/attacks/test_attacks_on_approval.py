"""Where the risk asks for a person, a person decides: another one, in time, on these very bytes, once."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import TOPIC, Orchestrator, codes
from tests.attacks.people import APPROVALS, Person
from tests.faults.cluster import SERVER
from tests.localplane.waiting import until

PENDING = ("pending_approval", {"approval.waiting"})


@pytest.fixture
def alice(field: Battlefield) -> Person:
    return Person(field.cluster, "alice")


@pytest.fixture
def bob(field: Battlefield) -> Person:
    return Person(field.cluster, "bob")


async def _said(orchestrator: Orchestrator, proposal: dict[str, str]) -> tuple[str, set[str]]:
    answer = await orchestrator.apply(proposal)
    return answer["outcome"], {reason["code"] for reason in answer["reasons"]}


async def test_a_risky_agent_waits_for_a_person_and_is_made_when_one_has_approved(
    field: Battlefield, orchestrator: Orchestrator, alice: Person
) -> None:
    proposal = await orchestrator.propose(template="careful")

    assert await _said(orchestrator, proposal) == PENDING
    assert await field.cluster.agents_of(orchestrator.root) == []
    assert await alice.decide(proposal) == 201
    assert await _said(orchestrator, proposal) == ("allowed", set())
    assert len(await field.cluster.agents_of(orchestrator.root)) == 1


async def test_an_apply_that_waits_goes_on_when_a_person_has_approved(
    orchestrator: Orchestrator, alice: Person
) -> None:
    proposal = await orchestrator.propose(template="careful")
    assert await _said(orchestrator, proposal) == PENDING
    waiting = asyncio.create_task(orchestrator.apply(proposal, wait_seconds=20))
    await alice.decide(proposal)

    assert (await waiting)["outcome"] == "allowed"


async def test_the_highest_risk_asks_for_two_different_people(
    orchestrator: Orchestrator, alice: Person, bob: Person
) -> None:
    proposal = await orchestrator.propose(template="grave")
    await alice.decide(proposal)
    again = await Person(alice.cluster, "alice", (*alice.groups, "another")).decide(proposal, reason="Once more")

    assert again == 409
    assert await _said(orchestrator, proposal) == PENDING
    await bob.decide(proposal)
    assert await _said(orchestrator, proposal) == ("allowed", set())


async def test_one_no_outweighs_every_yes(orchestrator: Orchestrator, alice: Person, bob: Person) -> None:
    proposal = await orchestrator.propose(template="careful")
    await bob.decide(proposal, "deny")
    await alice.decide(proposal)

    assert await _said(orchestrator, proposal) == ("denied", {"approval.denied"})


async def test_nobody_approves_through_the_agents_side(
    field: Battlefield, orchestrator: Orchestrator, alice: Person
) -> None:
    proposal = await orchestrator.propose(template="careful")
    account = f"system:serviceaccount:{orchestrator.root.namespace}:{orchestrator.root.account}"
    groups = ("system:serviceaccounts", *alice.groups)
    for name in (account, orchestrator.root.virtual_user, SERVER, "agentspawn:agents:somebody"):
        assert await Person(field.cluster, name, groups).decide(proposal) == 422
    assert await alice.decide(proposal, decider="bob") == 422
    assert await Person(field.cluster, "carol", ()).decide(proposal) == 403
    token = await field.cluster.token_of(orchestrator.root, audience="")
    url = field.cluster.plane.url + APPROVALS
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        context = field.cluster.plane.connection("").ssl_context()
        async with session.post(url, json={}, ssl=context) as response:
            assert response.status == 403

    assert await _said(orchestrator, proposal) == PENDING


@pytest.mark.parametrize("changes", [{"digest": f"sha256:{'0' * 64}"}, {"proposalUid": "another"}])
async def test_a_decision_on_other_bytes_or_another_object_is_none(
    orchestrator: Orchestrator, alice: Person, changes: dict[str, str]
) -> None:
    proposal = await orchestrator.propose(template="careful")
    await alice.decide(proposal, **changes)

    assert await _said(orchestrator, proposal) == PENDING


async def test_a_decision_on_one_proposal_is_none_on_its_like(orchestrator: Orchestrator, alice: Person) -> None:
    approved = await orchestrator.propose(template="careful")
    other = await orchestrator.propose(
        template="careful", parameters=[{"name": "topic", "value": "Something else"}], tools=["web-search/fetch"]
    )
    await alice.decide(approved)

    assert codes(await orchestrator.apply(approved | {"digest": other["digest"]})) == {"proposal.digest"}
    assert codes(await orchestrator.apply(other | {"digest": approved["digest"]})) == {"proposal.digest"}
    assert await _said(orchestrator, other) == PENDING


@pytest.mark.parametrize("decision", ["maybe", "APPROVE", "", "approved"])
async def test_a_verdict_is_one_of_two_words(orchestrator: Orchestrator, alice: Person, decision: str) -> None:
    proposal = await orchestrator.propose(template="careful")

    assert await alice.decide(proposal, decision) == 422
    assert await _said(orchestrator, proposal) == PENDING


async def test_a_decision_is_used_once(field: Battlefield, orchestrator: Orchestrator, alice: Person) -> None:
    proposal = await orchestrator.propose(template="careful")
    await alice.decide(proposal)
    answers = await asyncio.gather(*(orchestrator.at(field.urls[n % 2]).apply(proposal) for n in range(6)))
    await orchestrator.retire(answers[0]["agent"])

    assert len({answer["uid"] for answer in answers}) == 1
    assert codes(await orchestrator.apply(proposal)) == {"proposal.spent"}
    assert await field.cluster.agents_of(orchestrator.root) == []


async def test_a_late_decision_never_revives_a_proposal(field: Battlefield) -> None:
    caller, alice = await field.caller("attack-impatient"), Person(field.cluster, "alice")
    proposal = await caller.propose(template="careful")

    async def expired() -> bool:
        return bool((await caller.apply(proposal))["outcome"] == "stale")

    await until(expired)
    await alice.decide(proposal)
    assert codes(await caller.apply(proposal)) in ({"proposal.expired"}, {"proposal.lapsed"})  # given up since, or not
    assert await field.cluster.agents_of(caller.root) == []


async def test_what_drifted_after_the_decision_is_stale_whatever_was_decided(
    field: Battlefield, orchestrator: Orchestrator, alice: Person
) -> None:
    proposal = await orchestrator.propose(template="careful")
    await alice.decide(proposal)
    async with field.changed_template("careful"):
        answer = await orchestrator.apply(proposal)

    assert (answer["outcome"], codes(answer)) == ("stale", {"proposal.template_changed"})
    assert await field.cluster.agents_of(orchestrator.root) == []


RAISED: dict[str, dict[str, Any]] = {
    "a sensitive tool": {"template": "handy", "tools": ["web-search/fetch"]},
    "depth left": {"template": "spawner"},
    "a long life": {"lifetime_minutes": 240, "template": "handy"},
}


@pytest.mark.parametrize("what", RAISED)
async def test_what_a_low_risk_asks_for_raises_it(field: Battlefield, what: str) -> None:
    caller = await field.caller("attack-depth-2")
    plain = await caller.propose(f"Without {what}", template="handy")
    raised = await caller.propose(f"With {what}", **RAISED[what])

    assert (plain["risk"], raised["risk"]) == ("low", "medium")
    assert await _said(caller, raised) == PENDING


async def test_a_flood_of_proposals_fills_the_callers_own_places_only(
    field: Battlefield, orchestrator: Orchestrator, alice: Person
) -> None:
    flooder = await field.caller("attack-three-open")
    answers = [await flooder.propose(f"Please {number}", template="careful") for number in range(6)]
    waiting = await orchestrator.propose(template="careful")

    assert [answer["outcome"] for answer in answers] == ["pending_approval"] * 3 + ["denied"] * 3
    assert len({(await orchestrator.propose(template="careful"))["proposal"], waiting["proposal"]}) == 1
    assert await alice.decide(waiting) == 201


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x1b[2J", "\u2066", "\u3164", "\r", "\U000e0041"])
async def test_nothing_that_a_person_could_not_see_is_put_before_one(field: Battlefield, hidden: str) -> None:
    caller = await field.anyone()
    in_purpose = await caller.propose(f"Harmless{hidden}", template="careful")
    in_value = await caller.propose("x", template="careful", parameters=[TOPIC | {"value": f"Harm{hidden}less"}])

    assert "parameters.hidden_characters" in codes(in_purpose)
    assert "parameters.hidden_characters" in codes(in_value)

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.guard import Rendered
from mcp_agentspawn.core.model import Approval, Proposal, RestsOn, Risk
from mcp_agentspawn.core.verdict import Allow, Deny, Hold
from mcp_agentspawn.guards.approval import ApprovalGuard
from tests.builders import NOON, ROOT, template
from tests.guards.cases import ID, FixedFacts, codes, rendered

DIGEST = "sha256:d"


def case(risk: Risk = "medium", *, stored: bool = True, **changes: Any) -> Rendered:
    made = rendered(known=template(risk=risk), **changes)
    return replace(made, proposal=_proposal(made, risk)) if stored else made


def _proposal(made: Rendered, risk: Risk) -> Proposal:
    return Proposal(
        id=ID,
        root=ROOT.name,
        parent="",
        home="subagents",
        request=made.request,
        template_hash="sha256:t",
        request_digest="sha256:r",
        digest=DIGEST,
        risk=risk,
        expires_at=NOON + timedelta(hours=1),
        manifest="{}",
        grant=made.grant,
        rests_on=RestsOn(),
        uid="uid-1",
    )


def yes(decider: str = "alice", **changes: Any) -> Approval:
    approval = Approval(f"{ID}.{decider}", ID, "uid-1", DIGEST, "approve", decider, decided_at=NOON)
    return replace(approval, **changes)


async def judge(made: Rendered, *decided: Approval, guard: ApprovalGuard | None = None) -> Allow | Deny | Hold:
    return await (guard or ApprovalGuard()).check(made, FixedFacts(decided=decided))


async def test_low_risk_asks_nobody() -> None:
    assert await judge(case("low")) == Allow()


async def test_a_denial_is_heard_although_nobody_was_asked() -> None:
    assert codes(await judge(case("low"), yes(decision="deny"))) == ["approval.denied"]


@pytest.mark.parametrize(("risk", "fresh"), [("low", False), ("medium", True), ("high", True)])
async def test_where_people_are_asked_only_what_they_said_by_now_counts(risk: Risk, fresh: bool) -> None:
    facts = FixedFacts()
    await ApprovalGuard().check(case(risk), facts)

    assert facts.asked_freshly == [fresh]


@pytest.mark.parametrize(("risk", "people"), [("medium", 1), ("high", 2)])
async def test_risk_asks_so_many_different_people(risk: Risk, people: int) -> None:
    deciders = [yes(name) for name in ("alice", "bob")]

    assert isinstance(await judge(case(risk), *deciders[: people - 1]), Hold)
    assert await judge(case(risk), *deciders[:people]) == Allow()


async def test_one_person_under_two_names_is_one_person() -> None:
    twice = (yes(name=f"{ID}.one"), yes(name=f"{ID}.two"))

    assert isinstance(await judge(case("high"), *twice), Hold)


async def test_what_is_only_proposed_is_held_whatever_was_approved() -> None:
    assert isinstance(await judge(case(stored=False), yes()), Hold)


@pytest.mark.parametrize(
    "other",
    [
        {"proposal": "sub-researcher-other"},
        {"proposal_uid": "uid-2"},
        {"digest": "sha256:other"},
        {"decider": "system:serviceaccount:agents:orchestrator"},
        {"decider": "system:admin"},
        {"decider": "agentspawn:agents:orchestrator"},
        {"decided_at": None},
        {"decided_at": NOON + timedelta(hours=1, seconds=1)},
    ],
)
@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_a_decision_on_anything_else_by_anybody_else_or_too_late_decides_nothing(
    other: dict[str, Any], decision: str
) -> None:
    assert isinstance(await judge(case(), yes(**{"decision": decision, **other})), Hold)


async def test_one_who_says_no_outweighs_those_who_say_yes() -> None:
    said_no = yes("bob", decision="deny")

    assert codes(await judge(case("high"), yes("alice"), yes("carol"), said_no)) == ["approval.denied"]


async def test_a_decision_in_the_last_second_counts() -> None:
    assert await judge(case(), yes(decided_at=NOON + timedelta(hours=1))) == Allow()


async def test_a_policy_can_ask_for_more_than_a_template_and_never_for_less() -> None:
    assert isinstance(await judge(case("low"), guard=ApprovalGuard(at_least="medium")), Hold)
    assert isinstance(await judge(case("high"), yes(), guard=ApprovalGuard(at_least="low")), Hold)


async def test_what_was_proposed_as_risky_stays_so_although_the_template_says_less_now() -> None:
    made = case("low")
    assert made.proposal is not None
    was_high = replace(made, proposal=replace(made.proposal, risk="high"))

    assert isinstance(await judge(was_high, yes()), Hold)


def test_a_person_is_waited_for_at_most_a_day() -> None:
    with pytest.raises(ValidationError):
        ApprovalGuard.model_validate({"wait": "25h"})
    assert ApprovalGuard.model_validate({"wait": "24h"}).wait == timedelta(hours=24)

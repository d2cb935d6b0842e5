"""What became of the work of others of its kind asks for a person, and only for its own root."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.guard import Rendered
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Risk
from mcp_agentspawn.core.outcomes import Outcomes
from mcp_agentspawn.core.verdict import Allow, Hold
from mcp_agentspawn.guards.approval import MOST_AFTER_TASKS, ApprovalGuard
from tests.builders import CALLER, ROOT, registry_entry, template
from tests.guards.cases import FixedFacts, is_sentence, rendered
from tests.guards.test_approval import case, yes

TEMPLATE = "template:researcher"
NAME = "main/default/summarizer"
ENTRY = f"entry:{NAME}"
POOR = Outcomes(6, 4)


def of_template(record: Outcomes) -> Ledger:
    return Ledger(ROOT.name, outcomes={TEMPLATE: record})


def of_entry(record: Outcomes) -> Ledger:
    return Ledger(ROOT.name, outcomes={ENTRY: record})


@dataclass
class Reading(FixedFacts):
    """Facts that write down how freshly the ledger was asked for."""

    reads: list[bool] = field(default_factory=list)

    async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
        self.reads.append(fresh)
        return await super().ledger(caller, fresh=fresh)


async def held_by(ledger: Ledger, guard: ApprovalGuard | None = None, made: Rendered | None = None) -> list[str]:
    """The codes by which it is held; none when it is let through."""
    verdict = await (guard or ApprovalGuard()).check(made or case("low"), FixedFacts(held=ledger))
    assert isinstance(verdict, Allow | Hold)
    reasons = verdict.reasons if isinstance(verdict, Hold) else ()
    assert all(map(is_sentence, reasons))
    return [reason.code for reason in reasons]


RECORDED = ["approval.waiting", "approval.record"]


@pytest.mark.parametrize(
    ("record", "codes"),
    [
        (Outcomes(), []),
        (Outcomes(4, 0), []),
        (Outcomes(5, 3), RECORDED),
        (Outcomes(5, 4), []),
        (Outcomes(10, 7), []),
        (Outcomes(10, 6), RECORDED),
        (Outcomes(4, 3, quarantines=1), RECORDED),
        (Outcomes(3, 3, quarantines=1), []),
        (Outcomes(quarantines=5), RECORDED),
        (Outcomes(9, 7, quarantines=1), []),
        (Outcomes(9, 7, quarantines=2), RECORDED),
    ],
)
async def test_too_small_a_share_of_enough_tasks_asks_for_a_person(record: Outcomes, codes: list[str]) -> None:
    assert await held_by(of_template(record)) == codes
    assert await held_by(of_template(record), made=case("low", stored=False)) == codes


async def test_the_policy_says_how_small_and_after_how_many() -> None:
    strict = ApprovalGuard(least_score=1, after_tasks=1)

    assert await held_by(of_template(Outcomes(1, 0)), strict) == RECORDED
    assert await held_by(of_template(Outcomes(100, 99)), strict) == RECORDED
    assert await held_by(of_template(Outcomes(100, 100)), strict) == []
    assert await held_by(of_template(Outcomes(quarantines=100)), ApprovalGuard(least_score=0)) == []


async def test_the_record_of_the_registry_entry_asks_for_a_person_as_that_of_the_template_does() -> None:
    request = replace(case("low").request, entry=str(registry_entry().handle))
    made = replace(case("low"), request=request)

    assert await held_by(of_entry(POOR), made=made) == RECORDED
    assert await held_by(replace(of_entry(POOR), outcomes={ENTRY: POOR, TEMPLATE: POOR}), made=made) == [
        *RECORDED,
        "approval.record",
    ]
    assert await held_by(of_entry(POOR)) == []


async def test_one_person_who_approves_is_enough_for_a_poor_record() -> None:
    facts = FixedFacts(held=of_template(POOR), decided=(yes(),))

    assert await ApprovalGuard().check(case("low"), facts) == Allow()


async def test_where_people_are_asked_because_of_the_record_only_what_they_said_by_now_counts() -> None:
    facts = FixedFacts(held=of_template(POOR))
    await ApprovalGuard().check(case("low"), facts)

    assert facts.asked_freshly == [True]


@pytest.mark.parametrize(("own", "risk"), [("low", "medium"), ("medium", "medium"), ("high", "high")])
def test_a_poor_record_makes_a_risk_medium_at_least(own: Risk, risk: Risk) -> None:
    known = template(risk=own)

    assert ApprovalGuard().risk(known, rendered().request, outcomes={TEMPLATE: POOR}) == risk
    assert ApprovalGuard().risk(known, rendered().request) == own


async def test_what_people_are_asked_about_anyway_says_the_record_too() -> None:
    assert await held_by(of_template(POOR), made=case("high")) == RECORDED


def test_it_is_said_in_the_caller_s_own_numbers_and_names() -> None:
    outcomes = {TEMPLATE: Outcomes(6, 2, quarantines=1), ENTRY: Outcomes(5, 1, quarantines=2), "template:other": POOR}
    request = replace(rendered().request, entry=str(registry_entry().handle))

    assert [reason.message for reason in ApprovalGuard().doubts(request, outcomes)] == [
        "2 of 6 tasks succeeded and 1 agent was quarantined with template researcher, so a person is asked.",
        f"1 of 5 tasks succeeded and 2 agents were quarantined with registry entry {NAME}, so a person is asked.",
    ]


async def test_who_is_held_by_an_old_copy_is_held_and_one_that_is_near_is_looked_at_afresh() -> None:
    old = Reading(held=of_template(Outcomes(20, 20)), stale=of_template(POOR))
    near = Reading(held=of_template(POOR), stale=of_template(Outcomes(6, 6)))
    far = Reading(held=of_template(POOR), stale=of_template(Outcomes(20, 20)))

    assert isinstance(await ApprovalGuard().check(case("low"), old), Hold)
    assert isinstance(await ApprovalGuard().check(case("low"), near), Hold)
    assert await ApprovalGuard().check(case("low"), far) == Allow()
    assert (old.reads, near.reads, far.reads) == ([False], [False, True], [False])


@pytest.mark.parametrize(("after", "reads"), [(4, [False, True]), (5, [False])])
async def test_without_a_record_it_is_near_where_few_ends_decide(after: int, reads: list[bool]) -> None:
    facts = Reading(stale=Ledger(ROOT.name))
    await ApprovalGuard(after_tasks=after).check(case("low"), facts)

    assert facts.reads == reads


async def test_where_people_are_asked_anyway_no_fresh_record_is_needed() -> None:
    facts = Reading(stale=of_template(Outcomes(6, 6)))
    await ApprovalGuard().check(case("medium"), facts)

    assert facts.reads == [False]


async def test_the_record_is_that_of_the_caller_s_own_root() -> None:
    asked_for: list[Caller] = []

    class Whose(FixedFacts):
        async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
            asked_for.append(caller)
            return await super().ledger(caller, fresh=fresh)

    await ApprovalGuard(after_tasks=1).check(case("low"), Whose(stale=Ledger(ROOT.name)))

    assert asked_for == [CALLER, CALLER]


@pytest.mark.parametrize(
    "section",
    [
        {"least_score": -0.1},
        {"least_score": 1.1},
        {"least_score": float("nan")},
        {"least_score": "0.7"},
        {"least_score": None},
        {"after_tasks": 0},
        {"after_tasks": MOST_AFTER_TASKS + 1},
        {"after_tasks": 2.5},
        {"after_tasks": None},
        {"least": 0.5},
    ],
)
def test_a_score_is_a_share_and_a_number_of_tasks_is_counted(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApprovalGuard.model_validate(section)


def test_the_bounds_themselves_may_be_set() -> None:
    for section in ({"least_score": 0}, {"least_score": 1}, {"after_tasks": 1}, {"after_tasks": MOST_AFTER_TASKS}):
        assert ApprovalGuard.model_validate(section)
    assert (ApprovalGuard().least_score, ApprovalGuard().after_tasks) == (0.7, 5)

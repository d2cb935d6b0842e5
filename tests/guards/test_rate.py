from dataclasses import replace

import pytest

from mcp_agentspawn.core.guard import Step
from mcp_agentspawn.core.ledger import Change, Ledger
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.guards.rate import ChangeRate
from tests.builders import CALLER, NOON, ROOT
from tests.guards.cases import FixedFacts, codes, ledger

NESTED = Caller(ROOT, "sub-a")
GUARD = ChangeRate(changes_per_minute=2)


@pytest.mark.parametrize("step", ["propose", "apply"])
def test_the_window_is_full_at_its_limit(step: Step) -> None:
    assert codes(GUARD.judge(step, CALLER, ledger(changes=1), NOON)) == []
    assert codes(GUARD.judge(step, CALLER, ledger(changes=2), NOON)) == ["rate.changes_per_minute"]


def test_zero_allows_none() -> None:
    verdict = ChangeRate(changes_per_minute=0).judge("propose", CALLER, ledger(), NOON)

    assert codes(verdict) == ["rate.changes_per_minute"]


def made(*callers: str) -> Ledger:
    return Ledger(ROOT.name, changes=tuple(Change(NOON, caller) for caller in callers))


def test_each_caller_of_a_tree_has_a_window_of_its_own_within_that_of_the_tree() -> None:
    wide = ChangeRate(changes_per_minute=2, changes_per_minute_per_root=5)

    assert codes(wide.judge("propose", NESTED, made("", "", "sub-b", "sub-b"), NOON)) == []
    assert codes(wide.judge("propose", NESTED, made("sub-a", "sub-a"), NOON)) == ["rate.changes_per_minute"]
    assert codes(wide.judge("propose", NESTED, made("sub-b", "sub-b", "sub-c"), NOON)) == [
        "rate.changes_per_minute_per_root"
    ]


def test_subagents_leave_the_root_its_own_share() -> None:
    wide = ChangeRate(changes_per_minute=2, changes_per_minute_per_root=3)
    theirs = made("sub-a")

    assert codes(wide.judge("propose", Caller(ROOT, "sub-b"), theirs, NOON)) == ["rate.changes_per_minute_per_root"]
    assert codes(wide.judge("propose", CALLER, theirs, NOON)) == []
    assert codes(wide.judge("propose", CALLER, made("", "", "sub-a"), NOON)) == [
        "rate.changes_per_minute",
        "rate.changes_per_minute_per_root",
    ]


def test_a_tree_whose_window_is_not_said_has_twice_that_of_one_caller() -> None:
    assert codes(GUARD.judge("propose", NESTED, made("sub-b"), NOON)) == []
    assert codes(GUARD.judge("propose", NESTED, made("sub-b", "sub-b"), NOON)) == ["rate.changes_per_minute_per_root"]


async def test_nobody_is_refused_because_of_an_old_look() -> None:
    facts = FixedFacts(stale=ledger(changes=2), held=ledger(changes=1))

    assert codes(await GUARD.look("propose", CALLER, facts)) == []
    assert codes(await GUARD.look("propose", CALLER, replace(facts, held=ledger(changes=2)))) == [
        "rate.changes_per_minute"
    ]


async def test_an_old_look_that_has_room_is_enough_to_go_on() -> None:
    facts = FixedFacts(stale=ledger(changes=1), held=ledger(changes=2))

    assert codes(await GUARD.look("propose", CALLER, facts)) == []

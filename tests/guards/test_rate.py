from dataclasses import replace

import pytest

from mcp_agentspawn.core.guard import Step
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.guards.rate import ChangeRate
from tests.builders import CALLER, NOON, ROOT
from tests.guards.cases import FixedFacts, codes, ledger

GUARD = ChangeRate(changes_per_minute=2)


@pytest.mark.parametrize("step", ["propose", "apply"])
def test_the_window_is_full_at_its_limit(step: Step) -> None:
    assert codes(GUARD.judge(step, CALLER, ledger(changes=1), NOON)) == []
    assert codes(GUARD.judge(step, CALLER, ledger(changes=2), NOON)) == ["rate.changes_per_minute"]


def test_zero_allows_none() -> None:
    verdict = ChangeRate(changes_per_minute=0).judge("propose", CALLER, ledger(), NOON)

    assert codes(verdict) == ["rate.changes_per_minute"]


def test_other_callers_of_the_tree_do_not_count() -> None:
    assert codes(GUARD.judge("propose", Caller(ROOT, "sub-a"), ledger(changes=2), NOON)) == []


async def test_nobody_is_refused_because_of_an_old_look() -> None:
    facts = FixedFacts(stale=ledger(changes=2), held=ledger(changes=1))

    assert codes(await GUARD.look("propose", CALLER, facts)) == []
    assert codes(await GUARD.look("propose", CALLER, replace(facts, held=ledger(changes=2)))) == [
        "rate.changes_per_minute"
    ]


async def test_an_old_look_that_has_room_is_enough_to_go_on() -> None:
    facts = FixedFacts(stale=ledger(changes=1), held=ledger(changes=2))

    assert codes(await GUARD.look("propose", CALLER, facts)) == []

"""Repair at the very moment, and where two readings of the world do not fit together."""

from dataclasses import replace
from datetime import timedelta

from mcp_agentspawn.core.expiry import ABANDONED_AFTER, KEPT_FOR, Action, Seen, plan
from mcp_agentspawn.core.ledger import Ledger, Live, Open, Used
from mcp_agentspawn.core.model import Grant, Proposal, Request, Subagent
from tests.builders import NOON, ROOT

LIFE = timedelta(minutes=30)
UNTIL = NOON + timedelta(minutes=15)
REQUEST = Request("researcher", "Find out", {}, (), "default-model-config", LIFE)
STORED = Proposal(
    "sub-a", ROOT.name, "", ROOT.home, REQUEST, "t", "r", "d", "low", UNTIL, "{}", Grant((), (), LIFE), created_at=NOON
)
PARENT = Subagent("sub-p", "uid-p", ROOT.home, ROOT.virtual_user, "", "spawner", "r", LIFE, NOON)
EMPTY = Ledger(ROOT.name)
OPEN = replace(EMPTY, open={"sha256:r": Open("sub-a", UNTIL)})


def about(id_: str, world: Seen, after: timedelta) -> list[Action]:
    return [action for action in plan(NOON + after, world) if action.id == id_]


def test_an_open_proposal_is_left_alone_however_long_ago_it_was_made() -> None:
    assert about("sub-a", Seen({}, {"sub-a": STORED}, OPEN), 2 * ABANDONED_AFTER) == []


def test_a_proposal_that_is_no_longer_open_lapses_at_its_very_end() -> None:
    late = replace(STORED, created_at=UNTIL - timedelta(seconds=1))
    world = Seen({}, {"sub-a": late}, EMPTY)

    assert about("sub-a", world, timedelta(minutes=15)) == [Action("lapse", "sub-a")]
    assert about("sub-a", world, timedelta(minutes=15) - timedelta(microseconds=1)) == []


def test_a_proposal_of_a_parent_that_stands_is_left_alone() -> None:
    child = replace(STORED, parent="sub-p")
    with_place = replace(OPEN, live={"sub-p": Live(NOON, "n", "sha256:p")}, used={"sub-p": Used(NOON)})

    for ledger in (OPEN, with_place):
        assert about("sub-a", Seen({"sub-p": PARENT}, {"sub-a": child}, ledger), timedelta(minutes=1)) == []


def test_a_proposal_of_a_parent_past_its_time_lapses_although_the_parent_holds_its_place() -> None:
    child = replace(STORED, parent="sub-p", expires_at=NOON + timedelta(hours=2))
    ledger = replace(OPEN, live={"sub-p": Live(NOON, "n", "sha256:p")}, used={"sub-p": Used(NOON)})

    assert about("sub-a", Seen({"sub-p": PARENT}, {"sub-a": child}, ledger), LIFE) == [Action("lapse", "sub-a")]


def test_an_end_is_counted_from_whatever_came_last() -> None:
    made_late = replace(STORED, phase="retired", created_at=UNTIL + timedelta(hours=1))
    world = Seen({}, {"sub-a": made_late}, EMPTY)
    end = timedelta(minutes=15, hours=1) + KEPT_FOR

    assert about("sub-a", world, end - timedelta(seconds=1)) == []
    assert about("sub-a", world, end) == [Action("forget", "sub-a")]

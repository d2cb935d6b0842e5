from dataclasses import replace
from datetime import timedelta

import pytest

from mcp_agentspawn.core.expiry import ABANDONED_AFTER, KEPT_FOR, Action, Seen, plan
from mcp_agentspawn.core.ledger import Change, Ledger, Live, Open
from mcp_agentspawn.core.model import Grant, Phase, Proposal, Request, Subagent
from tests.builders import NOON, ROOT

REQUEST = Request("researcher", "Find out", {}, (), "default-model-config", timedelta(minutes=30))
LIVE = Live(NOON, "nonce", "sha256:r")
EMPTY = Ledger(ROOT.name)
HELD = replace(EMPTY, live={"sub-a": LIVE}, used={"sub-a": NOON})
OPEN = EMPTY.opened("sha256:r", Open("sub-a", NOON + timedelta(minutes=15)), Change(NOON))


def proposal(phase: Phase = "proposed") -> Proposal:
    until = NOON + timedelta(minutes=15)
    grant = Grant((), (), REQUEST.lifetime)
    stored = Proposal("sub-a", ROOT.name, "", ROOT.home, REQUEST, "t", "r", "d", "low", until, "{}", grant)
    return replace(stored, phase=phase, created_at=NOON)


def agent(**changes: object) -> Subagent:
    made = Subagent("sub-a", "uid-a", ROOT.home, ROOT.virtual_user, "", "researcher", "r", REQUEST.lifetime, NOON)
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's changes are its own


def seen(ledger: Ledger, *, stored: Proposal | None = None, standing: Subagent | None = None) -> Seen:
    return Seen({"sub-a": standing} if standing else {}, {"sub-a": stored} if stored else {}, ledger)


def due(world: Seen, after: timedelta = timedelta(0)) -> list[Action]:
    return list(plan(NOON + after, world))


def test_what_agrees_is_left_alone() -> None:
    assert due(seen(HELD, stored=proposal("starting"), standing=agent())) == []
    assert due(seen(OPEN, stored=proposal())) == []
    assert due(seen(EMPTY)) == []


def test_an_agent_whose_proposal_is_not_marked_gets_its_mark() -> None:
    assert due(seen(HELD, stored=proposal(), standing=agent())) == [Action("mark", "sub-a", uid="uid-a")]


@pytest.mark.parametrize(
    "world",
    [
        seen(EMPTY, stored=proposal("starting"), standing=agent()),
        seen(HELD, standing=agent()),
        seen(HELD, stored=proposal("lapsed"), standing=agent()),
        seen(HELD, stored=proposal("retired"), standing=agent()),
        seen(HELD, stored=replace(proposal("starting"), agent_uid="uid-of-its-first"), standing=agent()),
    ],
)
def test_an_agent_that_nothing_stands_behind_is_removed(world: Seen) -> None:
    assert due(world) == [Action("remove", "sub-a", uid="uid-a")]


def test_an_agent_that_is_on_its_way_out_is_left_to_go() -> None:
    assert due(seen(EMPTY, standing=agent(deleting=True))) == []


def test_an_agent_lives_to_the_end_of_its_lifetime_and_no_longer() -> None:
    world = seen(HELD, stored=proposal("starting"), standing=agent())

    assert due(world, REQUEST.lifetime - timedelta(seconds=1)) == []
    assert due(world, REQUEST.lifetime) == [Action("expire", "sub-a", uid="uid-a")]


@pytest.mark.parametrize("phase", ["starting", "ready", "lapsed", "retired"])
def test_a_slot_whose_agent_is_gone_is_released(phase: Phase) -> None:
    assert due(seen(HELD, stored=proposal(phase))) == [Action("release", "sub-a", nonce="nonce")]


def test_a_slot_without_a_proposal_is_released() -> None:
    assert due(seen(HELD)) == [Action("release", "sub-a", nonce="nonce")]


def test_a_reservation_is_given_up_only_when_nobody_can_be_using_it() -> None:
    world = seen(HELD, stored=proposal())

    assert due(world, ABANDONED_AFTER - timedelta(seconds=1)) == []
    assert due(world, ABANDONED_AFTER) == [Action("fence", "sub-a", nonce="nonce")]


def test_a_proposal_that_can_no_longer_be_applied_lapses() -> None:
    assert due(seen(EMPTY, stored=proposal()), timedelta(minutes=15)) == [Action("lapse", "sub-a")]
    assert due(seen(replace(OPEN, used={"sub-a": NOON}), stored=proposal()), ABANDONED_AFTER) == [
        Action("lapse", "sub-a")
    ]
    assert due(seen(EMPTY, stored=proposal()), timedelta(seconds=1)) == []


def test_a_proposal_whose_agent_is_gone_and_whose_slot_is_free_is_retired() -> None:
    assert due(seen(EMPTY, stored=proposal("starting"))) == [Action("retire", "sub-a")]


@pytest.mark.parametrize("phase", ["lapsed", "retired"])
def test_what_has_ended_is_kept_for_a_day(phase: Phase) -> None:
    ended = timedelta(minutes=15)

    assert due(seen(EMPTY, stored=proposal(phase)), ended + KEPT_FOR - timedelta(seconds=1)) == []
    assert due(seen(EMPTY, stored=proposal(phase)), ended + KEPT_FOR) == [Action("forget", "sub-a")]


def test_the_place_of_a_withdrawn_proposal_is_closed() -> None:
    assert due(seen(OPEN, stored=proposal("lapsed"))) == [Action("close", "sub-a")]

from dataclasses import replace
from datetime import timedelta

import pytest

from mcp_agentspawn.core.clearing import UNCLAIMED_KEPT_FOR, outdated, worn_out
from mcp_agentspawn.core.expiry import ABANDONED_AFTER, KEPT_FOR, UNUSED_KEPT_FOR, Action, Seen, plan
from mcp_agentspawn.core.ledger import Change, Ledger, Live, Open, Used
from mcp_agentspawn.core.model import Approval, Grant, Phase, Proposal, Request, Subagent
from mcp_agentspawn.core.switches import Reset
from tests.builders import NOON, ROOT

REQUEST = Request("researcher", "Find out", {}, (), "default-model-config", timedelta(minutes=30))
LIVE = Live(NOON, "nonce", "sha256:r")
EMPTY = Ledger(ROOT.name)
HELD = replace(EMPTY, live={"sub-a": LIVE}, used={"sub-a": Used(NOON)})
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


@pytest.mark.parametrize("phase", ["starting", "ready", "retired"])
def test_a_slot_whose_agent_is_gone_is_released(phase: Phase) -> None:
    assert due(seen(HELD, stored=proposal(phase))) == [Action("release", "sub-a", nonce="nonce")]


def test_the_slot_of_a_proposal_that_was_withdrawn_while_it_was_applied_is_kept_until_no_create_can_still_come() -> (
    None
):
    withdrawn = seen(HELD, stored=proposal("lapsed"))

    assert due(withdrawn, ABANDONED_AFTER - timedelta(seconds=1)) == []
    assert due(withdrawn, ABANDONED_AFTER) == [Action("release", "sub-a", nonce="nonce")]


def test_a_slot_without_a_proposal_is_released_when_the_proposal_can_not_be_newer_than_what_was_read() -> None:
    assert due(seen(HELD), ABANDONED_AFTER - timedelta(seconds=1)) == []
    assert due(seen(HELD), ABANDONED_AFTER) == [Action("release", "sub-a", nonce="nonce")]


def test_a_reservation_is_given_up_only_when_nobody_can_be_using_it() -> None:
    world = seen(HELD, stored=proposal())

    assert due(world, ABANDONED_AFTER - timedelta(seconds=1)) == []
    assert due(world, ABANDONED_AFTER) == [Action("fence", "sub-a", nonce="nonce")]


def test_a_proposal_that_can_no_longer_be_applied_lapses() -> None:
    assert due(seen(EMPTY, stored=proposal()), timedelta(minutes=15)) == [Action("lapse", "sub-a")]
    assert due(seen(replace(OPEN, used={"sub-a": Used(NOON)}), stored=proposal()), ABANDONED_AFTER) == [
        Action("lapse", "sub-a")
    ]
    assert due(seen(EMPTY, stored=proposal()), timedelta(seconds=1)) == []


def test_a_proposal_whose_agent_is_gone_and_whose_slot_is_free_is_retired() -> None:
    assert due(seen(EMPTY, stored=proposal("starting"))) == [Action("retire", "sub-a")]


@pytest.mark.parametrize("phase", ["lapsed", "retired"])
def test_what_has_ended_is_kept_for_a_day(phase: Phase) -> None:
    ended = timedelta(minutes=15)
    spent = replace(HELD, live={})

    assert due(seen(spent, stored=proposal(phase)), ended + KEPT_FOR - timedelta(seconds=1)) == []
    assert due(seen(spent, stored=proposal(phase)), ended + KEPT_FOR) == [Action("forget", "sub-a")]


def test_what_was_given_up_unused_is_soon_forgotten() -> None:
    """Whoever proposes and withdraws, again and again, leaves few behind."""
    assert due(seen(EMPTY, stored=proposal("lapsed")), UNUSED_KEPT_FOR - timedelta(seconds=1)) == []
    assert due(seen(EMPTY, stored=proposal("lapsed")), UNUSED_KEPT_FOR) == [Action("forget", "sub-a")]
    assert due(seen(EMPTY, stored=proposal("retired")), UNUSED_KEPT_FOR) == []


def test_the_place_of_a_withdrawn_proposal_is_closed() -> None:
    assert due(seen(OPEN, stored=proposal("lapsed"))) == [Action("close", "sub-a")]


def family(child: Subagent | Proposal, *, parent: Subagent | None, ledger: Ledger = HELD) -> Seen:
    """A child of `sub-p`, and what is seen of that."""
    agents = {"sub-p": parent} if parent else {}
    proposals = {"sub-p": replace(proposal("starting"), id="sub-p")}
    stored = child if isinstance(child, Proposal) else replace(proposal("starting"), parent=child.parent)
    if isinstance(child, Subagent):
        agents["sub-a"] = child
    return Seen(agents, {**proposals, "sub-a": stored}, ledger)


CHILD = agent(parent="sub-p")
PARENT = agent(id="sub-p", uid="uid-p", lifetime=timedelta(hours=2))
BOTH = replace(HELD, live={"sub-a": LIVE, "sub-p": LIVE})


def test_a_child_stays_while_its_parent_stands() -> None:
    assert due(family(CHILD, parent=PARENT, ledger=BOTH)) == []


@pytest.mark.parametrize(
    "parent", [None, replace(PARENT, deleting=True), replace(PARENT, lifetime=timedelta(seconds=1))]
)
def test_a_child_whose_parent_is_gone_leaving_or_expired_is_an_orphan(parent: Subagent | None) -> None:
    world = family(CHILD, parent=parent, ledger=BOTH)

    assert Action("orphan", "sub-a", uid="uid-a") in due(world, timedelta(seconds=1))


def test_a_roots_own_agent_has_no_parent_to_lose() -> None:
    assert due(seen(HELD, stored=proposal("starting"), standing=agent(parent=""))) == []


@pytest.mark.parametrize("parent", [None, replace(PARENT, deleting=True)])
def test_an_open_proposal_of_a_parent_that_is_gone_or_leaving_lapses(parent: Subagent | None) -> None:
    asked = replace(proposal(), parent="sub-p")

    assert Action("lapse", "sub-a") in due(family(asked, parent=parent, ledger=OPEN))


@pytest.mark.parametrize("parent", [None, PARENT])
def test_an_open_proposal_of_a_parent_that_stands_or_was_made_since_is_left_alone(parent: Subagent | None) -> None:
    asked = replace(proposal(), parent="sub-p")
    world = family(asked, parent=parent, ledger=replace(OPEN, live={"sub-p": replace(LIVE, at=NOON)}))

    assert "sub-a" not in [action.id for action in due(world)]


def test_a_decision_is_kept_while_its_proposal_is_there_and_for_a_day() -> None:
    decision = Approval("sub-a.alice", "sub-a", "uid", "sha256:d", "approve", "alice", decided_at=NOON)

    assert outdated(NOON + KEPT_FOR, [decision], {"sub-a"}) == []
    assert outdated(NOON + KEPT_FOR - timedelta(seconds=1), [decision], ()) == []
    assert outdated(NOON + KEPT_FOR, [replace(decision, decided_at=None)], ()) == []
    assert outdated(NOON + KEPT_FOR, [decision], ()) == [decision]


def test_a_reset_is_kept_for_as_long_as_it_says_anything() -> None:
    reset = Reset("one", ROOT.name, counts=True, at=NOON)

    assert worn_out(NOON + KEPT_FOR - timedelta(seconds=1), [reset], {}) == []
    assert worn_out(NOON + KEPT_FOR, [reset, replace(reset, at=None)], {}) == [reset]


def test_a_word_on_a_service_account_is_kept_until_that_account_has_spawned_or_for_a_month() -> None:
    reset = Reset("one", ROOT.name, account="uid-new", at=NOON)
    second = timedelta(seconds=1)

    assert worn_out(NOON + KEPT_FOR, [reset], {ROOT.name: "uid-new"}) == [reset]
    assert worn_out(NOON + KEPT_FOR - second, [reset], {ROOT.name: "uid-new"}) == []
    for accounts in ({}, {ROOT.name: ""}, {ROOT.name: "uid-old"}, {"agents/other": "uid-new"}):
        assert worn_out(NOON + UNCLAIMED_KEPT_FOR - second, [reset], accounts) == []
        assert worn_out(NOON + UNCLAIMED_KEPT_FOR, [reset], accounts) == [reset]

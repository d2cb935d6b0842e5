from dataclasses import replace
from datetime import timedelta

from mcp_agentspawn.core.ledger import (
    MOST_AUDIT_HEADS,
    RATE_WINDOW,
    SPAWN_WINDOW,
    Change,
    Head,
    Ledger,
    Live,
    Open,
    Used,
)
from tests.builders import NOON

EMPTY = Ledger("agents/orchestrator")
LIVE = Live(NOON, "nonce-1", "sha256:request")
OPEN = Open("sub-a", NOON + timedelta(minutes=15))
CHANGE = Change(NOON)


def opened(ledger: Ledger = EMPTY) -> Ledger:
    return ledger.opened("sha256:request", OPEN, CHANGE)


def reserved(ledger: Ledger = EMPTY) -> Ledger:
    return opened(ledger).reserved("sub-a", LIVE, CHANGE)


def test_a_request_is_found_while_it_is_open_and_while_it_lives() -> None:
    assert EMPTY.find("sha256:request") == ""
    assert opened().find("sha256:request") == "sub-a"
    assert reserved().find("sha256:request") == "sub-a"
    assert reserved().released("sub-a").find("sha256:request") == ""


def test_what_has_ended_is_passed_over_and_what_came_after_it_is_found() -> None:
    again = reserved().opened("sha256:request", replace(OPEN, proposal="sub-b"), CHANGE)

    assert again.find("sha256:request", {"sub-b"}) == "sub-a"
    assert again.find("sha256:request", {"sub-a"}) == "sub-b"
    assert again.find("sha256:request", {"sub-a", "sub-b"}) == ""


def test_an_open_proposal_can_be_kept_for_longer() -> None:
    until = NOON + timedelta(minutes=29)
    other = opened().opened("sha256:other", OPEN, CHANGE)

    assert other.renewed("sha256:request", until).open == {
        "sha256:request": replace(OPEN, until=until),
        "sha256:other": OPEN,
    }
    assert other.renewed("sha256:request", until).changes == other.changes
    assert EMPTY.renewed("sha256:request", until) is EMPTY


def test_reserving_moves_a_proposal_from_open_to_live_and_used() -> None:
    ledger = reserved()

    assert (dict(ledger.open), dict(ledger.live), dict(ledger.used)) == ({}, {"sub-a": LIVE}, {"sub-a": Used(NOON)})
    assert (ledger.spawned, len(ledger.changes)) == (1, 2)


def test_releasing_frees_the_place_and_keeps_the_use() -> None:
    ledger = reserved().released("sub-a")

    assert (dict(ledger.live), dict(ledger.used), ledger.spawned) == ({}, {"sub-a": Used(NOON)}, 1)


def test_a_release_is_about_one_reservation() -> None:
    assert reserved().released("sub-a", "nonce-2") == reserved()
    assert reserved().released("sub-a", "nonce-1").live == {}


def test_removing_nothing_changes_nothing() -> None:
    assert EMPTY.released("sub-a") is EMPTY
    assert EMPTY.closed("sub-a") == EMPTY


def test_pruning_drops_what_no_longer_counts() -> None:
    ledger = opened()

    assert ledger.pruned(OPEN.until - timedelta(seconds=1)).is_open("sub-a")
    assert not ledger.pruned(OPEN.until).is_open("sub-a")
    assert ledger.pruned(NOON + RATE_WINDOW - timedelta(seconds=1)).changes == (CHANGE,)
    assert ledger.pruned(NOON + RATE_WINDOW).changes == ()


def test_a_use_counts_for_a_day_and_as_long_as_its_agent_lives() -> None:
    gone = reserved().released("sub-a")

    assert "sub-a" in gone.pruned(NOON + SPAWN_WINDOW - timedelta(seconds=1)).used
    assert "sub-a" not in gone.pruned(NOON + SPAWN_WINDOW).used
    assert "sub-a" in reserved().pruned(NOON + SPAWN_WINDOW).used


def test_a_head_never_goes_back() -> None:
    ledger = EMPTY.anchored(Head("w", 5, "sha256:5"))

    assert ledger.anchored(Head("w", 4, "sha256:4")) is ledger
    assert ledger.anchored(Head("w", 6, "sha256:6")).audit == {"w": Head("w", 6, "sha256:6")}


def test_the_log_that_began_first_leaves_a_full_anchor_whatever_the_order_of_names() -> None:
    ledger = EMPTY
    writers = [f"w{MOST_AUDIT_HEADS - number:02}@2026-11-21T12:{number:02}" for number in range(MOST_AUDIT_HEADS + 1)]
    for writer in writers:
        ledger = ledger.anchored(Head(writer, 1, "sha256:1"))
        ledger = replace(ledger, audit=dict(sorted(ledger.audit.items())))

    assert set(ledger.audit) == set(writers[1:])


def test_ledgers_are_values() -> None:
    assert replace(EMPTY) == EMPTY
    assert opened(EMPTY).open != EMPTY.open

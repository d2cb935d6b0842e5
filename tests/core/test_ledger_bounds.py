"""The edges of a ledger's sets: whose it is, what it keeps of the audit, and who used it."""

from dataclasses import replace

from mcp_agentspawn.core.ledger import MOST_AUDIT_HEADS, Change, Head, Ledger, Live, Open, Used
from tests.builders import NOON

EMPTY = Ledger("agents/orchestrator")


def test_a_ledger_is_claimed_by_an_account_that_is_known() -> None:
    mine = EMPTY.claimed("uid-1")

    assert mine.account == "uid-1"
    assert mine.claimed("") is mine
    assert mine.claimed("uid-2").account == "uid-2"


def test_a_use_is_its_parents() -> None:
    ledger = EMPTY.reserved("sub-a", Live(NOON, "nonce", "sha256:r", parent="sub-p"), Change(NOON, "sub-p"))

    assert ledger.used == {"sub-a": Used(NOON, "sub-p")}


def test_a_head_that_is_no_news_changes_nothing() -> None:
    known = EMPTY.anchored(Head("writer@2026", 7, "sha256:a"))

    assert known.anchored(Head("writer@2026", 7, "sha256:b")) is known
    assert known.anchored(Head("writer@2026", 6, "sha256:b")) is known
    assert known.anchored(Head("writer@2026", 8, "sha256:b")).audit["writer@2026"].hash == "sha256:b"


def test_of_too_many_logs_the_one_that_began_first_leaves_whoever_wrote_it() -> None:
    heads = {f"w@{n}@{2000 + n}": Head(f"w@{n}@{2000 + n}", 1, "sha256:a") for n in range(MOST_AUDIT_HEADS, 0, -1)}
    full = replace(EMPTY, audit=heads)

    left = set(heads) - set(full.anchored(Head("new@3000", 1, "sha256:a")).audit)
    assert left == {"w@1@2001"}


def test_a_ledger_knows_the_parent_of_what_is_open_and_of_what_lives() -> None:
    opened = EMPTY.opened("sha256:r", Open("sub-a", NOON, "sub-p"), Change(NOON))
    ledger = opened.reserved("sub-b", Live(NOON, "n", "sha256:s", parent="sub-q"), Change(NOON))

    assert ledger.parents() == {"sub-a": "sub-p", "sub-b": "sub-q"}

from dataclasses import replace
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.outcomes import MOST_KEYS, MOST_RECENT, MOST_TASKS, End, Outcomes, keys_of, outcomes_for
from mcp_agentspawn.core.request import resolve
from tests.builders import CALLER, ask, registry_entry, template, worker

NONE = Outcomes()
Happened = tuple[Literal["succeeded", "failed", "quarantined"], int, int]
HAPPENED = st.tuples(st.sampled_from([*get_args(End), "quarantined"]), st.integers(0, 14_400), st.integers(0, 5))


def after(*happened: Happened, begin: Outcomes = NONE) -> Outcomes:
    outcomes = begin
    for number, (what, seconds, retries) in enumerate(happened):
        if what == "quarantined":
            outcomes = outcomes.quarantined(f"sub-{number}")
        else:
            outcomes = outcomes.ended(f"task-{number}", what, seconds=seconds, retries=retries)
    return outcomes


def of_tasks(succeeded: int, failed: int = 0, quarantines: int = 0) -> Outcomes:
    return Outcomes(succeeded + failed, succeeded, quarantines=quarantines)


@pytest.mark.parametrize(
    ("outcomes", "score"),
    [
        (NONE, 1.0),
        (of_tasks(4), 1.0),
        (of_tasks(3, 1), 0.75),
        (of_tasks(0, 2), 0.0),
        (of_tasks(3, 1, quarantines=1), 0.6),
        (of_tasks(0, 0, quarantines=1), 0.0),
    ],
)
def test_the_score_is_the_share_that_succeeded_and_a_quarantine_weighs_like_a_failed_task(
    outcomes: Outcomes, score: float
) -> None:
    assert outcomes.score == score


def test_an_end_is_counted_with_its_time_and_its_retries() -> None:
    outcomes = after(("succeeded", 60, 1), ("failed", 30, 2))

    assert outcomes == Outcomes(2, 1, 90, 3, 0, ("task-0", "task-1"))


def test_a_task_or_a_quarantine_is_counted_once() -> None:
    outcomes = after(("succeeded", 60, 1), ("quarantined", 0, 0))

    assert outcomes.ended("task-0", "failed", seconds=1, retries=0) is outcomes
    assert outcomes.quarantined("sub-1") is outcomes


def test_the_last_that_were_counted_are_remembered_and_no_more() -> None:
    happened: list[Happened] = [("succeeded", 1, 0)] * (MOST_RECENT + 2)
    outcomes = after(*happened)

    assert outcomes.recent == tuple(f"task-{number}" for number in range(2, MOST_RECENT + 2))
    assert outcomes.tasks == MOST_RECENT + 2


def test_past_the_bound_all_counts_half_and_a_quarantine_is_never_rounded_away() -> None:
    full = replace(of_tasks(150, 49, quarantines=1), seconds=1001, retries=7, recent=("sub-a",))

    assert full.bounded() is full
    assert full.ended("task-b", "failed", seconds=0, retries=0) == Outcomes(100, 75, 500, 3, 1, ("sub-a", "task-b"))
    assert full.quarantined("sub-b") == Outcomes(99, 75, 500, 3, 1, ("sub-a", "sub-b"))


@given(st.lists(HAPPENED, max_size=450))
def test_whatever_happens_it_stays_bounded_and_the_score_a_share(happened: list[Happened]) -> None:
    outcomes = after(*happened)

    assert 0 <= outcomes.score <= 1
    assert 0 <= outcomes.succeeded <= outcomes.tasks
    assert outcomes.counted <= MOST_TASKS
    assert len(outcomes.recent) <= MOST_RECENT
    assert min(outcomes.seconds, outcomes.retries, outcomes.quarantines) >= 0


@given(st.lists(HAPPENED, max_size=MOST_TASKS).flatmap(lambda many: st.tuples(st.just(many), st.permutations(many))))
def test_the_order_in_which_ends_are_counted_changes_nothing_but_what_is_remembered(
    orders: tuple[list[Happened], list[Happened]],
) -> None:
    one, other = (replace(after(*happened), recent=()) for happened in orders)

    assert one == other


@given(st.lists(HAPPENED, max_size=MOST_RECENT))
def test_counting_all_of_it_again_changes_nothing(happened: list[Happened]) -> None:
    once = after(*happened)

    assert after(*happened, begin=once) is once


@pytest.mark.parametrize("changes", [{"tag": "other"}, {"hash": f"sha256:{'6' * 64}"}, {"description": "Another"}])
def test_an_entry_that_is_published_again_is_recorded_under_its_old_name(changes: dict[str, Any]) -> None:
    before, since = (str(entry.handle) for entry in (registry_entry(), registry_entry(**changes)))

    assert keys_of("worker", before) == keys_of("worker", since)
    assert keys_of("worker", before) == ("template:worker", "entry:main/default/summarizer")


def test_without_an_entry_or_with_what_is_none_there_is_only_the_template() -> None:
    assert keys_of("worker", "") == ("template:worker",)
    assert keys_of("worker", "not a handle") == ("template:worker",)


def test_what_a_request_is_made_of_has_its_record_and_nothing_else_has() -> None:
    request = resolve(CALLER, ask(template="registry-worker"), worker(), registry_entry()).request
    ours = {"entry:main/default/summarizer": of_tasks(1)}

    assert outcomes_for(request, {**ours, "template:researcher": of_tasks(2)}) == ours
    assert outcomes_for(resolve(CALLER, ask(), template()).request, ours) == {}


def test_counting_in_a_ledger_touches_the_named_keys_alone_and_nothing_when_all_was_counted() -> None:
    ledger = Ledger("agents/orchestrator", outcomes={"template:a": of_tasks(1), "template:b": of_tasks(2)})

    grown = ledger.counted(["template:a", "entry:c"], lambda known: known.quarantined("sub-a"))

    assert {key: outcomes.quarantines for key, outcomes in grown.outcomes.items()} == {
        "template:b": 0,
        "template:a": 1,
        "entry:c": 1,
    }
    assert grown.counted(["template:a", "entry:c"], lambda known: known.quarantined("sub-a")) is grown


def test_a_poor_record_is_not_pushed_out_by_many_good_ones() -> None:
    ledger = Ledger("agents/orchestrator").recorded("template:poor", Outcomes(tasks=5, succeeded=1))
    for number in range(2 * MOST_KEYS):
        ledger = ledger.recorded(f"template:{number}", Outcomes(tasks=1, succeeded=1))

    assert len(ledger.outcomes) == MOST_KEYS
    assert ledger.outcomes["template:poor"].succeeded == 1


def test_what_was_written_longest_ago_is_forgotten_first() -> None:
    ledger = Ledger("agents/orchestrator")
    for number in range(MOST_KEYS):
        ledger = ledger.recorded(f"template:{number}", of_tasks(number))
    ledger = ledger.recorded("template:0", of_tasks(0)).recorded("template:new", NONE)

    assert len(ledger.outcomes) == MOST_KEYS
    assert {"template:0", "template:2", "template:new"} <= ledger.outcomes.keys()
    assert "template:1" not in ledger.outcomes

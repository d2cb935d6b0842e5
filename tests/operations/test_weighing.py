"""What is on record moves a hit a little within its page, says so, and never into or out of a page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.outcomes import Outcomes
from mcp_agentspawn.core.registry import Place
from mcp_agentspawn.operations.answers import Hits
from mcp_agentspawn.operations.search import search
from mcp_agentspawn.operations.weighing import MOST_PLACES, SPAN, reordered, weighed, weight
from tests.builders import CALLER, OTHER, ROOT, SEES_MAIN, Bench, registry_bench, registry_entry
from tests.operations.doubles import failing

NONE, GOOD, BAD = Outcomes(), Outcomes(20, 20), Outcomes(20, 0)
RECORDS = st.builds(
    lambda succeeded, failed, quarantines: Outcomes(succeeded + failed, succeeded, quarantines=quarantines),
    *[st.integers(0, 60)] * 3,
)
PLACES = st.builds(Place, st.booleans(), st.booleans(), st.floats(0, 1), st.text(max_size=3))
Known = tuple[Place, Outcomes]


def page(*hits: Known) -> Sequence[Known]:
    return reordered(hits, lambda hit: hit[0], lambda hit: hit[1])


def at(score: float, record: Outcomes = NONE, *, suspected: bool = False, routed: bool = False) -> Known:
    return Place(suspected, routed, score, "key"), record


def scores(hits: Sequence[Known]) -> list[float]:
    return [place.score for place, _ in hits]


@pytest.mark.parametrize(
    ("record", "factor"),
    [
        (NONE, 1.0),
        (Outcomes(1, 1), 1.025),
        (Outcomes(1, 0), 0.975),
        (Outcomes(5, 5), 1.075),
        (Outcomes(10, 5), 1.0),
        (GOOD, 1.12),
        (BAD, 0.88),
        (Outcomes(quarantines=20), 0.88),
    ],
)
def test_a_weight_grows_with_what_succeeded_and_with_how_much_is_known(record: Outcomes, factor: float) -> None:
    assert weight(record) == pytest.approx(factor)


@given(RECORDS)
def test_a_weight_is_bounded(record: Outcomes) -> None:
    assert 1 - SPAN / 2 < weight(record) < 1 + SPAN / 2


@given(st.floats(0, 1), RECORDS)
def test_a_weighed_score_is_a_score_and_without_history_the_same_to_the_digit(raw: float, record: Outcomes) -> None:
    score = round(raw, 4)

    assert 0 <= weighed(score, record) <= 1
    assert weighed(score, NONE) == score


def test_no_score_is_more_than_all() -> None:
    assert weighed(1.0, GOOD) == 1.0
    assert weighed(1.0, BAD) == 0.88


def test_what_did_better_comes_before_what_did_worse_where_the_words_fit_both_alike() -> None:
    assert scores(page(at(0.52, BAD), at(0.51), at(0.5, GOOD))) == [0.5, 0.51, 0.52]


def test_what_fits_much_better_stays_first_whatever_became_of_it() -> None:
    assert scores(page(at(0.9, BAD), at(0.6, GOOD))) == [0.9, 0.6]


def test_equals_stay_as_they_were() -> None:
    hits = [at(0.5), at(0.5), at(0.5)]

    assert all(one is other for one, other in zip(page(*hits), hits, strict=True))


def test_routed_ones_stay_first_and_suspected_ones_last() -> None:
    routed, plain, suspected = at(0.5, BAD, routed=True), at(0.5), at(0.5, GOOD, suspected=True)

    assert page(routed, plain, suspected) == [routed, plain, suspected]


def test_a_poor_one_goes_down_and_a_good_one_up_by_a_few_places_at_most() -> None:
    worst = page(at(0.5, BAD), *[at(0.5)] * 9)
    best = page(*[at(0.5)] * 9, at(0.5, GOOD))

    assert [record for _, record in worst].index(BAD) == MOST_PLACES
    assert [record for _, record in best].index(GOOD) == 9 - MOST_PLACES


@given(st.lists(st.tuples(PLACES, RECORDS), max_size=30))
def test_a_page_holds_what_it_held_and_nothing_moves_far(found: list[Known]) -> None:
    hits = sorted(found, key=lambda hit: hit[0].order)
    numbered = list(enumerate(hits))
    moved = reordered(numbered, lambda one: one[1][0], lambda one: one[1][1])

    assert sorted(number for number, _ in moved) == [number for number, _ in numbered]
    assert all(abs(number - now) <= MOST_PLACES for now, (number, _) in enumerate(moved))
    groups = [(hit[0].suspected, not hit[0].routed) for _, hit in moved]
    assert groups == sorted(groups)


@given(st.lists(PLACES, max_size=30))
def test_without_history_a_page_is_as_the_index_ordered_it(places: list[Place]) -> None:
    hits = [(place, NONE) for place in sorted(places, key=lambda place: place.order)]

    assert page(*hits) == hits


NAMES = [f"writer-{letter}" for letter in "abcdefgh"]


def library() -> Bench:
    """Entries that fit the same words equally well."""
    setup = registry_bench(registry=SEES_MAIN)
    setup.registries.entries[:] = [registry_entry(name=name, title="Writer", description="Writes") for name in NAMES]
    return setup


async def record(setup: Bench, outcomes: Outcomes, name: str, root: Root = ROOT) -> None:
    key = f"entry:main/default/{name}"
    await setup.world.ledgers.change(root.name, lambda ledger: (ledger.recorded(key, outcomes), None))


async def found(setup: Bench, limit: int = 10, cursor: str = "", services: Any = None) -> Hits:
    answer = await search(services or setup.services, CALLER, "writer", limit, cursor, "main", [])
    assert isinstance(answer, Hits), answer.reasons
    return answer


def names(found: Hits) -> list[str]:
    return [hit.handle.partition("@")[0].rpartition("/")[2] for hit in found.hits]


async def test_a_hit_says_how_its_own_have_done_and_is_moved_by_it() -> None:
    setup = library()
    plain = await found(setup)
    await record(setup, Outcomes(5, 1, quarantines=1), "writer-a")
    await record(setup, Outcomes(4, 4), "writer-h")
    weighed_ones = await found(setup)
    hits = dict(zip(names(weighed_ones), weighed_ones.hits, strict=True))

    assert names(plain) == NAMES
    assert {hit.record for hit in plain.hits} == {""}
    assert names(weighed_ones) == ["writer-b", "writer-c", "writer-d", "writer-a", "writer-h", *NAMES[4:7]]
    assert hits["writer-a"].record == "1 of 5 tasks succeeded and 1 agent was quarantined"
    assert hits["writer-h"].record == "4 of 4 tasks succeeded"
    assert hits["writer-a"].score < hits["writer-b"].score == plain.hits[1].score < hits["writer-h"].score


async def test_a_template_is_weighed_by_its_own_record() -> None:
    setup = library()
    await setup.world.ledgers.change(ROOT.name, lambda ledger: (ledger.recorded("template:researcher", GOOD), None))
    answer = await search(setup.services, CALLER, "research", 10, "", "template", [])

    assert isinstance(answer, Hits)
    assert [(hit.handle, hit.record) for hit in answer.hits] == [("researcher", "20 of 20 tasks succeeded")]


async def test_a_hit_shows_the_risk_that_its_record_makes() -> None:
    setup = library()
    await setup.world.ledgers.change(ROOT.name, lambda ledger: (ledger.recorded("template:researcher", BAD), None))
    answer = await search(setup.services, CALLER, "research", 10, "", "template", [])

    assert isinstance(answer, Hits)
    assert [hit.risk for hit in answer.hits] == ["medium"]


async def test_another_root_s_record_moves_nothing() -> None:
    setup = library()
    await record(setup, BAD, "writer-a", OTHER)

    assert names(await found(setup)) == NAMES
    assert (await found(setup)).hits[0].record == ""


async def test_a_history_that_grows_between_two_pages_loses_no_hit_and_repeats_none() -> None:
    setup = library()
    seen, cursor = [], ""
    for name, outcomes in [("writer-e", GOOD), ("writer-b", BAD), ("writer-h", GOOD)]:
        await record(setup, outcomes, name)
        answer = await found(setup, 3, cursor)
        seen.append(names(answer))
        cursor = answer.next_cursor

    assert sorted(seen[0]) == NAMES[:3]
    assert seen[1] == ["writer-e", "writer-d", "writer-f"]
    assert seen[2] == ["writer-h", "writer-g"]
    assert cursor == ""


async def test_all_is_found_where_no_history_can_be_read() -> None:
    setup = library()
    await record(setup, BAD, "writer-a")
    ledgers: Any = type("Away", (), {"look": staticmethod(failing(Unavailable("down")))})
    answer = await found(setup, services=replace(setup.services, ledgers=ledgers))

    assert names(answer) == NAMES

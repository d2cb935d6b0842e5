from pathlib import Path

import pytest

from tests.quality import judged, measure

README = Path(__file__).parent.parent.parent / "README.md"
LEAST = {"held_out": measure.Quality(89, 0.87, 0.92), "tune": measure.Quality(181, 0.885, 0.93)}
"""A little less than was measured when it was tuned, so that a change for the worse is seen."""


@pytest.mark.parametrize("split", ["held_out", "tune"])
@pytest.mark.parametrize("baseline", ["plain substring", "unweighted BM25"])
def test_the_search_finds_what_was_meant_more_often_than_a_baseline(baseline: str, split: str) -> None:
    queries, engines = [query for query in judged.queries() if query.split == split], measure.engines()
    ours, theirs = (measure.quality(engines[name], queries) for name in ("this search", baseline))

    assert ours.ndcg_at_5 > theirs.ndcg_at_5 + 0.2
    assert ours.hit_at_1 > theirs.hit_at_1 + 0.2


@pytest.mark.parametrize("split", ["held_out", "tune"])
def test_the_search_is_as_good_as_it_was(split: str) -> None:
    found = measure.quality(measure.ours(), [query for query in judged.queries() if query.split == split])

    assert found.queries == LEAST[split].queries
    assert found.ndcg_at_5 >= LEAST[split].ndcg_at_5
    assert found.hit_at_1 >= LEAST[split].hit_at_1


def test_the_readme_says_what_is_measured() -> None:
    assert "\n".join(measure.table()) in README.read_text()


def test_a_second_engine_ranks_the_same() -> None:
    first, second = measure.ours(), measure.ours()

    assert all(first(query.query) == second(query.query) for query in judged.queries())

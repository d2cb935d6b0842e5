from collections.abc import Sequence

import pytest

from mcp_agentspawn.adapters.registry.breaker import GIVEN_UP_AFTER, Backoff, Breaker
from tests.builders import NOON, FixedClock


def always(number: float = 1.0) -> float:
    return number


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 512), (10, 600), (11, 600), (10_000, 600)]
)
def test_the_longest_pause_doubles_up_to_ten_minutes(failures: int, longest: float) -> None:
    backoff = Backoff(failures - 1).failed(NOON, always)

    assert backoff.failures == failures
    assert backoff.until is not None
    assert (backoff.until - NOON).total_seconds() == longest


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 0.0), (0.25, 2.0), (0.5, 4.0), (1.0, 8.0)])
def test_the_pause_is_any_part_of_it_by_chance(chance: float, seconds: float) -> None:
    backoff = Backoff(2).failed(NOON, lambda: chance)

    assert backoff.until is not None
    assert (backoff.until - NOON).total_seconds() == seconds


@pytest.mark.parametrize(
    ("moved", "over"),
    [({"seconds": 0}, False), ({"seconds": 1.9}, False), ({"seconds": 2}, True), ({"days": -1}, True)],
    ids=["at once", "just before", "at its end", "the clock was set back"],
)
def test_a_pause_ends(moved: dict[str, float], over: bool) -> None:
    clock = FixedClock()
    backoff = Backoff().failed(clock.now(), always)
    clock.advance(**moved)

    assert backoff.over(clock.now()) is over


def test_without_a_failure_there_is_no_pause() -> None:
    assert Backoff().over(NOON)


def broken(clock: FixedClock, failures: int) -> Breaker:
    breaker = Breaker(clock, always)
    for _ in range(failures):
        breaker.failed()
    return breaker


@pytest.mark.parametrize(
    ("failures", "admitted"), [(0, [True, True]), (GIVEN_UP_AFTER - 1, [True, True]), (GIVEN_UP_AFTER, [False, False])]
)
def test_everybody_may_ask_until_it_is_given_up(failures: int, admitted: Sequence[bool]) -> None:
    breaker = broken(FixedClock(), failures)

    assert [breaker.admits(), breaker.admits()] == admitted


def test_after_the_pause_one_alone_may_ask() -> None:
    clock = FixedClock()
    breaker = broken(clock, GIVEN_UP_AFTER)
    clock.advance(minutes=10)

    assert [breaker.admits(), breaker.admits()] == [True, False]


def test_when_the_probe_fails_the_next_pause_is_longer() -> None:
    clock = FixedClock()
    breaker = broken(clock, GIVEN_UP_AFTER)
    clock.advance(seconds=32)
    assert breaker.admits()

    breaker.failed()

    clock.advance(seconds=63)
    assert not breaker.admits()
    clock.advance(seconds=1)
    assert breaker.admits()


def test_when_the_probe_succeeds_everybody_may_ask_again() -> None:
    clock = FixedClock()
    breaker = broken(clock, GIVEN_UP_AFTER)
    clock.advance(minutes=10)
    assert breaker.admits()

    breaker.succeeded()

    assert not breaker.given_up
    assert [breaker.admits(), breaker.admits()] == [True, True]


def test_a_probe_that_was_left_is_for_the_next_one() -> None:
    clock = FixedClock()
    breaker = broken(clock, GIVEN_UP_AFTER)
    clock.advance(minutes=10)
    assert breaker.admits()

    breaker.left()

    assert breaker.admits()


def test_one_success_is_enough_to_begin_anew() -> None:
    breaker = broken(FixedClock(), GIVEN_UP_AFTER - 1)

    breaker.succeeded()
    breaker.failed()

    assert breaker.admits()

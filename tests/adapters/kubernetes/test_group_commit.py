"""Everybody who waits is written in one PUT, and each answer is about the ledger as it was stored."""

import asyncio
from dataclasses import replace

import pytest

from mcp_agentspawn.adapters.kubernetes import group_commit as module
from mcp_agentspawn.adapters.kubernetes.group_commit import Book
from mcp_agentspawn.adapters.kubernetes.ledger_objects import MOST_WRITES, StoredLedger
from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.ledger import Ledger
from tests.adapters.kubernetes.shelf import Shelf, count_up, look, reserve, until


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def book(shelf: Shelf) -> Book:
    def clock() -> float:
        return shelf.time

    return Book(shelf, clock)


async def test_all_who_wait_are_written_at_once(shelf: Shelf, book: Book) -> None:
    said = await asyncio.gather(*(book.change(reserve(f"s{number}")) for number in range(40)))

    assert sum(said) == 3
    assert shelf.live == ["s0", "s1", "s2"]
    assert (shelf.reads, shelf.writes) == (1, 1)


async def test_who_comes_while_a_batch_is_written_goes_into_the_next(shelf: Shelf, book: Book) -> None:
    first = asyncio.create_task(book.change(reserve("a")))
    await until(lambda: shelf.writes > 0)
    said = await asyncio.gather(*(book.change(reserve(name)) for name in ("b", "c", "d")))

    assert await first
    assert said == [True, True, False]
    assert shelf.writes == 2


async def test_what_is_known_is_not_read_again_for_a_change(shelf: Shelf, book: Book) -> None:
    for name in ("a", "b", "c"):
        assert await book.change(reserve(name))

    assert (shelf.reads, shelf.writes) == (1, 3)


async def test_each_time_that_somebody_else_was_faster_is_counted(shelf: Shelf) -> None:
    conflicts = []
    book = Book(shelf, lambda: shelf.time, lambda: conflicts.append(1))
    await book.change(reserve("a"))
    shelf.somebody("x")

    assert await book.change(reserve("b"))
    assert len(conflicts) == 1


async def test_after_a_conflict_the_decision_runs_again_on_what_is_there_now(shelf: Shelf, book: Book) -> None:
    await book.change(reserve("a"))
    shelf.somebody("x")
    shelf.somebody("y")

    assert not await book.change(reserve("b"))

    assert shelf.live == ["a", "x", "y"]


async def test_a_refusal_never_rests_on_what_is_remembered(shelf: Shelf, book: Book) -> None:
    for name in ("a", "b", "c"):
        await book.change(reserve(name))
    shelf.stored = replace(shelf.stored, ledger=shelf.stored.ledger.released("a"), version="99")

    assert await book.change(reserve("d"))
    assert await book.change(look) == ["b", "c", "d"]


async def test_a_refusal_beside_a_change_rests_on_the_write(shelf: Shelf, book: Book) -> None:
    await book.change(reserve("a"))
    shelf.somebody("x")
    reads = shelf.reads

    taken, seen = await asyncio.gather(book.change(reserve("b")), book.change(look))

    assert taken
    assert seen == ["a", "x", "b"]
    assert shelf.reads == reads + 1


async def test_a_decision_that_raises_fails_alone(shelf: Shelf, book: Book) -> None:
    def broken(_: Ledger) -> tuple[Ledger, bool]:
        raise ZeroDivisionError

    def empty(_: Ledger) -> tuple[Ledger, bool]:
        return next(iter(()))

    said = await asyncio.gather(
        book.change(reserve("a")),
        book.change(broken),
        book.change(empty),
        book.change(reserve("b")),
        return_exceptions=True,
    )

    assert [said[0], type(said[1]), type(said[2]), said[3]] == [True, ZeroDivisionError, RuntimeError, True]
    assert shelf.live == ["a", "b"]


async def test_who_gave_up_before_the_batch_is_left_out_and_the_others_are_not_disturbed(
    shelf: Shelf, book: Book
) -> None:
    tasks = [asyncio.create_task(book.change(reserve(name))) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)

    assert tasks[1].cancelled()
    assert (tasks[0].result(), tasks[2].result()) == (True, True)
    assert shelf.live == ["a", "c"]


async def test_who_gives_up_while_it_is_written_does_not_disturb_the_others(shelf: Shelf, book: Book) -> None:
    tasks = [asyncio.create_task(book.change(reserve(name))) for name in ("a", "b")]
    await until(lambda: shelf.writes > 0)
    tasks[0].cancel()
    await asyncio.wait(tasks)

    assert tasks[0].cancelled()
    assert tasks[1].result()


async def test_a_write_whose_answer_was_lost_is_recognised(shelf: Shelf, book: Book) -> None:
    shelf.after_write = [UnknownOutcome("lost")]

    assert await asyncio.gather(*(book.change(count_up) for _ in range(5))) == [1, 2, 3, 4, 5]

    assert (shelf.stored.ledger.spawned, shelf.writes) == (5, 1)


async def test_it_is_recognised_behind_the_writes_of_others(shelf: Shelf, book: Book) -> None:
    shelf.after_write = [UnknownOutcome("lost")]
    changing = asyncio.create_task(book.change(count_up))
    await until(lambda: shelf.stored.ledger.spawned == 1)
    shelf.somebody("x", times=MOST_WRITES - 1)

    assert await changing == 1
    assert shelf.writes == 1


async def test_a_write_that_never_arrived_is_made_again(shelf: Shelf, book: Book) -> None:
    shelf.before_write = [UnknownOutcome("lost")]

    assert await book.change(reserve("a"))

    assert (shelf.live, shelf.writes) == (["a"], 2)


async def test_a_write_that_arrives_late_counts_once(shelf: Shelf, book: Book) -> None:
    """Lost, not there when looked for, then stored before the second one: which conflicts, and finds it."""

    async def arriving(base: StoredLedger, ledger: Ledger, write: str) -> StoredLedger:
        if shelf.writes == 1:
            shelf.stored = replace(shelf.late or shelf.stored, version="7")
        return await Shelf.write(shelf, base, ledger, write)

    shelf.before_write = [UnknownOutcome("lost")]
    shelf.write = arriving  # type: ignore[method-assign] # between the two writes

    assert await book.change(count_up) == 1

    assert (shelf.stored.ledger.spawned, shelf.writes) == (1, 2)


@pytest.mark.parametrize("error", [Unavailable("busy"), Conflict("changed")])
async def test_it_is_tried_again_until_its_time_is_over_and_then_nothing_was_changed(
    shelf: Shelf, book: Book, error: Exception
) -> None:
    shelf.before_write = [error] * 3
    assert await book.change(reserve("a"))

    shelf.before_write = [error] * 100
    changing = asyncio.create_task(book.change(reserve("b")))
    await until(lambda: shelf.writes >= 6)
    shelf.time = module.PATIENCE_SECONDS + 1
    with pytest.raises(Unavailable):
        await changing

    assert shelf.live == ["a"]


async def test_past_its_time_a_write_in_doubt_is_said_to_be_unknown(shelf: Shelf, book: Book) -> None:
    shelf.before_write = [UnknownOutcome("lost")]
    shelf.on_read = [None, *[Unavailable("down")] * 100]
    changing = asyncio.create_task(book.change(reserve("a")))
    await until(lambda: shelf.reads >= 3)
    shelf.time = module.PATIENCE_SECONDS + 1

    with pytest.raises(UnknownOutcome):
        await changing


async def test_a_definite_no_is_everybodys_at_once(shelf: Shelf, book: Book) -> None:
    shelf.before_write = [Refused("forbidden.rbac", "no")]

    said = await asyncio.gather(*(book.change(reserve(name)) for name in ("a", "b")), return_exceptions=True)

    assert [type(answer) for answer in said] == [Refused, Refused]
    assert await book.change(reserve("c"))


async def test_a_definite_no_after_a_write_in_doubt_is_unknown(shelf: Shelf, book: Book) -> None:
    shelf.before_write = [UnknownOutcome("lost")]
    shelf.on_read = [None, Refused("forbidden.rbac", "no")]

    with pytest.raises(UnknownOutcome):
        await book.change(reserve("a"))


async def test_who_waited_too_long_behind_others_is_told_that_nothing_changed(shelf: Shelf, book: Book) -> None:
    first = asyncio.create_task(book.change(reserve("a")))
    await until(lambda: shelf.writes > 0)
    second = asyncio.create_task(book.change(reserve("b")))
    await asyncio.sleep(0)
    shelf.time = module.PATIENCE_SECONDS + 1

    with pytest.raises(Unavailable):
        await second
    assert await first
    assert shelf.live == ["a"]


async def test_closing_waits_for_what_is_on_its_way(shelf: Shelf, book: Book) -> None:
    changing = asyncio.create_task(book.change(reserve("a")))
    await asyncio.sleep(0)
    await book.close()

    assert shelf.live == ["a"]
    assert await changing


async def test_closing_an_idle_book_is_fine(book: Book) -> None:
    await book.close()
    await book.read()

    assert book.known is not None


async def test_who_gives_up_between_two_tries_is_left_out_of_the_next(shelf: Shelf, book: Book) -> None:
    shelf.before_write = [Conflict("changed")]
    tasks = [asyncio.create_task(book.change(reserve(name))) for name in ("a", "b")]
    await until(lambda: shelf.writes == 1)
    tasks[0].cancel()
    await asyncio.wait(tasks)

    assert tasks[1].result()
    assert shelf.live == ["b"]


async def test_a_decision_finds_its_own_entry_where_its_mark_was_pushed_out(shelf: Shelf, book: Book) -> None:
    shelf.after_write = [UnknownOutcome("lost")]
    changing = asyncio.create_task(book.change(reserve("a", 1)))
    await until(lambda: shelf.live != [])
    shelf.somebody("x", times=MOST_WRITES)

    assert await changing
    assert (shelf.live, shelf.writes) == (["a", "x"], 1)

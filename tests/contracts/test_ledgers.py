"""Ledgers: exact for any number who ask at the same moment, on any number of servers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.ledger import Change, Head, Ledger, Live, Open, Used
from mcp_agentspawn.core.outcomes import MOST_KEYS, Outcomes
from tests.contracts.stages import Stage, fresh

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
LIMIT = 3


@pytest.fixture
def root() -> str:
    return f"agents/{fresh('ledger')}"


def reserve(id_: str, ran: list[int] | None = None) -> Callable[[Ledger], tuple[Ledger, bool]]:
    """Take a slot if there is one; `ran` keeps how many were taken each time it was decided."""

    def decide(ledger: Ledger) -> tuple[Ledger, bool]:
        if ran is not None:
            ran.append(len(ledger.live))
        if id_ in ledger.live:
            return ledger, True
        if len(ledger.live) >= LIMIT:
            return ledger, False
        return ledger.reserved(id_, Live(NOW, f"nonce of {id_}", "sha256:1"), Change(NOW)), True

    return decide


def release(id_: str) -> Callable[[Ledger], tuple[Ledger, None]]:
    return lambda ledger: (ledger.released(id_), None)


def record(key: str) -> Callable[[Ledger], tuple[Ledger, None]]:
    return lambda ledger: (ledger.recorded(key, Outcomes(1)), None)


def see(ledger: Ledger) -> tuple[Ledger, list[str]]:
    return ledger, sorted(ledger.live)


async def test_a_root_without_a_ledger_has_an_empty_one(stage: Stage, root: str) -> None:
    assert await stage.world.ledgers.look(root) == Ledger(root)
    assert await stage.world.ledgers.look(root, fresh=True) == Ledger(root)
    assert root not in await stage.world.ledgers.roots()


async def test_every_set_is_kept_to_the_microsecond(stage: Stage, root: str) -> None:
    full = Ledger(
        root=root,
        account="some-uid",
        open={"sha256:a": Open("sub-a", NOW + timedelta(minutes=15), "sub-parent"), "sha256:b": Open("sub-b", NOW)},
        live={
            "sub-c": Live(NOW, "nonce", "sha256:c", "sub-parent", ("a" * 64, "b" * 64)),
            "sub-d": Live(NOW, "other", "sha256:d"),
        },
        used={"sub-c": Used(NOW, "sub-parent"), "sub-e": Used(NOW - timedelta(hours=23))},
        changes=(Change(NOW, "sub-c"), Change(NOW), Change(NOW)),
        spawned=7,
        audit={"writer-1": Head("writer-1", 12, "sha256:x"), "writer-2": Head("writer-2", 0, "")},
        outcomes={"template:b": Outcomes(7, 5, 3600, 2, 1, ("task-1", "sub-c")), "template:a": Outcomes()},
    )

    await stage.world.ledgers.change(root, lambda _: (full, None))

    assert await stage.world.ledgers.look(root) == full
    assert await stage.replica.ledgers.look(root) == full
    assert root in await stage.replica.ledgers.roots()


async def test_outcomes_are_kept_in_the_order_in_which_they_were_recorded(stage: Stage, root: str) -> None:
    keys = [f"template:{number}" for number in range(MOST_KEYS + 2)]

    for key in ["template:again", *reversed(keys), "template:again"]:
        await stage.world.ledgers.change(root, record(key))

    found = await stage.replica.ledgers.look(root, fresh=True)
    assert list(found.outcomes) == [*reversed(keys[: MOST_KEYS - 1]), "template:again"]


async def test_a_change_answers_what_its_decision_said(stage: Stage, root: str) -> None:
    ledgers = stage.world.ledgers

    assert [await ledgers.change(root, reserve(name)) for name in ("a", "b", "c", "d")] == [True, True, True, False]
    await ledgers.change(root, release("a"))
    assert await ledgers.change(root, reserve("d"))
    assert await ledgers.change(root, see) == ["b", "c", "d"]


async def test_a_look_sees_what_this_server_has_changed(stage: Stage, root: str) -> None:
    await stage.world.ledgers.look(root)

    await stage.world.ledgers.change(root, reserve("a"))

    assert sorted((await stage.world.ledgers.look(root)).live) == ["a"]


async def test_a_fresh_look_sees_what_another_has_changed(stage: Stage, root: str) -> None:
    await stage.world.ledgers.change(root, reserve("a"))
    await stage.replica.ledgers.change(root, reserve("b"))

    assert sorted((await stage.world.ledgers.look(root, fresh=True)).live) == ["a", "b"]


async def test_a_decision_counts_on_what_is_there_now_and_not_on_what_was_seen(stage: Stage, root: str) -> None:
    ran: list[int] = []
    await stage.world.ledgers.change(root, reserve("a"))
    for name in ("b", "c"):
        await stage.replica.ledgers.change(root, reserve(name))

    assert not await stage.world.ledgers.change(root, reserve("d", ran))

    assert ran[-1] == LIMIT
    assert await stage.replica.ledgers.change(root, see) == ["a", "b", "c"]


async def test_nobody_is_refused_for_what_was_there_once(stage: Stage, root: str) -> None:
    for name in ("a", "b", "c"):
        await stage.world.ledgers.change(root, reserve(name))
    await stage.replica.ledgers.change(root, release("a"))

    assert await stage.world.ledgers.change(root, reserve("d"))


async def test_of_forty_at_the_same_moment_exactly_as_many_as_there_are_slots_get_one(stage: Stage, root: str) -> None:
    said = await asyncio.gather(*(stage.world.ledgers.change(root, reserve(f"s{n}")) for n in range(40)))

    assert sum(said) == LIMIT
    assert (await stage.world.ledgers.look(root, fresh=True)).spawned == LIMIT


@pytest.mark.parametrize("attempt", range(5))
async def test_over_two_servers_too(stage: Stage, root: str, attempt: int) -> None:
    servers = (stage.world.ledgers, stage.replica.ledgers)

    said = await asyncio.gather(*(servers[n % 2].change(root, reserve(f"s{n}")) for n in range(40 + attempt)))

    ledger = await stage.world.ledgers.look(root, fresh=True)
    taken = sorted(f"s{n}" for n, got in enumerate(said) if got)
    assert sum(said) == LIMIT
    assert (taken, ledger.spawned) == (sorted(ledger.live), LIMIT)


async def test_no_change_of_two_busy_servers_is_lost(stage: Stage, root: str) -> None:
    async def spend(ledgers: object, names: list[str]) -> None:
        for name in names:
            assert await ledgers.change(root, reserve(name))  # type: ignore[attr-defined] # either world's
            await ledgers.change(root, release(name))  # type: ignore[attr-defined] # either world's

    await asyncio.gather(
        spend(stage.world.ledgers, [f"a{n}" for n in range(10)]),
        spend(stage.replica.ledgers, [f"b{n}" for n in range(10)]),
    )

    ledger = await stage.world.ledgers.look(root, fresh=True)
    assert (ledger.spawned, len(ledger.used), dict(ledger.live)) == (20, 20, {})


async def test_a_decision_that_changes_nothing_writes_nothing(stage: Stage, root: str) -> None:
    assert await stage.world.ledgers.change(root, see) == []

    assert root not in await stage.world.ledgers.roots()


async def test_a_decision_that_raises_changes_nothing_and_fails_only_its_own_caller(stage: Stage, root: str) -> None:
    def broken(ledger: Ledger) -> tuple[Ledger, bool]:
        raise ZeroDivisionError(ledger.root)

    said = await asyncio.gather(
        stage.world.ledgers.change(root, reserve("a")),
        stage.world.ledgers.change(root, broken),
        stage.world.ledgers.change(root, reserve("b")),
        return_exceptions=True,
    )

    assert [said[0], type(said[1]), said[2]] == [True, ZeroDivisionError, True]
    assert await stage.replica.ledgers.change(root, see) == ["a", "b"]


async def test_who_stops_waiting_does_not_stop_the_others(stage: Stage, root: str) -> None:
    tasks = [asyncio.create_task(stage.world.ledgers.change(root, reserve(name))) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    tasks[0].cancel()

    assert [await tasks[1], await tasks[2]] == [True, True]
    assert {"b", "c"} <= set(await stage.replica.ledgers.change(root, see))


async def test_roots_do_not_disturb_each_other(stage: Stage, root: str) -> None:
    others = [f"agents/{fresh('ledger')}" for _ in range(3)]

    said = await asyncio.gather(*(stage.world.ledgers.change(name, reserve("a")) for name in (root, *others)))

    assert said == [True] * 4
    assert {root, *others} <= set(await stage.replica.ledgers.roots())


async def test_the_count_of_what_was_ever_spawned_never_falls(stage: Stage, root: str) -> None:
    await stage.world.ledgers.change(root, reserve("a"))

    with pytest.raises(Refused) as refusal:
        await stage.world.ledgers.change(root, lambda ledger: (replace(ledger, spawned=0), None))

    assert refusal.value.code == "invalid"
    assert await stage.world.ledgers.change(root, see) == ["a"]

"""Whose tasks are followed up first, and until when."""

import asyncio

import pytest

from mcp_agentspawn.operations import following as module
from mcp_agentspawn.operations.following import refresh_open
from mcp_agentspawn.operations.reconcile import in_turns
from tests.builders import bench
from tests.operations.faulty_ports import still


def test_a_root_with_many_tasks_keeps_nobody_elses_waiting() -> None:
    many = [f"loud-{number}" for number in range(40)]

    assert in_turns([many, ["quiet-1"], [], ["other-1", "other-2"]])[:5] == [
        "loud-0",
        "quiet-1",
        "other-1",
        "loud-1",
        "other-2",
    ]
    assert len(in_turns([many, ["quiet-1"]])) == 41
    assert in_turns([]) == []


async def test_a_task_that_takes_long_keeps_only_its_own_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    looked: list[str] = []
    may_answer = asyncio.Event()

    async def get(id_: str) -> None:
        looked.append(id_)
        if id_ == "slow":
            await may_answer.wait()

    monkeypatch.setattr(setup.world.tasks, "get", get)
    monkeypatch.setattr(module, "AT_A_TIME", 2)
    others = [f"task-{number}" for number in range(5)]
    following = asyncio.ensure_future(refresh_open(setup.services, ["slow", *others]))
    await still()

    assert looked == ["slow", *others]
    may_answer.set()
    assert await following == []


async def test_who_may_not_go_on_is_asked_once_and_follows_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    looked: list[str] = []
    leave = iter([True, False, True])

    async def get(id_: str) -> None:
        looked.append(id_)

    async def may_go_on() -> bool:
        return next(leave)

    monkeypatch.setattr(setup.world.tasks, "get", get)
    monkeypatch.setattr(module, "AT_A_TIME", 1)
    assert await refresh_open(setup.services, [f"task-{number}" for number in range(5)], may_go_on) == []
    assert (looked, list(leave)) == (["task-0"], [True])

"""Work that is done again and again: it survives its failures, hurries when wanted, and ends cleanly."""

import asyncio

import pytest
import structlog

from mcp_agentspawn.server.loops import Loop, kept_going, running
from tests.localplane.waiting import until

NEVER = 3600.0


async def test_a_pass_that_fails_is_logged_without_its_text_and_the_next_one_comes() -> None:
    passes: list[int] = []

    async def work() -> None:
        passes.append(1)
        raise ValueError("sk-canary")

    with structlog.testing.capture_logs() as logs:
        async with running([Loop("mend", 0.01, work)]):
            await until(lambda: len(passes) >= 3)

    assert {entry["error"] for entry in logs if entry.get("loop") == "mend"} == {"ValueError"}
    assert "sk-canary" not in str(logs)


async def test_a_pass_comes_early_when_it_is_wanted() -> None:
    passes: list[int] = []

    async def work() -> None:
        passes.append(1)

    loop = Loop("mend", NEVER, work)
    async with running([loop]):
        await until(lambda: len(passes) == 1)
        loop.wanted.set()
        await until(lambda: len(passes) == 2)

    assert len(passes) == 2


async def test_a_pass_that_was_begun_is_finished() -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        done.set()

    async with running([Loop("mend", NEVER, work)]):
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, may_end.set)

    assert done.is_set()


async def test_a_pass_that_hangs_does_not_keep_the_server_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("mcp_agentspawn.server.loops.ENDS_WITHIN_SECONDS", 0.05)
    async with asyncio.timeout(5), running([Loop("mend", NEVER, work)]):
        await asyncio.sleep(0)


async def test_work_that_never_ends_is_begun_anew_when_it_fails_and_broken_off_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcp_agentspawn.server.loops.BEGIN_ANEW_SECONDS", 0.01)
    begun: list[int] = []
    broken_off = asyncio.Event()

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise ValueError("sk-canary")
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()

    with structlog.testing.capture_logs() as logs:
        async with kept_going("watch", work):
            await until(lambda: len(begun) == 3)

    assert broken_off.is_set()
    assert [entry["error"] for entry in logs if entry.get("work") == "watch"] == ["ValueError"] * 2
    assert "sk-canary" not in str(logs)

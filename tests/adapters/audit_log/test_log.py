# ruff: noqa: ASYNC240 - a test may block its loop

import asyncio
import errno
import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.adapters.audit_log import AuditLog, log, opened
from mcp_agentspawn.core.errors import Unavailable
from tests.audit_chain import INTENT, WRITER, codes, verified
from tests.builders import FixedClock


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@contextmanager
def full_disk(path: Path, *, room: int) -> Iterator[None]:
    """No file may grow beyond the log's size and this room: a real write fails, half done."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_log_begins_with_a_segment_and_verifies(audit: AuditLog, path: Path) -> None:
    head = await audit.write(INTENT)

    first, second = records(path)
    assert (first["event"], first["sequence"], first["previous"]) == ("segment", 1, "")
    assert (second["event"], second["sequence"], second["previous"]) == ("apply.intent", 2, first["hash"])
    assert (head.writer, head.sequence, head.hash) == (WRITER, 2, second["hash"])
    assert codes(verified(path.read_bytes(), [head])) == []


async def test_the_order_of_calls_is_the_order_in_the_file(audit: AuditLog, path: Path) -> None:
    heads = await asyncio.gather(*(audit.write(replace(INTENT, subject=f"sub-{index}")) for index in range(300)))

    assert [record["subject"] for record in records(path)[1:]] == [f"sub-{index}" for index in range(300)]
    assert [head.sequence for head in heads] == list(range(2, 302))
    assert codes(verified(path.read_bytes(), heads)) == []


async def test_only_the_owner_reads_the_log(path: Path) -> None:
    path.touch(mode=0o644)

    async with opened(path, "agentspawn-0", FixedClock()):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_each_start_goes_on_with_the_chain(path: Path) -> None:
    for _ in range(3):
        async with opened(path, "agentspawn-0", FixedClock()) as audit:
            head = await audit.write(INTENT)

    assert [record["event"] for record in records(path)] == ["segment", "apply.intent"] * 3
    assert codes(verified(path.read_bytes(), [head])) == []


async def test_a_log_that_was_moved_away_while_stopped_leaves_two_whole_logs(path: Path) -> None:
    async with opened(path, "agentspawn-0", FixedClock()) as audit:
        archived = await audit.write(INTENT)
    path.rename(path.with_suffix(".archived"))
    async with opened(path, "agentspawn-0", FixedClock()) as audit:
        head = await audit.write(INTENT)

    assert records(path)[0]["previous"] == ""
    assert codes(verified(path.with_suffix(".archived").read_bytes(), [archived])) == []
    assert codes(verified(path.read_bytes(), [head])) == []


class HeldDisk:
    """An `os.fsync` that counts its calls and waits until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.entered, self.free = threading.Event(), threading.Event()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor: int) -> None:
        self.calls += 1
        self.entered.set()
        assert self.free.wait(20)
        self._fsync(descriptor)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 20)


async def test_a_write_returns_only_when_the_disk_has_it_and_the_loop_goes_on(
    audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HeldDisk(monkeypatch)
    writing = asyncio.create_task(audit.write(INTENT))
    await disk.reached()
    assert not writing.done()

    disk.free.set()

    assert (await writing).sequence == 2


async def test_writers_that_come_meanwhile_share_one_flush(audit: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HeldDisk(monkeypatch)
    first = asyncio.create_task(audit.write(INTENT))
    await disk.reached()
    others = [asyncio.create_task(audit.write(INTENT)) for _ in range(100)]
    disk.free.set()

    await asyncio.gather(first, *others)

    assert disk.calls == 2


async def test_a_cancelled_waiter_breaks_nothing(audit: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HeldDisk(monkeypatch)
    writing = [asyncio.create_task(audit.write(INTENT)) for _ in range(5)]
    await disk.reached()
    writing += [asyncio.create_task(audit.write(INTENT)) for _ in range(5)]
    for task in writing[::2]:
        task.cancel()
    disk.free.set()
    await asyncio.gather(*writing, return_exceptions=True)

    head = await audit.write(INTENT)

    assert [task.cancelled() for task in writing] == [True, False] * 5
    assert codes(verified(path.read_bytes(), [head])) == []


async def test_a_disk_that_hangs_is_unavailable_in_time(audit: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "WRITE_SECONDS", 0.05)
    disk = HeldDisk(monkeypatch)

    with pytest.raises(Unavailable):
        await audit.write(INTENT)

    disk.free.set()


async def test_more_waiters_than_the_bound_are_refused(audit: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_WAITING", 3)
    disk = HeldDisk(monkeypatch)
    writing = [asyncio.create_task(audit.write(INTENT))]
    await disk.reached()
    writing += [asyncio.create_task(audit.write(INTENT)) for _ in range(4)]
    await asyncio.wait(writing[4:])
    disk.free.set()

    answers = await asyncio.gather(*writing, return_exceptions=True)

    assert [isinstance(answer, Unavailable) for answer in answers] == [False] * 4 + [True]


async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(audit: AuditLog, path: Path) -> None:
    await audit.write(INTENT)
    before = path.read_bytes()
    with full_disk(path, room=100), pytest.raises(Unavailable) as raised:
        await audit.write(INTENT)
    assert audit.failing
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.EFBIG
    assert path.read_bytes() == before

    head = await audit.write(INTENT)

    assert not audit.failing
    assert head.sequence == 3
    assert codes(verified(path.read_bytes(), [head])) == []


async def test_a_batch_fails_as_a_whole(audit: AuditLog, path: Path) -> None:
    with full_disk(path, room=1000):
        answers = await asyncio.gather(*(audit.write(INTENT) for _ in range(10)), return_exceptions=True)

    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert len(records(path)) == 1


async def test_a_flush_that_fails_takes_its_records_back(
    audit: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(Unavailable):
            await audit.write(INTENT)

    assert (await audit.write(INTENT)).sequence == 2
    assert len(records(path)) == 2


async def test_what_could_not_be_taken_back_at_once_is_before_the_next_record(
    audit: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", fail)
        with full_disk(path, room=100), pytest.raises(Unavailable):
            await audit.write(INTENT)
        with pytest.raises(Unavailable):
            await audit.write(INTENT)
        assert codes(verified(path.read_bytes())) == ["torn"]

    head = await audit.write(INTENT)

    assert codes(verified(path.read_bytes(), [head])) == []


async def test_a_server_starts_on_a_full_disk_and_writes_when_there_is_room(path: Path) -> None:
    path.touch()
    async with AsyncExitStack() as stack:
        with full_disk(path, room=10):
            audit = await stack.enter_async_context(opened(path, "agentspawn-0", FixedClock()))
            assert audit.failing
            with pytest.raises(Unavailable):
                await audit.write(INTENT)
            assert path.read_bytes() == b""

        head = await audit.write(INTENT)

    assert [record["event"] for record in records(path)] == ["segment", "apply.intent"]
    assert codes(verified(path.read_bytes(), [head])) == []


async def test_a_file_that_was_removed_is_unavailable(audit: AuditLog, path: Path) -> None:
    path.unlink()

    with pytest.raises(Unavailable):
        await audit.write(INTENT)


async def test_a_file_that_was_replaced_is_unavailable_until_it_is_back(audit: AuditLog, path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.touch()
    with pytest.raises(Unavailable):
        await audit.write(INTENT)

    path.with_suffix(".old").rename(path)

    assert (await audit.write(INTENT)).sequence == 2


@pytest.mark.parametrize("change", [b"x", None], ids=["appended", "cut"])
async def test_a_file_that_somebody_else_changed_is_unavailable(
    audit: AuditLog, path: Path, change: bytes | None
) -> None:
    path.write_bytes(path.read_bytes() + change if change else b"")

    with pytest.raises(Unavailable):
        await audit.write(INTENT)


async def test_a_closed_log_is_unavailable_after_what_it_accepted_was_written(path: Path) -> None:
    async with opened(path, "agentspawn-0", FixedClock()) as audit:
        writing = [asyncio.create_task(audit.write(INTENT)) for _ in range(10)]
        await asyncio.sleep(0)

    assert [task.result().sequence for task in writing] == list(range(2, 12))
    with pytest.raises(Unavailable):
        await audit.write(INTENT)


async def test_hostile_names_stay_in_their_line(audit: AuditLog, path: Path) -> None:
    hostile = 'x"}\n{"event":"refused"\r\u2028\u0085\x1b[2J\u202e\ud800'

    head = await audit.write(replace(INTENT, root=hostile, subject=hostile, details={hostile: hostile}))

    content = path.read_bytes()
    assert len(content.decode().splitlines()) == 2
    assert all(line.isprintable() for line in content.decode().splitlines())
    assert codes(verified(content, [head])) == []

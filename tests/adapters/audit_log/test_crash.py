"""A process that dies while it writes: the log verifies after the next start, and nothing it confirmed is lost."""

# ruff: noqa: ASYNC240 - a test may block its loop

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_agentspawn.adapters.audit_log import opened
from mcp_agentspawn.core.ledger import Head
from tests.audit_chain import INTENT, codes, notes, verified
from tests.builders import FixedClock

SERVER = """
import asyncio, os, signal, sys
from pathlib import Path
from mcp_agentspawn.adapters.audit_log import opened
from tests.audit_chain import INTENT
from tests.builders import FixedClock

write, torn_at = os.write, int(sys.argv[2])

def tear(descriptor, content):
    if torn_at and write_count() == torn_at:
        write(descriptor, content[:-20])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(descriptor, content)

def write_count(count=[0]):
    count[0] += 1
    return count[0]

os.write = tear

async def main():
    async with opened(Path(sys.argv[1]), "agentspawn-0", FixedClock()) as audit:
        async def go_on():
            while True:
                head = await audit.write(INTENT)
                print(head.writer, head.sequence, head.hash, flush=True)
        await asyncio.gather(*(go_on() for _ in range(8)))

asyncio.run(main())
"""


@contextmanager
def server(path: Path, *, torn_at: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that writes on and on; it tears its n-th write and dies of it."""
    command = [sys.executable, "-c", SERVER, str(path), str(torn_at)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        try:
            yield process
        finally:
            process.kill()


def confirmed(process: subprocess.Popen[str], most: int) -> list[Head]:
    """The heads that the process was given, up to so many."""
    assert process.stdout is not None
    lines = [line.split() for line, _ in zip(process.stdout, range(most), strict=False)]
    return [Head(line[0], int(line[1]), line[2]) for line in lines if len(line) == 3]


async def restarted(path: Path) -> Head:
    async with opened(path, "agentspawn-0", FixedClock()) as audit:
        return await audit.write(INTENT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit-agentspawn-0.jsonl"


async def test_a_killed_writer_loses_nothing_that_it_confirmed(path: Path) -> None:
    heads: list[Head] = []
    for records in (20, 90, 50):
        with server(path) as process:
            heads += confirmed(process, records)
            process.send_signal(signal.SIGKILL)

    head = await restarted(path)

    assert len(heads) == 160
    assert codes(verified(path.read_bytes(), [*heads, head])) == []


async def test_a_write_that_was_torn_by_death_is_named_by_the_next_segment(path: Path) -> None:
    with server(path, torn_at=9) as process:
        heads = confirmed(process, 1000)
    assert process.returncode == -signal.SIGKILL
    assert codes(verified(path.read_bytes(), heads)) == ["torn"]

    head = await restarted(path)

    assert codes(verified(path.read_bytes(), [*heads, head])) == []
    assert notes(verified(path.read_bytes(), [*heads, head])) == ["torn_named"]


async def test_a_segment_that_was_torn_too_is_named_with_what_it_named(path: Path) -> None:
    for torn_at in (3, 1, 1):
        with server(path, torn_at=torn_at) as process:
            confirmed(process, 1000)

    head = await restarted(path)

    assert len(path.read_bytes().splitlines()) > 4
    assert codes(verified(path.read_bytes(), [head])) == []


async def test_a_first_segment_that_was_torn_is_named(path: Path) -> None:
    with server(path, torn_at=1) as process:
        confirmed(process, 1000)

    await restarted(path)

    assert codes(verified(path.read_bytes())) == []
    assert "torn_named" in notes(verified(path.read_bytes()))


async def test_wherever_a_log_is_torn_it_verifies_after_the_next_start(path: Path) -> None:
    await restarted(path)
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])

        await restarted(path)

        assert codes(verified(path.read_bytes())) == [], end
        assert path.read_bytes().startswith(whole[:end])


async def test_a_record_that_lacks_only_its_line_end_is_kept(path: Path) -> None:
    head = await restarted(path)
    path.write_bytes(path.read_bytes()[:-1])

    await restarted(path)

    assert codes(verified(path.read_bytes(), [head])) == []
    assert "torn_named" not in notes(verified(path.read_bytes(), [head]))


@pytest.mark.parametrize("torn", [b"\0" * 4096, b'{"caller":"x"}\n', b"\n", b"\n\n", b"a\nb\nc"])
async def test_whatever_stands_behind_the_last_record_is_named(path: Path, torn: bytes) -> None:
    await restarted(path)
    path.write_bytes(path.read_bytes() + torn)
    assert codes(verified(path.read_bytes())) != []

    await restarted(path)

    assert codes(verified(path.read_bytes())) == []


async def test_a_torn_line_that_was_changed_after_it_was_named_is_found(path: Path) -> None:
    await restarted(path)
    path.write_bytes(path.read_bytes() + b'{"caller":"a')
    await restarted(path)

    path.write_bytes(path.read_bytes().replace(b'{"caller":"a\n', b'{"caller":"b\n'))

    assert codes(verified(path.read_bytes())) == ["torn", "torn_missing"]


async def test_a_segment_tells_the_format_and_what_was_torn(path: Path) -> None:
    await restarted(path)
    path.write_bytes(path.read_bytes() + b"torn")
    await restarted(path)

    details = [json.loads(line)["details"] for line in path.read_bytes().splitlines() if b'"segment"' in line]
    assert [sorted(each) for each in details] == [["format"], ["format", "torn"]]

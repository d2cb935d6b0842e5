# ruff: noqa: ASYNC240 - a test may block its loop

import os
from pathlib import Path

import pytest

from mcp_agentspawn.adapters.audit_log import AuditLog, opened
from mcp_agentspawn.core.errors import ConfigError
from tests.audit_chain import INTENT
from tests.builders import FixedClock


async def start(path: Path, writer: str = "agentspawn-0") -> None:
    async with opened(path, writer, FixedClock()):
        pass


async def test_two_writers_of_one_file_are_refused_at_the_start(audit: AuditLog, path: Path) -> None:
    with pytest.raises(ConfigError, match="another process writes"):
        await start(path)

    assert (await audit.write(INTENT)).sequence == 2


async def test_the_log_of_another_writer_is_refused(path: Path) -> None:
    await start(path)

    with pytest.raises(ConfigError, match="is the log of"):
        await start(path, "agentspawn-1")


@pytest.mark.parametrize("writer", ["", "a b", "a@b", "-", "a\n", "a" * 254])
async def test_a_writer_has_a_plain_name(path: Path, writer: str) -> None:
    with pytest.raises(ConfigError, match="can not be a writer's name"):
        await start(path, writer)


@pytest.mark.parametrize("content", [b"127.0.0.1 localhost\n", b"x" * 1_000_000, b'{"caller":"x"}\n' * 100_000])
async def test_a_file_that_is_no_log_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="no audit log"):
        await start(path)

    assert path.read_bytes() == content


async def test_a_place_that_can_not_hold_a_log_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for place in ("pipe", "link", "missing/audit.jsonl", "."):
        with pytest.raises(ConfigError):
            await start(tmp_path / place)
    assert not (tmp_path / "elsewhere").exists()

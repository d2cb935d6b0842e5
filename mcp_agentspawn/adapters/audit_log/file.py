"""The file behind the audit: locked, resumed after a crash, appended to as a whole or not at all. All of it blocks."""

import fcntl
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mcp_agentspawn.core.audit_line import (
    MOST_LINE_BYTES,
    SEGMENT,
    Entry,
    NotWhole,
    described,
    read,
    sealed,
)
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.moments import to_the_microsecond
from mcp_agentspawn.core.ports import Record

FORMAT = 1
WINDOW_BYTES = 4 * MOST_LINE_BYTES
"""How much of a file's end is read to find its last whole record; a crash tears at most one batch's last lines."""
WRITER = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,251}[A-Za-z0-9])?\Z")
FIRST_BYTES = b'{"caller":"","details":{'


@dataclass(frozen=True, slots=True)
class Resumed:
    """How a file ended: its last whole record, what to write before going on, and the hash of torn lines, if any."""

    last: Entry | None
    mend: bytes = b""
    torn: str | None = None


class LogFile:
    """One open log. Used by one thread at a time."""

    def __init__(self, path: Path, writer: str, now: datetime) -> None:
        """Open, lock and resume it. Raises `ConfigError`."""
        if not WRITER.match(writer):
            raise ConfigError(
                [f"{path}: {writer!r} can not be a writer's name: letters, digits, '-', '_' and '.' only"]
            )
        try:
            self._descriptor = _open(path)
        except OSError as error:
            raise ConfigError([f"{path}: the audit log can not be opened: {error.strerror}"]) from error
        try:
            self._resume(path, writer, now)
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def begun(self) -> bool:
        """Whether this start's segment is in the file; if not, the next append writes it first."""
        return self._opening is None

    def append(self, bodies: Sequence[Mapping[str, Any]]) -> list[Head]:
        """Write all of them durably, in this order, or none. Raises `OSError`."""
        self._begin()
        return self._chain(b"", bodies)

    def close(self) -> None:
        """Close it, and let go of the lock."""
        os.close(self._descriptor)

    def _resume(self, path: Path, writer: str, now: datetime) -> None:
        self._path, self._size, self._dirty = path, os.fstat(self._descriptor).st_size, False
        found = _end_of(path, self._descriptor, self._size)
        self._writer = found.last.writer if found.last else f"{writer}@{to_the_microsecond(now)}"
        if self._writer.partition("@")[0] != writer:
            raise ConfigError([f"{path}: this is the log of {self._writer!r}, not of {writer!r}"])
        self._sequence = found.last.sequence if found.last else 0
        self._hash = found.last.hash if found.last else ""
        details: dict[str, str | int] = {"format": FORMAT} | ({"torn": found.torn} if found.torn else {})
        self._opening: tuple[bytes, dict[str, Any]] | None = (
            found.mend,
            described(Record(SEGMENT, "", "", details=details), now),
        )
        with suppress(OSError):  # a full disk stops changes, not the server: the next append begins with this again
            self._begin()

    def _begin(self) -> None:
        """Write this start's segment, if it is not there yet."""
        if self._opening is not None:
            mend, segment = self._opening
            self._chain(mend, [segment])
            self._opening = None

    def _chain(self, mend: bytes, bodies: Sequence[Mapping[str, Any]]) -> list[Head]:
        content, sequence, hash_, heads = [mend], self._sequence, self._hash, []
        for body in bodies:
            sequence += 1
            line, hash_ = sealed(body, self._writer, sequence, hash_)
            content.append(line)
            heads.append(Head(self._writer, sequence, hash_))
        self._store(b"".join(content))
        self._sequence, self._hash = sequence, hash_
        return heads

    def _store(self, content: bytes) -> None:
        self._check()
        try:
            _write(self._descriptor, content)
            os.fsync(self._descriptor)
        except OSError:
            self._dirty = True
            with suppress(OSError):
                self._undo()
            raise
        self._size += len(content)

    def _check(self) -> None:
        """The file is still the one that a reader finds, and it ends where this writer left it."""
        ours, there = os.fstat(self._descriptor), self._path.stat(follow_symlinks=False)
        if not os.path.samestat(ours, there):
            raise FileNotFoundError(None, "the file was moved away or replaced")
        if self._dirty:
            self._undo()
        elif ours.st_size != self._size:
            raise OSError(None, "somebody else changed the file")

    def _undo(self) -> None:
        """Cut off what a failed write left."""
        os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)
        self._dirty = False


def _open(path: Path) -> int:
    """Open it for this process alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        _prepare(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _prepare(path: Path, descriptor: int) -> None:
    """Lock it, make it readable by its owner alone, and its name in the directory durable."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ConfigError([f"{path}: the audit log must be a regular file"])
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError([f"{path}: another process writes this audit log; each needs a file of its own"]) from error
    os.fchmod(descriptor, 0o600)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _end_of(path: Path, descriptor: int, size: int) -> Resumed:
    start = max(0, size - WINDOW_BYTES)
    window = os.pread(descriptor, size - start, start)
    lines = window.split(b"\n")
    for index in reversed(range(len(lines))):
        with suppress(NotWhole):
            last = read(lines[index])
            return _after(last, b"\n".join(lines[index + 1 :]), ended=index + 1 < len(lines))
    if start or not FIRST_BYTES.startswith(window[: len(FIRST_BYTES)]):
        raise ConfigError([f"{path}: no audit log, or a damaged one: verify it, move it away, and start again"])
    return _after(None, window, ended=True)


def _after(last: Entry | None, rest: bytes, *, ended: bool) -> Resumed:
    """What follows the last whole record is torn. A record that lacks nothing but its end gets that, and counts."""
    if not ended:
        return Resumed(last, mend=b"\n")
    if not rest:
        return Resumed(last)
    return Resumed(last, b"" if rest.endswith(b"\n") else b"\n", hash_of(rest.removesuffix(b"\n")))


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]

"""Group commit: writers that come while the disk is busy share its next flush."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from mcp_agentspawn.adapters.audit_log.file import LogFile
from mcp_agentspawn.core.audit_line import described
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Clock, Record

WRITE_SECONDS = 5.0
MOST_WAITING = 1024
MOST_BATCH = 256

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record on its way to the disk, and who waits for it."""

    body: dict[str, Any]
    written: asyncio.Future[Head]


@asynccontextmanager
async def opened(path: Path, writer: str, clock: Clock) -> AsyncIterator["AuditLog"]:
    """The audit log in this file, which this process alone writes. Raises `ConfigError`.

    `writer` is this server's stable name, for example its pod's. What was accepted is written before it closes.
    """
    file = await asyncio.to_thread(LogFile, path, writer, clock.now())
    audit = AuditLog(file, clock)
    try:
        yield audit
    finally:
        await audit.close()


class AuditLog:
    """See `core.ports.Audit`. The writer in its heads is the name and when this log began: `agentspawn-0@2026-…Z`."""

    def __init__(self, file: LogFile, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._waiting: list[Waiting] = []
        self._wanted = asyncio.Event()
        self._closed, self._failing = False, False
        self._say(failing=not file.begun)
        self._flusher = asyncio.create_task(self._flush())

    @property
    def failing(self) -> bool:
        """Whether the last flush, or the segment at the start, failed; the next write tries again."""
        return self._failing

    async def write(self, record: Record) -> Head:
        """See `core.ports.Audit.write`. A waiter that is cancelled leaves its record in the log."""
        if self._closed or self._flusher.done():
            raise Unavailable("The audit log is closed.")
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("Too many records wait for the audit log.")
        written: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(described(record, self._clock.now()), written))
        self._wanted.set()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return await written
        except TimeoutError as error:
            raise Unavailable("The audit log was not written in time.") from error

    async def close(self) -> None:
        """Write what was accepted, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._wanted.set()
        try:
            await self._flusher
        finally:
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
            self._thread.shutdown(wait=False)
            await closing

    async def _flush(self) -> None:
        while not self._closed or self._waiting:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_BATCH], self._waiting[MOST_BATCH:]
                await self._commit(batch)

    async def _commit(self, batch: list[Waiting]) -> None:
        bodies = [waiting.body for waiting in batch]
        try:
            heads = await asyncio.get_running_loop().run_in_executor(self._thread, self._file.append, bodies)
        except OSError as error:
            return self._fail(batch, error)
        for waiting, head in zip(batch, heads, strict=True):
            if not waiting.written.done():
                waiting.written.set_result(head)
        return self._say(failing=False)

    def _fail(self, batch: list[Waiting], error: OSError) -> None:
        for waiting in batch:
            if not waiting.written.done():
                unavailable = Unavailable(f"The audit log can not be written: {error.strerror}.")
                unavailable.__cause__ = error
                waiting.written.set_exception(unavailable)
        self._say(failing=True, cause=error.strerror or "")

    def _say(self, *, failing: bool, cause: str = "") -> None:
        """Tell the operator when it begins to fail, and when it works again."""
        if self._failing == failing:
            return
        self._failing = failing
        with suppress(OSError):  # what this says may go to the same full disk
            if failing:
                log.error("the audit log can not be written, so nothing is changed", cause=cause)
            else:
                log.info("the audit log is written again")

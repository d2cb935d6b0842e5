"""The server's side of its short-lived processes: a job goes in, a report comes out, and the process is gone."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Any

MOST_REPORT_BYTES = 1 << 20
PASSED_ON = ("SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR")
"""All of our environment that a helper gets: a proxy is never used, and nothing else concerns it."""


class HelperFailed(Exception):
    """A helper did not do its job: it ended early, took too long, or reported nothing that can be read."""


async def helped(module: str, job: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Have the module do the job in a process of its own. Raises HelperFailed; never leaves the process behind."""
    try:
        async with asyncio.timeout(seconds):
            return await _conversation(module, job)
    except (OSError, ValueError, TimeoutError) as error:  # what is quoted in it may be registry text
        raise HelperFailed(type(error).__name__) from None


async def _conversation(module: str, job: dict[str, Any]) -> dict[str, Any]:
    process = await _started(module)
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")  # type: ignore[union-attr]  # it is a pipe
        line = await process.stdout.readline()  # type: ignore[union-attr]  # the same
        if await process.wait():
            raise ValueError("it ended with an error")
        return _report(line)
    finally:
        await _ended(process)


async def _started(module: str) -> Process:
    """Isolated: neither the folder that we run in nor the environment says what it imports."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", module),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,  # a traceback quotes
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"MALLOC_ARENA_MAX": "2"},
        limit=MOST_REPORT_BYTES,
    )


async def _ended(process: Process) -> None:
    """Kill it, and wait until it and its pipes are gone."""
    if process.returncode is None:
        process.kill()
    process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
    await process.stdout.read()  # type: ignore[union-attr]  # the same
    with suppress(OSError):
        await process.stdin.wait_closed()  # type: ignore[union-attr]  # the same
    await process.wait()


def _report(line: bytes) -> dict[str, Any]:
    report = json.loads(line)
    if not isinstance(report, dict):
        raise ValueError("no report")  # noqa: TRY004 - like a line that is no JSON
    if "error" in report:
        raise HelperFailed(f"{report['error']} at {', '.join(report['at'])}")
    return report

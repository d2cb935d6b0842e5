"""A short-lived process that does one job for the server: in nobody's way, bounded, and gone when the server is."""

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any

MOST_ADDRESS_SPACE_BYTES = 512 << 20
MOST_FILE_BYTES = 1 << 29
NICENESS = 10
MOST_FRAMES = 5
OWNER_ALONE = 0o077

Job = dict[str, Any]
Report = dict[str, Any]


def serve(work: Callable[[Job], Report]) -> None:
    """Read a job from standard input, do it, and write the report: a line of JSON each."""
    _bound_itself()
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    print(json.dumps(_reported(work, job)), flush=True)  # noqa: T201 - the report goes to standard output


def _reported(work: Callable[[Job], Report], job: Job) -> Report:
    """The report; of an error its kind and where it was raised, for its text may quote a registry or a credential."""
    try:
        return work(job)
    except Exception as error:  # noqa: BLE001 - the server is told
        frames = extract_tb(error.__traceback__)[-MOST_FRAMES:]
        return {
            "error": type(error).__name__,
            "at": [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames],
        }


def _bound_itself() -> None:
    """A job that runs away then fails here, and takes neither memory nor time from the server.

    A group of its own, since a Ctrl-C is for the server, which ends it; the same session, since Linux weighs processes
    of different sessions without a look at their niceness.
    """
    os.setpgid(0, 0)
    os.nice(NICENESS)
    os.umask(OWNER_ALONE)
    _bound(resource.RLIMIT_AS, MOST_ADDRESS_SPACE_BYTES)
    _bound(resource.RLIMIT_FSIZE, MOST_FILE_BYTES)
    _bound(resource.RLIMIT_CORE, 0)


def _bound(kind: int, most: int) -> None:
    """As far as the system does: macOS takes no bound on the address space."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def _end_with_the_server() -> None:
    """The kernel closes our standard input when the server ends, however it ends."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)

"""Servers that are there at once: forked from a process that has imported everything already.

Each is a process of its own, as `agentspawn serve` is, with its own environment and log; it can be killed.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

NURSE = """
import json, os, signal, sys
from mcp_agentspawn.cli import main
from mcp_agentspawn import app
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log, nothing = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["agentspawn", "serve"]
        sys.exit(main())
    print(child, flush=True)
"""
ENDS_WITHIN_SECONDS = 20.0


class Forked:
    """A process that is not our child; killed and waited for by its descriptor, never by a number used again."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """0 when it has ended, however; `None` while it runs."""
        return 0 if self._ended(0.0) else None

    def kill(self) -> None:
        """SIGKILL; one that has ended stays so."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until it has ended."""
        assert self._ended(ENDS_WITHIN_SECONDS), f"process {self.pid} did not end"
        return 0

    def _ended(self, within_seconds: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], within_seconds)
        return bool(ready)


@dataclass(frozen=True)
class Nursery:
    """Starts servers, each in the same process group."""

    nurse: "Popen[str]"

    def start(self, environment: Mapping[str, str], log: Path) -> Forked:
        """One more server."""
        assert self.nurse.stdin is not None
        assert self.nurse.stdout is not None
        order = {"environment": {"PATH": os.environ["PATH"], **environment}, "log": str(log)}
        self.nurse.stdin.write(json.dumps(order) + "\n")
        self.nurse.stdin.flush()
        return Forked(int(self.nurse.stdout.readline()))


@contextmanager
def nursery(group: int) -> Iterator[Nursery]:
    """Import everything, and end when the block is left; the servers are their starters' to end."""
    nurse = Popen([sys.executable, "-c", NURSE], stdin=PIPE, stdout=PIPE, text=True, process_group=group)
    try:
        yield Nursery(nurse)
    finally:
        nurse.communicate(timeout=ENDS_WITHIN_SECONDS)

"""Processes that end with us: started in one group of their own, stopped in order, and never left behind."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mcp_agentspawn.localplane import guardian
from mcp_agentspawn.localplane.errors import ControlPlaneFailed

POLL_SECONDS = 0.02
TAIL_LINES = 20


class Guardian:
    """A process group and a folder that do not outlive this process, not even after SIGKILL.

    The group is not the terminal's, so a Ctrl-C reaches us alone and we stop the members in order.
    """

    def __init__(self, folder: Path) -> None:
        script = [sys.executable, "-I", "-S", str(Path(guardian.__file__)), str(folder)]
        self._process = subprocess.Popen(
            script,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # never written: its end tells that the guardian is done
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    @property
    def group(self) -> int:
        """The id of the process group that members join."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left of the group and remove the folder."""
        self._process.communicate()


class Component:
    """One program of the control plane, its log, and its end."""

    def __init__(self, name: str, command: Sequence[str], log: Path, group: int) -> None:
        self.name = name
        self._log = log
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=group,
                    env=component_environment(os.environ),
                )
        except OSError as error:
            raise ControlPlaneFailed(f"{name} could not be started from {command[0]}: {error.strerror}") from error

    @property
    def process_id(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise ControlPlaneFailed if the process has ended."""
        if not self.running:
            raise self.failure(f"ended with exit code {self._process.returncode}")

    def failure(self, what: str) -> ControlPlaneFailed:
        """Describe what happened to this component, with the end of its log."""
        return ControlPlaneFailed(f"{self.name} {what}. The end of its log:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Give the last lines of the log."""
        return tail(self._log)

    async def stop(self, grace_seconds: float) -> None:
        """Ask the process to end, and kill it when it has not within the grace."""
        try:
            if self.running:
                self._process.terminate()
            deadline = time.monotonic() + grace_seconds
            while self.running:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(POLL_SECONDS)
        finally:
            if self.running:
                self._process.kill()
            self._process.wait()


def component_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Keep what a program needs: etcd and Go read settings from the rest."""
    return {name: environment[name] for name in ("PATH", "HOME", "TMPDIR", "GOMAXPROCS") if name in environment}


def tail(log: Path) -> str:
    """Give the last lines of a log file."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])

"""kagent's agent runtime as a process of ours, and the agents that it runs."""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcp_agentspawn.localplane.errors import ControlPlaneFailed
from mcp_agentspawn.localplane.processes import Guardian, component_environment, tail

SCRIPT = Path(__file__).with_name("runtime.py")
MOST_LINE_BYTES = 1 << 16
QUIET = {"OTEL_SDK_DISABLED": "true", "PYTHONWARNINGS": "ignore", "LOG_LEVEL": "WARNING"}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Libraries of numbers start threads when they are imported, and a process that is to be forked may have none."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """One agent that was started: its process id, its loopback port, and in the end its exit code.

    `ended` raises ControlPlaneFailed when the runtime has ended before it.
    """

    number: int
    id: int
    port: int
    ended: "asyncio.Future[int]" = field(repr=False)


class AgentRuntime:
    """kagent's Python runtime, and in it agents that have a process each; an async context manager, used once.

    Entering does not wait: it takes seconds until the first agent starts, and milliseconds for each one after it.
    Leaving, and also the end of this process, ends all of them. `python` is that of kagent's environment.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        self._stack = AsyncExitStack()
        self._numbers = itertools.count(1)
        self._starting: dict[int, asyncio.Future[Process]] = {}
        self._running: dict[int, Process] = {}

    async def __aenter__(self) -> Self:
        async with self._stack as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="agentspawn-agents-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            await self._begin(stack, stack.enter_context(Guardian(self.folder)).group)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def log(self) -> Path:
        """What the runtime and its agents have to say."""
        return self.folder / "runtime.log"

    async def start(self, name: str, config: Mapping[str, Any], card: Mapping[str, Any], key: str) -> Process:
        """Start an agent; it takes connections at once and answers soon. `key` is the credential for its model.

        Raises ControlPlaneFailed when the runtime itself has ended.
        """
        number = next(self._numbers)
        started: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._starting[number] = started
        try:
            await self._tell({"start": number, "name": name, "config": config, "card": card, "key": key})
            return await started
        finally:
            self._starting.pop(number, None)

    async def stop(self, process: Process) -> None:
        """End an agent at once; one that has ended already is fine."""
        if not process.ended.done():
            await self._tell({"stop": process.number})
            await asyncio.wait([process.ended])

    async def watch(self) -> None:
        """Wait until the runtime ends by itself, which raises ControlPlaneFailed."""
        await asyncio.shield(self._listening)

    async def _begin(self, stack: AsyncExitStack, group: int) -> None:
        self._process = self._opened(group)
        stack.callback(self._process.wait)
        stack.callback(self._process.kill)
        await self._connect(stack)

    def _opened(self, group: int) -> "subprocess.Popen[bytes]":
        try:
            with self.log.open("wb") as log:
                return subprocess.Popen(
                    [self._python, "-P", SCRIPT, self.folder],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    process_group=group,
                    env=_environment(self.folder),
                )
        except OSError as error:
            raise ControlPlaneFailed(f"{self._python} could not be started: {error.strerror}") from error

    async def _connect(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        self._said = asyncio.StreamReader(MOST_LINE_BYTES)
        protocol = asyncio.StreamReaderProtocol(self._said)
        reading, _ = await loop.connect_read_pipe(lambda: protocol, self._process.stdout)
        stack.callback(reading.close)
        flow = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        writing, _ = await loop.connect_write_pipe(lambda: flow, self._process.stdin)
        self._commands = asyncio.StreamWriter(writing, flow, None, loop)
        stack.callback(writing.close)
        self._listening = asyncio.create_task(self._listen())
        stack.callback(self._listening.cancel)

    async def _tell(self, command: Mapping[str, Any]) -> None:
        if self._listening.done():
            raise self._failure()
        try:
            self._commands.write(json.dumps(command).encode() + b"\n")
            await self._commands.drain()
        except OSError as error:
            raise self._failure() from error

    async def _listen(self) -> None:
        """Hear what the runtime says until it ends, which is a failure."""
        async for line in self._said:
            said = json.loads(line)
            if "started" in said:
                self._started(said)
            else:
                self._running.pop(said["ended"]).ended.set_result(said["code"])
        failure = self._failure()
        running = [process.ended for process in self._running.values()]
        waiting: list[asyncio.Future[Any]] = [*self._starting.values(), *running]
        for each in waiting:
            if not each.done():
                each.set_exception(failure)
                each.exception()  # read, for there need not be anybody who waits for it
        raise failure

    def _started(self, said: Mapping[str, Any]) -> None:
        number = said["started"]
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        process = Process(number, said["process"], said["port"], ended)
        self._running[number] = process
        waiting = self._starting.get(number)
        if waiting and not waiting.done():
            waiting.set_result(process)
        else:  # whoever wanted it has gone meanwhile
            self._commands.write(json.dumps({"stop": number}).encode() + b"\n")

    def _failure(self) -> ControlPlaneFailed:
        return ControlPlaneFailed(f"kagent's agent runtime ended. The end of its log:\n{tail(self.log)}")


def _environment(folder: Path) -> dict[str, str]:
    """What kagent's runtime needs. A proxy is for models only: tools and agents are on the loopback interface."""
    written = {name: os.environ.get(name.lower()) or os.environ.get(name) for name in PROXIES}
    proxies = {name: value for name, value in written.items() if value}
    beside = ",".join(filter(None, ["127.0.0.1,localhost", proxies.get("NO_PROXY")]))
    kept = component_environment(os.environ) | {"HOME": str(folder)}
    return kept | proxies | {"NO_PROXY": beside} | QUIET | ONE_THREAD

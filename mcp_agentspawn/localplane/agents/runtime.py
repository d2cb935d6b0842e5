"""Runs agents in kagent's own Python runtime, one process each; started with the Python of kagent's environment.

What all of them need is imported once, then each agent is forked from here and starts within milliseconds. Sessions
and tasks are kept in memory, so no controller is needed. Standard input takes one JSON object a line:
`{"start": id, "name", "config", "card", "key"}` and `{"stop": id}`; standard output says
`{"started": id, "process", "port"}` and, of each that has ended, `{"ended": id, "code"}`. The end of standard input
ends it and all its agents.
"""

# mypy: disable-error-code="import-not-found"
# The imports below are those of the runtime's environment.

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from a2a.types import AgentCard
from kagent.adk import AgentConfig, KAgentApp

LOOPBACK = "127.0.0.1"
CHUNK = 65536
THREADS = Path("/proc/self/task")


class Nursery:
    """The process that all agents are forked from. It has one thread, because a fork copies only one."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._agents: dict[int, str] = {}
        self._alive, self._life = os.pipe()
        self._ended, wake = os.pipe()
        for end in (self._ended, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Follow commands until there are no more."""
        rest = b""
        while True:
            readable, _, _ = select.select([0, self._ended], [], [])
            if self._ended in readable:
                self._reap()
            if 0 in readable:
                read = os.read(0, CHUNK)
                if not read:
                    return
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    self._follow(json.loads(line))

    def end(self) -> None:
        """Kill what runs."""
        for process in self._agents:
            os.kill(process, signal.SIGKILL)

    def _follow(self, command: dict[str, Any]) -> None:
        if "start" in command:
            self._start(command)
        for process, agent in self._agents.items():
            if agent == command.get("stop"):
                os.kill(process, signal.SIGKILL)

    def _start(self, command: dict[str, Any]) -> None:
        listener = socket.create_server((LOOPBACK, 0))
        # asyncio does so by itself only where a socket was made for TCP by name; each answer would take 40 ms more.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        process = os.fork()
        if not process:
            self._become(command, listener)
        self._agents[process] = command["start"]
        self._say({"started": command["start"], "process": process, "port": listener.getsockname()[1]})
        listener.close()

    def _become(self, command: dict[str, Any], listener: socket.socket) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._life, self._ended, self._output):
                os.close(end)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            threading.Thread(target=_end_with, args=(self._alive,), daemon=True).start()
            _serve(command, listener)
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it must not go on as if it were the nursery
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._ended, CHUNK)
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, os.WNOHANG)
                if not process:
                    return
                self._say({"ended": self._agents.pop(process), "code": os.waitstatus_to_exitcode(status)})

    def _say(self, what: dict[str, Any]) -> None:
        os.write(self._output, json.dumps(what).encode() + b"\n")


def _end_with(alive: int) -> None:
    """End when the nursery has, however it went: only it holds the pipe's other end."""
    os.read(alive, 1)
    os._exit(1)


def _serve(command: dict[str, Any], listener: socket.socket) -> None:
    os.environ["OPENAI_API_KEY"] = command["key"]
    config = AgentConfig.model_validate(command["config"])
    card = AgentCard.model_validate(command["card"])  # type: ignore[attr-defined] # its a2a is older than ours
    agent = KAgentApp(
        lambda: config.to_agent(card.name),
        card,
        card.url,
        command["name"],
        stream=bool(config.stream),
        agent_config=config,
    )
    server = uvicorn.Server(uvicorn.Config(agent.build(local=True), log_level="warning"))
    server.run(sockets=[listener])


def main() -> None:
    """Be the nursery. What libraries print goes where errors go."""
    output = os.dup(1)
    os.dup2(2, 1)
    if THREADS.is_dir() and len(list(THREADS.iterdir())) > 1:
        sys.exit("an import has started a thread, and a fork would lose it")
    gc.collect()
    gc.freeze()
    nursery = Nursery(output)
    try:
        nursery.serve()
    finally:
        nursery.end()


if __name__ == "__main__":
    main()

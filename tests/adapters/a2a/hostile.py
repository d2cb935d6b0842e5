"""An agent that answers whatever a test lets it answer, byte for byte, and remembers what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mcp_agentspawn.adapters.a2a import A2aAgents
from mcp_agentspawn.core.delegation import Address, Message, Report

HERE = Address("subagents", "helper-1", "uid-1", "agentspawn:agents:root")
TASK: dict[str, Any] = {"kind": "task", "id": "t-1", "contextId": "c-1", "status": {"state": "completed"}}
CARD: dict[str, Any] = {"name": "helper_1", "protocolVersion": "0.3.0", "skills": [{"id": "s", "name": "S"}]}

Behave = Callable[["Connection"], Awaitable[None]]


def told(text: str = "Go.", **changes: Any) -> Message:
    return Message("m-1", "c-1", text, **changes)


def task(**changes: Any) -> bytes:
    """An answer of JSON-RPC, wire 0.3."""
    return rpc({**TASK, **changes})


def rpc(result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def error(code: Any, text: str = "no") -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": text}}).encode()


def artifact(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"artifactId": "a-1", "parts": list(parts), **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"kind": "text", "text": words, **more}


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def rpc(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Connection:
    """One request, and the way back to whoever sent it."""

    request: Request
    writer: asyncio.StreamWriter

    async def write(self, sent: bytes) -> None:
        self.writer.write(sent)
        await self.writer.drain()

    async def answer(self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        lines = {"content-type": kind, "content-length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        await self.write(f"HTTP/1.1 {status} -\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class Agent:
    """`behaviours` are what it does, one after the other, the last one again and again."""

    behaviours: list[Behave]
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.requests.append(request)
                behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                await behave(Connection(request, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()


def answering(body: bytes, status: int = 200, **more: Any) -> Behave:
    async def behave(connection: Connection) -> None:
        await connection.answer(body, status, **more)

    return behave


async def silent(_: Connection) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def resetting(connection: Connection) -> None:
    connection.reset()


@asynccontextmanager
async def agent(*behaviours: Behave) -> AsyncIterator[Agent]:
    found, serving = Agent(list(behaviours)), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running = asyncio.current_task()
        assert running
        serving.add(running)
        with suppress(asyncio.CancelledError):  # by this test's end, and of no interest to the loop
            await found.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    found.url = f"http://{host}:{port}/"
    try:
        yield found
    finally:
        server.close()
        for running in serving:
            running.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


FETCH = {"id": "call-1", "name": "fetch", "args": {"address": "x", "n": 3}}
ASK = {"id": "call-2", "name": "ask_user", "args": {"questions": [{"question": "Which?", "choices": ["east", "west"]}]}}


def waiting(*calls: dict[str, Any], prefix: str = "kagent", **more: Any) -> bytes:
    """A task whose agent waits for these calls, as kagent tells it."""
    parts = [part(call, prefix=prefix) for call in calls]
    message = {"kind": "message", "role": "agent", "messageId": "m", "parts": [*parts, *more.get("parts", [])]}
    return task(status={"state": "input-required", "message": message})


def part(call: dict[str, Any], prefix: str = "kagent", payload: Any = None, name: str = "") -> dict[str, Any]:
    arguments = {"originalFunctionCall": call, "toolConfirmation": {"confirmed": False, "payload": payload}}
    data = {"name": name or "adk_request_confirmation", "id": "adk-1", "args": arguments}
    return {
        "kind": "data",
        "data": data,
        "metadata": {f"{prefix}_type": "function_call", f"{prefix}_is_long_running": True},
    }


def talking(stranger: Agent, wire: Any = "0.3", **more: Any) -> A2aAgents:
    return A2aAgents(stranger.url, wire, chance=lambda: 0.0, **more)


async def looked_at(body: bytes, wire: Any = "0.3") -> Report:
    async with agent(answering(body)) as stranger, talking(stranger, wire) as agents:
        return await agents.look(HERE, "t-1")

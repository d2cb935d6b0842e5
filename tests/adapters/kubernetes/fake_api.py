"""An API server that writes down what came over the wire, byte for byte, and answers what a test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes.aio.client import Configuration

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.credentials import Credentials
from mcp_agentspawn.adapters.kubernetes.principals import Call, Gate
from mcp_agentspawn.adapters.kubernetes.transport import Answer, Stream, Transport
from mcp_agentspawn.core.model import Root

ROOT = Root("agents", "orchestrator", "subagents")
TOKEN = "the-servers-own-token"


class Time:
    """A clock that stands at `now` until a test says otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Reply:
    """What to answer; `hang` says nothing, `cut` closes the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False


def reply(status: int = 200, **body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode())


def status(code: int, reason: str, message: str) -> Reply:
    return reply(code, kind="Status", code=code, reason=reason, message=message)


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def named(self, prefix: str) -> list[tuple[str, str]]:
        return sorted((name, value) for name, value in self.headers if name.lower().startswith(prefix.lower()))


class FakeApi:
    """Answers with the replies given, in order; the last one again and again."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.replies: list[Reply] = [Reply()]
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        self.seen.append(Seen(head[0], headers, await reader.readexactly(length)))
        said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if said.hang:
            await reader.read()
        if said.hang or said.cut:
            return False
        fields = {"Content-Length": str(len(said.body)), "Content-Type": "application/json", **said.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {said.status} Said\r\n{lines}\r\n".encode() + said.body)
        await writer.drain()
        return True

    def hang_up(self) -> None:
        for writer in self._open:
            writer.close()


def credentials(url: str, token: str = TOKEN) -> Credentials:
    configuration = Configuration()
    configuration.host = url
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    return Credentials(configuration)


@asynccontextmanager
async def fake_api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    api.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.close()
        api.hang_up()


@asynccontextmanager
async def transport_to(api: FakeApi) -> AsyncIterator[Transport]:
    async with Transport(credentials(api.url), Gate([ROOT])) as transport:
        yield transport


class Unstreamed:
    """For a transport that nothing is watched through."""

    def stream(self, call: Call) -> AbstractAsyncContextManager[Stream]:
        raise NotImplementedError


@dataclass
class Scripted(Unstreamed):
    """A transport without a wire: answers from a list and keeps the calls."""

    answers: list[tuple[int, dict[str, Any]] | Exception]
    calls: list[Call] = field(default_factory=list)

    async def send(self, call: Call) -> Answer:
        self.calls.append(call)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return Answer(said[0], json.dumps(said[1]).encode(), retry_after=False)

    def client(self) -> Client:
        return Client(self)

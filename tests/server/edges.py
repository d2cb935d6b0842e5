"""An MCP edge on a free port, over the memory world, and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.ports import Account
from mcp_agentspawn.operations.answers import Answer
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.calls import Calls
from mcp_agentspawn.server.health import Health, Part
from mcp_agentspawn.server.http import Edge, application
from mcp_agentspawn.server.process import Serving, listen, served, url_of
from mcp_agentspawn.server.slowing import RefusalBuckets
from mcp_agentspawn.server.tools import TOOLS, Run, Tool, tool
from tests.builders import Bench, bench

ERAS = ("legacy", "2026-07-28")
LEGACY = {"mcp-protocol-version": "2025-11-25", "accept": "application/json", "content-type": "application/json"}


@dataclass
class CountingMeter:
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def called(self, tool: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((tool, outcome))

    def refused(self, codes: Iterable[str]) -> None:
        self.refusals += codes

    def render(self) -> tuple[bytes, str]:
        return f"calls {len(self.calls)}\n".encode(), "text/plain; version=1.0.0"


@dataclass
class RunningEdge:
    """A served edge. `tokens` are the memory world's; `token` belongs to the root agents/orchestrator."""

    url: str
    bench: Bench
    calls: Calls
    health: Health
    serving: Serving
    meter: CountingMeter
    token: str

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")


def probe(run: Run, **kinds: bool) -> Tool:
    """A tool of the test's own."""
    return tool(run, "A probe", Answer, **kinds)


@asynccontextmanager
async def serving(
    tools: Sequence[Tool] = TOOLS,
    *,
    over: Bench | None = None,
    parts: dict[str, Part] | None = None,
    tokens: Any = None,
    world: str = "",
    answer_within_seconds: float = 10.0,
    allowed_origins: Sequence[str] = (),
    drain_seconds: float = 0.0,
) -> AsyncIterator[RunningEdge]:
    over = over or bench()
    meter = CountingMeter()
    refusals = RefusalBuckets(monotonic=lambda: 0.0)
    calls = Calls(over.services, meter, tools, refusals=refusals, answer_within_seconds=answer_within_seconds)
    health = Health(parts or {})
    listener = listen("127.0.0.1", 0)
    url = url_of(listener, "/mcp")
    hosts = ["127.0.0.1:*", "agents.example.com"]
    verifier = tokens or over.world.tokens
    issuer = "https://issuer.example.com"
    edge = Edge(calls, verifier, health, meter.render, url, issuer, hosts, allowed_origins, world)
    token = over.world.tokens.issue("agents", "orchestrator")
    async with served(application(edge), health, listener, drain_seconds) as running:
        yield RunningEdge(url, over, calls, health, running, meter, token)


@asynccontextmanager
async def client(edge: RunningEdge, era: str = "legacy", token: str | None = "") -> AsyncIterator[Client]:
    """The SDK's client in one era; token None is anonymous."""
    headers = {} if token is None else {"X-Agentspawn-Token": token or edge.token}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(edge.url, http_client=http), mode=era) as session,
    ):
        yield session


def message(method: str = "tools/list", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def a_call(name: str, **arguments: Any) -> dict[str, Any]:
    return message("tools/call", name=name, arguments=arguments)


async def post(edge: RunningEdge, body: Any, **headers: str) -> httpx.Response:
    """One raw POST in the legacy era; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(timeout=30) as http:
        return await http.post(edge.url, json=body, headers=LEGACY | named)


async def call(edge: RunningEdge, name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool as the root and give back the structured answer."""
    response = await post(edge, a_call(name, **arguments), x_agentspawn_token=edge.token)
    structured: dict[str, Any] = response.json()["result"]["structuredContent"]
    return structured


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["reasons"]]


@dataclass
class FakeTokens:
    """A verifier that answers what the test says, or raises it."""

    says: Account | Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def caller(self, token: str) -> Account | None:
        self.asked.append(token)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Slow:
    """A change that ends when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.at_once = 0
        self.done = 0

    async def change(self, services: Services, caller: Caller) -> Answer:
        """Take time."""
        self.at_once += 1
        self.begun.set()
        await self.may_end.wait()
        self.done += 1
        return Answer(next_step="done")


async def until_at_once(slow: Slow, many: int) -> None:
    """Wait until so many were begun and none has ended."""
    async with asyncio.timeout(10):
        while slow.at_once < many:  # noqa: ASYNC110 - a bounded wait on a condition
            await asyncio.sleep(0.01)


def a_change(slow: Slow) -> Tool:
    async def change(services: Services, caller: Caller) -> Answer:
        return await slow.change(services, caller)

    return probe(change, changes=True)

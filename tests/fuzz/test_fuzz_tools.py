"""Anything at all is sent to the server: it answers, never with a failure of its own. SOAK=1 sends far more."""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.server.calls import Calls
from mcp_agentspawn.server.health import Health
from mcp_agentspawn.server.http import Edge, application
from mcp_agentspawn.server.slowing import RefusalBuckets
from mcp_agentspawn.server.tools import TOOLS
from tests.builders import Bench
from tests.fuzz.dice import Bounds, Dice, written
from tests.operations.trees import grove
from tests.server.edges import LEGACY, CountingMeter

INPUTS = 60_000 if os.environ.get("SOAK") else 1_500
CLEARS_EVERY = 250
OUTCOMES = {"allowed", "pending_approval", "denied", "stale", "unavailable"}
INTERNAL_ERROR = -32603
TOPIC = [{"name": "topic", "value": "Kubernetes admission"}]
MODERN = {"mcp-protocol-version": "2026-07-28"}

Headers = dict[str, str]


@dataclass
class Target:
    """The application over the in-process twin, and the handles that it gave out."""

    app: Any
    bench: Bench
    tokens: list[str]
    handles: list[dict[str, Any]] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)

    async def send(self, method: str, body: bytes, headers: Headers) -> tuple[int, bytes]:
        """One request, as the HTTP server hands it on."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8000"), (b"content-length", str(len(body)).encode()), *raw],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        parts = [{"type": "http.request", "body": body, "more_body": False}]
        answer: dict[str, Any] = {"status": 0, "body": b""}

        async def receive() -> dict[str, Any]:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(event: dict[str, Any]) -> None:
            answer["status"] = event.get("status", answer["status"])
            answer["body"] += event.get("body", b"")

        await self.app(scope, receive, send)
        return answer["status"], answer["body"]

    async def clear(self) -> None:
        """Let a day pass, so that nothing is held for longer than it would be."""
        await self.bench.services.later.settle()
        self.bench.clock.advance(hours=50)
        self.bench.audit.records.clear()
        while await repair(self.bench.services):
            pass
        self.handles.clear()


@asynccontextmanager
async def _target() -> AsyncIterator[Target]:
    bench = grove(template={"allow": ["researcher", "lead"]})
    meter = CountingMeter()
    calls = Calls(bench.services, meter, TOOLS, refusals=RefusalBuckets(a_minute=10**9))
    edge = Edge(
        calls,
        bench.world.tokens,
        Health({}),
        meter.render,
        "http://127.0.0.1:8000/mcp",
        "https://issuer.example.com",
        ["127.0.0.1:*"],
    )
    app = application(edge)
    tokens = [bench.world.tokens.issue("agents", account) for account in ("orchestrator", "other", "nobody")]
    async with app.router.lifespan_context(app):
        yield Target(app, bench, tokens)


@pytest.mark.timeout(3600 if INPUTS > 10_000 else 120)
async def test_whatever_is_sent_is_answered_and_never_by_a_failure() -> None:
    bounds = Bounds(INPUTS)
    async with _target() as target:
        for number in range(INPUTS):
            seed = f"tools {number}"
            with bounds.one(seed):
                await _sent(target, Dice(seed))
            if number % CLEARS_EVERY == 0:
                await target.clear()
    bounds.check_memory()
    assert {"allowed", "denied", "error", "refused"} <= set(target.heard), target.heard


async def _sent(target: Target, dice: Dice) -> None:
    """A request that may be wrong in its call, its message, its bytes or its headers."""
    name, arguments = _call(target, dice)
    params = {"name": name, "arguments": arguments}
    message: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = LEGACY | {"x-agentspawn-token": dice.choices(target.tokens, [8, 1, 1])[0]}
    method, how = "POST", dice.random()
    if how < 0.35:
        message["params"]["arguments"] = _impatient(dice.mutated(arguments))
    elif how < 0.45:
        message = dice.mutated(message)
    body = written(message)
    if how > 0.995:
        body = body.replace(
            b'"arguments": ', b'"arguments": ' + dice.choice([b"[", b'{"a":']) * dice.choice([900, 60_000])
        )
    elif how > 0.9:
        body = dice.torn(body)
    elif how > 0.85:
        headers |= _odd_headers(dice)
    elif how > 0.83:
        method = dice.choice(["GET", "DELETE", "PUT", "HEAD", "OPTIONS", "\x00"])
    _judged(target, *await target.send(method, body, headers))


def _call(target: Target, dice: Dice) -> tuple[str, dict[str, Any]]:
    """A call that a caller would make, with the handles that it has."""
    tool = dice.choice([*(tool.name for tool in TOOLS), "propose_subagent", "apply_subagent"])
    handle = dice.choice(target.handles) if target.handles else {"proposal": "sub-x", "digest": "sha256:" + "0" * 64}
    match tool:
        case "propose_subagent":
            template = dice.choice(["researcher", "researcher", "lead"])
            purpose = f"Question {dice.randrange(9)}"
            return tool, {"template": template, "purpose": purpose, "parameters": TOPIC, "tools": [], "model": ""}
        case "apply_subagent":
            return tool, {"proposal": handle["proposal"], "digest": handle["digest"], "wait_seconds": 0}
        case "get_subagent" | "retire_subagent":
            return tool, {"agent": handle["proposal"]}
        case "search_agents_agentregistry":
            return tool, {"query": "research", "limit": 5, "labels": ["sources"], "cursor": "", "source": ""}
        case _:
            return tool, {}


def _impatient(arguments: Any) -> Any:
    """The same, but nobody waits long for a person who never comes."""
    if isinstance(arguments, dict) and arguments.get("wait_seconds") in range(1, 21):
        return arguments | {"wait_seconds": 0.0}
    return arguments


def _odd_headers(dice: Dice) -> Headers:
    """Headers as only a program that is wrong, or means ill, sends them."""
    text = dice.text().replace("\n", "").encode("utf-8", "replace")[:30_000].decode("latin-1")
    names = ["mcp-protocol-version", "accept", "content-type", "x-agentspawn-token", "authorization", "mcp-session-id"]
    names += ["origin", "host", "content-encoding", "mcp-method", "mcp-name", "x-forwarded-for"]
    return {dice.choice(names): dice.choice([text, "2026-07-28", "Bearer " + text, "*/*"])} | dice.choice([{}, MODERN])


def _judged(target: Target, status: int, body: bytes) -> None:
    assert 200 <= status < 500, (status, body[:500])
    if status != 200:
        target.heard["refused"] += 1
        return
    answer = json.loads(body)
    if "error" in answer:
        assert answer["error"]["code"] != INTERNAL_ERROR, answer
        target.heard["error"] += 1
        return
    structured = answer["result"].get("structuredContent")
    if structured is None:  # not a call of a tool
        return
    assert structured["outcome"] in OUTCOMES
    assert "server.failed" not in {reason["code"] for reason in structured["reasons"]}, structured
    assert answer["result"]["content"][0]["text"].encode("utf-8", "strict")
    target.heard[structured["outcome"]] += 1
    if "digest" in structured and "manifest" in structured:
        target.handles.append(structured)

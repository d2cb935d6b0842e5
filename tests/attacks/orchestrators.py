"""An orchestrator that was talked into something: a real MCP client with a real token, and nothing else."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_agentspawn.core.model import Root

Answer = dict[str, Any]
LEGACY = {"mcp-protocol-version": "2025-11-25", "accept": "application/json", "content-type": "application/json"}
TOPIC = {"name": "topic", "value": "Kubernetes admission"}


@dataclass(frozen=True)
class Orchestrator:
    """Who calls, and where: a root, or its subagent `agent`. Every call is a session of its own."""

    root: Root
    url: str
    token: str = field(repr=False)
    agent: str = ""

    def at(self, url: str) -> "Orchestrator":
        """The same caller at another server."""
        return replace(self, url=url)

    def with_token(self, token: str) -> "Orchestrator":
        """Another credential at the same server."""
        return replace(self, token=token)

    def as_agent(self, agent: str, token: str) -> "Orchestrator":
        """A subagent of the same root, with its own credential."""
        return replace(self, token=token, agent=agent)

    @asynccontextmanager
    async def session(self, era: str = "2026-07-28") -> AsyncIterator[Client]:
        """A session of the SDK's client."""
        headers = {"X-Agentspawn-Token": self.token} if self.token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=era) as session,
        ):
            yield session

    async def call(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool in a new session, and give back its structured answer."""
        async with self.session() as session:
            answered: Answer | None = (await session.call_tool(tool, arguments)).structured_content
        assert answered is not None
        return answered

    async def propose(self, purpose: str = "Find out", **changes: Any) -> Answer:
        """Propose a researcher, or what the changes make of it."""
        asked = {"template": "researcher", "purpose": purpose, "parameters": [TOPIC]}
        return await self.call("propose_subagent", **asked | changes)

    async def apply(self, proposal: Mapping[str, Any], **changes: Any) -> Answer:
        """Apply what `propose` answered."""
        which = {"proposal": proposal["proposal"], "digest": proposal["digest"]}
        return await self.call("apply_subagent", **which | changes)

    async def spawn(self, purpose: str = "Find out", **changes: Any) -> str:
        """Propose and apply; the id of the agent that stands then."""
        applied = await self.apply(await self.propose(purpose, **changes))
        assert applied["outcome"] == "allowed", applied
        return str(applied["agent"])

    async def retire(self, agent: str) -> Answer:
        """Retire an agent or withdraw a proposal."""
        return await self.call("retire_subagent", agent=agent)

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        """One raw request: text as it is, anything else as JSON; underscores in header names become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, str) else json.dumps(body)
        async with httpx.AsyncClient(timeout=30) as http:
            said = LEGACY | {"X-Agentspawn-Token": self.token} | named
            return await http.post(self.url, content=content, headers=said)


def message(method: str, **params: Any) -> Answer:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def codes(answer: Mapping[str, Any]) -> set[str]:
    """The codes of a refusal; its outcome must be one."""
    assert answer["outcome"] in {"denied", "stale", "unavailable"}, answer
    return {reason["code"] for reason in answer["reasons"]}


def fields(answer: Mapping[str, Any]) -> set[str]:
    """The fields that a refusal names."""
    return {reason["field"] for reason in answer["reasons"]}

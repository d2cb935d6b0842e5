"""Subagents as they are reached over A2A (wire 0.3), saying whatever a test lets them say."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import web

Said = dict[str, Any]
DONE: Said = {"state": "completed"}
WORKING: Said = {"state": "working"}


def text(words: str) -> Said:
    """A text part."""
    return {"kind": "text", "text": words}


def says(words: str, state: str = "completed") -> Said:
    """A status in which the agent says something."""
    message = {"kind": "message", "messageId": "m", "role": "agent", "parts": [text(words)]}
    return {"state": state, "message": message}


def wants(tool: str, arguments: Mapping[str, Any], id_: str = "call-1") -> Said:
    """A status in which a tool call waits for a tool approval, as kagent tells it."""
    original = {"id": id_, "name": tool, "args": dict(arguments)}
    call = {"name": "adk_request_confirmation", "id": "confirm-1", "args": {"originalFunctionCall": original}}
    metadata = {"kagent_type": "function_call", "kagent_is_long_running": True}
    part = {"kind": "data", "data": call, "metadata": metadata}
    message = {"kind": "message", "messageId": "m", "role": "agent", "parts": [part]}
    return {"state": "input-required", "message": message}


@dataclass
class Workforce:
    """`says` is the status of every task of an agent, by its id, `named` another name on its card, `heard` what it
    was sent; an agent that nothing was set for is done at once."""

    url: str = ""
    says: dict[str, Said] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    heard: dict[str, list[Said]] = field(default_factory=dict)
    headers: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def words(self, agent: str) -> Sequence[Said]:
        """The parts of all messages that this agent got."""
        return [part for request in self.heard.get(agent, []) for part in request["params"]["message"]["parts"]]

    async def card(self, request: web.Request) -> web.Response:
        agent = request.match_info["agent"]
        name = self.named.get(agent, agent.replace("-", "_"))
        skills = [{"id": "research", "name": "Research", "description": "Researches", "tags": []}]
        return web.json_response({"name": name, "protocolVersion": "0.3.0", "skills": skills})

    async def talk(self, request: web.Request) -> web.Response:
        agent, asked = request.match_info["agent"], await request.json()
        if asked["method"] == "message/send":
            self.heard.setdefault(agent, []).append(asked)
            self.headers.setdefault(agent, []).append(dict(request.headers))
        said = asked["params"].get("message", {})
        task = {
            "kind": "task",
            "id": said.get("taskId") or asked["params"].get("id") or f"remote-{next(self._numbers)}",
            "contextId": said.get("contextId", "context"),
            "status": self.says.get(agent, DONE),
        }
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": task})


@asynccontextmanager
async def hired() -> AsyncIterator[Workforce]:
    """Agents at an address each, as long as the block lasts."""
    workforce, application = Workforce(), web.Application()
    application.router.add_get("/{home}/{agent}/.well-known/agent-card.json", workforce.card)
    application.router.add_post("/{home}/{agent}/", workforce.talk)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        workforce.url = f"http://{host}:{port}/{{namespace}}/{{name}}"
        yield workforce
    finally:
        await runner.cleanup()

"""A model that says what its script says, behind the chat completions API that kagent's runtimes speak."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from mcp_agentspawn.localplane.agents.scripted_model import completion

Message = dict[str, Any]


class ToolCall(NamedTuple):
    name: str
    arguments: dict[str, Any]


Turn = Callable[[Sequence[Any]], "ToolCall | str"]
"""What to say next, given the results of all tools called so far (parsed, where they are JSON)."""


@dataclass
class ScriptedModel:
    """`requests` is what the runtime sent, in order; `url` is the base URL for its configuration."""

    script: Sequence[Turn]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    def tools_offered(self) -> dict[str, Any]:
        """Name and parameter schema of each tool, as the model saw them first."""
        functions = [tool["function"] for tool in self.requests[0]["tools"]]
        return {function["name"]: function["parameters"] for function in functions}

    def tool_results(self) -> list[Any]:
        """What the tools answered, as the model saw it last."""
        return _results(self.requests[-1]["messages"])

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append(body)
        results = _results(body["messages"])
        said = self.script[len(results)](results)
        return web.json_response(completion(len(self.requests), said))


@asynccontextmanager
async def scripted_model(*script: Turn) -> AsyncIterator[ScriptedModel]:
    """Serve a script: its first turn is said before any tool was called, the second after one result, and so on."""
    model = ScriptedModel(script)
    application = web.Application()
    application.router.add_post("/v1/chat/completions", model.answer)
    async with serving(application) as base:
        model.url = f"{base}/v1"
        yield model


@asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[str]:
    """Serve an aiohttp application on a free loopback port; yields its base URL."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _results(messages: Sequence[Message]) -> list[Any]:
    return [_parsed(message["content"]) for message in messages if message["role"] == "tool"]


def _parsed(content: Any) -> Any:
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    try:
        return json.loads(content)
    except json.JSONDecodeError:
        return content

"""What stands in for a language model where none is configured: it says so, calls one tool, and reports what it saw.

It speaks OpenAI's chat completions, as much of them as kagent's runtime uses. Somebody who says "ask me" is asked.
"""

import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from mcp_agentspawn.core.names import SPAWN_TOOLS

LOOPBACK = "127.0.0.1"
ASK = "ask_user"
WISH = "ask me"
QUESTION = "scripted model: you wanted to be asked. What shall I know?"
SEEKING = ("search", "query", "list")
"""How the names of tools begin that are worth calling first."""
MOST_CHARACTERS = 1500
MOST_ARGUMENT_CHARACTERS = 200
MOST_REQUEST_BYTES = 16 << 20
NOTHING_TO_SAY: Mapping[str, Any] = {
    "string": "",
    "integer": 1,
    "number": 1,
    "boolean": False,
    "array": [],
    "object": {},
}

Object = Mapping[str, Any]
Call = tuple[str, Mapping[str, Any]]


def turn(request: Object) -> Call | str:
    """What it says next: a tool call, by name and arguments, or a text."""
    messages = request["messages"]
    last = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=0)
    asked = _text(messages[last]["content"]) if messages else ""
    told = [_text(message["content"]) for message in messages[last:] if message["role"] == "tool"]
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in request.get("tools") or []}
    if told:
        return _reported(asked, told)
    if ASK in tools and WISH in asked.lower():
        return ASK, {"questions": [{"question": QUESTION}]}
    useful = [name for name in tools if name != ASK and name not in SPAWN_TOOLS]
    if useful:
        tool = next((name for name in useful if name.startswith(SEEKING)), useful[0])
        return tool, _arguments(tools[tool], asked)
    return _reported(asked, told)


def _reported(asked: str, told: Sequence[str]) -> str:
    saw = f" I was told: {' '.join(told)[:MOST_CHARACTERS]}" if told else ""
    return f"scripted model, which understands nothing: I was asked: {asked[:MOST_CHARACTERS]}{saw}"


def _arguments(schema: Object, asked: str) -> dict[str, Any]:
    """Fit for the schema: what was asked, where a text is required, and the least of everything else."""
    properties = schema.get("properties", {})
    return {name: _argument(properties.get(name, {}), asked) for name in schema.get("required", [])}


def _argument(schema: Object, asked: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = str(schema.get("type", "string")).lower()
    return asked[:MOST_ARGUMENT_CHARACTERS] if kind == "string" else NOTHING_TO_SAY.get(kind)


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    return "".join(part.get("text", "") for part in parts)


def completion(number: int, said: Call | str) -> dict[str, Any]:
    """The same as a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
    if not isinstance(said, str):
        function = {"name": said[0], "arguments": json.dumps(said[1])}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    reason = "stop" if isinstance(said, str) else "tool_calls"
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


@asynccontextmanager
async def scripted_model() -> AsyncIterator[str]:
    """Serve it on a free port of the loopback interface; yields its base URL."""
    numbers = itertools.count(1)

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(completion(next(numbers), turn(await request.json())))

    application = web.Application(client_max_size=MOST_REQUEST_BYTES)
    application.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()

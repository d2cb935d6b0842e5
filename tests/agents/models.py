"""The language model of everybody in a test: what it says follows from what it was asked, and from who it is."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from mcp_agentspawn.localplane.agents.scripted_model import Call, completion
from tests.clients.scripted_model import serving

MOST_REQUEST_BYTES = 64 << 20
ORCHESTRATOR = "orchestrator"
"""The name of the model of orchestrators; all others are subagents'."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model sees: the words that it was told last, and the tools that it called since, with their results."""

    asked: str
    done: Sequence[tuple[str, Any]]
    request: Mapping[str, Any]

    @property
    def last(self) -> tuple[str, Any]:
        return self.done[-1] if self.done else ("", None)


Mind = Callable[[Turn], "Call | str | None"]
"""What to say next: a call, words, or nothing at all, for ever."""


@dataclass
class Models:
    """`minds` says how those behave who are asked something that begins with a word; `url` is where they think."""

    url: str = ""
    minds: dict[str, Mind] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    held: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def of_orchestrator(self) -> list[Turn]:
        """What orchestrators saw."""
        return [turn for turn in self.turns if turn.request["model"] == ORCHESTRATOR]

    def release(self) -> None:
        """Let those be answered, with nothing, who wait for ever."""
        self._released.set()
        self._released = asyncio.Event()

    def forget(self) -> None:
        """Behave as at first, whatever others were asked."""
        self.release()
        self.minds.clear()
        self.turns.clear()
        self.held = 0

    async def answer(self, request: web.Request) -> web.Response:
        turn = _seen(await request.json())
        self.turns.append(turn)
        mind = next((mind for word, mind in self.minds.items() if turn.asked.startswith(word)), _echo)
        said = mind(turn)
        if said is None:
            self.held += 1
            await self._released.wait()
            said = "At last."
        return web.json_response(completion(len(self.turns), said))


@asynccontextmanager
async def models() -> AsyncIterator[Models]:
    found = Models()
    application = web.Application(client_max_size=MOST_REQUEST_BYTES)
    application.router.add_post("/v1/chat/completions", found.answer)
    async with serving(application) as base:
        found.url = f"{base}/v1"
        yield found
        found.release()


def _echo(turn: Turn) -> str:
    return f"You said: {turn.asked}"


def _seen(request: Mapping[str, Any]) -> Turn:
    messages = request["messages"]
    last = max(index for index, message in enumerate(messages) if message["role"] == "user")
    names = {
        call["id"]: call["function"]["name"] for message in messages[last:] for call in message.get("tool_calls") or []
    }
    done = [
        (names.get(message["tool_call_id"], ""), _parsed(message["content"]))
        for message in messages[last:]
        if message["role"] == "tool"
    ]
    return Turn(_text(messages[last]["content"]), done, request)


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    return "".join(part.get("text", "") for part in parts)


def _parsed(content: Any) -> Any:
    text = _text(content)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text

"""The address where agents are talked to hands on what kagent's controller would, and nothing else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from mcp_agentspawn.localplane.agents.gateway import gateway
from mcp_agentspawn.localplane.plane import free_port
from tests.clients.scripted_model import serving

PIECES = [b"data: one\n\n", b"data: two\n\n"]


@dataclass
class Agent:
    """One that keeps what it was asked, and answers in pieces."""

    ports: dict[str, int] = field(default_factory=dict)
    seen: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""
    hangs_up: bool = False
    half_way: bool = False
    """Whether it hangs up within its answer."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        if self.hangs_up and request.transport:
            request.transport.abort()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Set-Cookie": "a=b"})
        if self.half_way:
            response.content_length = 1000
        await response.prepare(request)
        for piece in PIECES:
            await response.write(piece)
        if self.half_way and request.transport:
            request.transport.close()
        return response

    async def ask(self, name: str, rest: str = "", **headers: str) -> tuple[int, str, bytes, dict[str, str]]:
        address = self.url.format(namespace="subagents", name=name) + rest
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        async with aiohttp.ClientSession() as session, session.post(address, data=b"{}", headers=named) as response:
            return response.status, response.content_type, await response.read(), dict(response.headers)


@pytest_asyncio.fixture
async def agent() -> AsyncIterator[Agent]:
    found = Agent()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", found.answer)
    async with serving(application) as base, gateway(lambda _, name: found.ports.get(name)) as served:
        found.ports = {"there": int(base.rpartition(":")[2]), "starting": 0, "dead": free_port()}
        found.url = served.url
        yield found


async def test_an_agent_hears_who_asks_and_no_header_that_the_controller_drops(agent: Agent) -> None:
    await agent.ask("there", X_User_Id="somebody", traceparent="00-1-2-01", x_kagent_source="agent", Cookie="a=b")
    heard = agent.seen[0].headers

    assert (heard["X-User-Id"], heard["traceparent"], agent.bodies) == ("somebody", "00-1-2-01", [b"{}"])
    assert not {"x-kagent-source", "Cookie"} & set(heard)


async def test_who_says_no_name_is_who_the_controller_says(agent: Agent) -> None:
    await agent.ask("there")

    assert agent.seen[0].headers["X-User-Id"] == "admin@kagent.dev"


async def test_an_answer_in_pieces_comes_as_it_is(agent: Agent) -> None:
    status, media_type, body, headers = await agent.ask("there")

    assert (status, media_type, body) == (200, "text/event-stream", b"".join(PIECES))
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    ("name", "rest", "status"),
    [
        ("there", ".well-known/agent-card.json", 200),
        ("there", ".well-known/agent.json", 200),
        ("there", "thread_dump", 404),
        ("there", "..%2f..", 404),
        ("nobody", "", 404),
        ("starting", "", 404),
        ("dead", "", 404),
    ],
)
async def test_only_what_is_there_is_reached(agent: Agent, name: str, rest: str, status: int) -> None:
    assert (await agent.ask(name, rest))[0] == status
    assert len(agent.seen) == (status == 200)


async def test_an_agent_that_hangs_up_may_have_heard_it(agent: Agent) -> None:
    agent.hangs_up = True

    assert (await agent.ask("there"))[0] == 502
    assert agent.bodies == [b"{}"]


async def test_half_an_answer_is_not_made_whole(agent: Agent) -> None:
    agent.half_way = True

    with pytest.raises(aiohttp.ClientPayloadError):
        await agent.ask("there")

"""What goes wrong while an Agent is hosted is said of it and tried again, and what is refused is not insisted on."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from mcp_agentspawn.localplane.agents import AgentRunner, AgentRuntime, Endpoint, host, objects
from mcp_agentspawn.localplane.agents.host import Host
from mcp_agentspawn.localplane.agents.objects import CORE, KAGENT, NotAnswered, Objects
from mcp_agentspawn.localplane.agents.process import Process
from tests.clients.scripted_model import serving
from tests.localplane.agent_samples import FOUND, SERVER, TOKEN, agent
from tests.localplane.waiting import until

ENDPOINT = Endpoint("http://x", "none")
WITH_SECRET = agent(tools=[{"type": "McpServer", "mcpServer": SERVER, "headersFrom": [TOKEN]}])
PODS = f"{CORE}/subagents/pods"
AGENTS = f"{KAGENT}/subagents/agents"


@dataclass
class ApiServer:
    """One that serves these objects by path, and first gives the answers that `answers` has for a path."""

    served: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    said: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The conditions that were written last, by type."""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if planned := self.answers.get(request.path):
            return web.Response(status=planned.pop(0))
        if request.method == "GET":
            found = self.served.get(request.path)
            return web.Response(status=404) if found is None else web.json_response(found)
        if "/agents/" in request.path:
            self.said = {one["type"]: one for one in (await request.json())["status"]["conditions"]}
        return web.json_response({})

    def status(self, type_: str) -> str:
        return str(self.said.get(type_, {}).get("status", ""))


class Runtime(AgentRuntime):
    """One whose agents all listen at one port."""

    def __init__(self, port: int) -> None:
        super().__init__(Path())
        self._port = port

    async def start(self, name: str, config: Mapping[str, Any], card: Mapping[str, Any], key: str) -> Process:
        return Process(1, 1, self._port, asyncio.get_running_loop().create_future())

    async def stop(self, process: Process) -> None:
        pass

    async def watch(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((host, "LOOK_AGAIN_SECONDS"), (host, "MOST_PAUSE_SECONDS"), (objects, "PAUSE_SECONDS")):
        monkeypatch.setattr(module, name, 0.01)


@pytest.fixture
def api() -> ApiServer:
    found = ApiServer({f"{KAGENT}/subagents/{kind}/{name}": body for (kind, name), body in FOUND.items()})
    found.served[f"{CORE}/subagents/secrets/sub-one-agentspawn"] = secret(b"a-token")
    return found


@pytest_asyncio.fixture
async def reached(api: ApiServer) -> AsyncIterator[Objects]:
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", api.answer)
    async with serving(application) as base, aiohttp.ClientSession(base) as session:
        yield Objects(session)


def secret(token: bytes) -> dict[str, Any]:
    return {"data": {"token": base64.b64encode(token).decode()}}


@asynccontextmanager
async def hosted(reached: Objects, port: int = 1) -> AsyncIterator[Host]:
    found = Host(WITH_SECRET, reached, Runtime(port), ENDPOINT)
    living = asyncio.create_task(found.live())
    try:
        yield found
        assert not living.done()
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


async def test_an_agent_whose_card_fails_at_first_is_ready_once_it_shows_it(api: ApiServer, reached: Objects) -> None:
    shown = [500, 200]
    application = web.Application()

    async def card(_: web.Request) -> web.Response:
        return web.Response(status=shown.pop(0))

    application.router.add_get(host.CARD, card)
    async with serving(application) as base, hosted(reached, int(base.rpartition(":")[2])):
        await until(lambda: api.status("Ready") == "True")


async def test_a_secret_that_is_no_text_is_said_and_read_again(api: ApiServer, reached: Objects) -> None:
    path = f"{CORE}/subagents/secrets/sub-one-agentspawn"
    api.served[path] = secret(b"\xff\xfe")
    async with hosted(reached):
        await until(lambda: api.status("Accepted") == "False")
        assert "Secret sub-one-agentspawn" in api.said["Accepted"]["message"]
        api.served[path] = secret(b"a-token")
        await until(lambda: api.status("Accepted") == "True")


async def test_what_nobody_thought_of_is_said_of_the_agent_and_tried_again(api: ApiServer, reached: Objects) -> None:
    path = f"{KAGENT}/subagents/modelconfigs/model"
    whole, api.served[path] = api.served[path], {"spec": None}
    async with hosted(reached):
        await until(lambda: api.status("Accepted") == "False")
        api.served[path] = whole
        await until(lambda: api.status("Accepted") == "True")


async def test_a_pod_that_is_refused_is_said_of_the_agent_and_made_later(api: ApiServer, reached: Objects) -> None:
    api.answers[PODS] = [403]
    async with hosted(reached):
        await until(lambda: api.status("Accepted") == "True")
    written = [path for path in api.asked if path in {PODS, f"{AGENTS}/sub-one/status"}]

    assert written == [PODS, f"{AGENTS}/sub-one/status", PODS, f"{AGENTS}/sub-one/status"]


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_change_that_is_refused_is_not_asked_for_again(api: ApiServer, reached: Objects, status: int) -> None:
    api.answers[PODS] = [status]

    with pytest.raises(NotAnswered):
        await reached.make_pod(WITH_SECRET)
    assert api.asked == [PODS]


@pytest.mark.parametrize("statuses", [[429, 500, 503, 200], [404], [409]])
async def test_a_change_is_asked_for_until_it_is_made_or_there_is_nothing_to_change(
    api: ApiServer, reached: Objects, statuses: list[int]
) -> None:
    api.answers[PODS] = list(statuses)
    await reached.make_pod(WITH_SECRET)

    assert api.asked == [PODS] * len(statuses)


async def test_a_watch_that_is_refused_is_no_change(api: ApiServer, reached: Objects) -> None:
    api.answers[AGENTS] = [429]

    with pytest.raises(NotAnswered):
        await reached.changed("subagents", "1")


async def test_agents_that_can_not_be_followed_any_more_are_reported(api: ApiServer, reached: Objects) -> None:
    api.served[AGENTS] = {"items": []}  # without the version that a list has
    runner = AgentRunner(reached, Runtime(1), ENDPOINT)
    runner.begin(["subagents"])

    with pytest.raises(KeyError):
        await runner.watch()
    await runner.end()

"""Agents of a real API server live in kagent's real runtime: served, ready, started again, and gone without a trace."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from mcp_agentspawn.localplane import ControlPlane
from mcp_agentspawn.localplane.agents import AgentRunner, AgentRuntime, Endpoint, agent_runner
from mcp_agentspawn.localplane.agents.scripted_model import scripted_model
from tests.clients.environments import kagent_python
from tests.localplane.waiting import left_behind, until

HOME = "living"
KAGENT = f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}"
CARD = ".well-known/agent-card.json"


@dataclass(frozen=True, slots=True)
class Laptop:
    """A control plane with a runner, as its administrator uses it."""

    admin: aiohttp.ClientSession
    runner: AgentRunner
    scratch: Path

    def address(self, name: str) -> str:
        return self.runner.url.format(namespace=HOME, name=name)

    async def create(self, name: str, **changes: Any) -> None:
        declarative = {"runtime": "python", "systemMessage": "You help.", "modelConfig": "model", "stream": False}
        spec = {"type": "Declarative", "description": "Helps", "declarative": declarative} | changes
        await self.post("agents", {"kind": "Agent", "metadata": {"name": name}, "spec": spec})

    async def post(self, kind: str, document: dict[str, Any]) -> None:
        body = {"apiVersion": "kagent.dev/v1alpha2"} | document
        async with self.admin.post(f"{KAGENT}/{kind}", json=body) as response:
            assert response.status in {201, 409}, await response.text()

    async def get(self, path: str) -> dict[str, Any]:
        async with self.admin.get(path) as response:
            found: dict[str, Any] = await response.json()
            return found

    async def delete(self, name: str) -> None:
        async with self.admin.delete(f"{KAGENT}/agents/{name}") as response:
            assert response.ok

    async def condition(self, name: str, type_: str) -> dict[str, Any]:
        status = (await self.get(f"{KAGENT}/agents/{name}")).get("status", {})
        found: list[dict[str, Any]] = [one for one in status.get("conditions", []) if one["type"] == type_]
        return found[0] if found else {}

    async def ready(self, name: str) -> None:
        async def is_ready() -> bool:
            return (await self.condition(name, "Ready")).get("status") == "True"

        await until(is_ready)

    async def pods(self, name: str) -> list[dict[str, Any]]:
        listed = await self.get(f"/api/v1/namespaces/{HOME}/pods?labelSelector=app%3Dkagent,kagent%3D{name}")
        items: list[dict[str, Any]] = listed["items"]
        return items

    async def say(self, name: str, text: str, **headers: str) -> tuple[int, Any]:
        message = {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": text}]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.address(name), json=body, headers=headers) as response,
        ):
            return response.status, (await response.json() if response.ok else await response.text())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def laptop(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Laptop]:
    scratch = tmp_path_factory.mktemp("agents")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(scratch))
        async with (
            AgentRuntime(kagent_python()) as runtime,
            scripted_model() as model,
            control_plane.admin.session() as admin,
            agent_runner(runtime, control_plane.admin, Endpoint(model, "none"), [HOME]) as runner,
        ):
            await admin.post("/api/v1/namespaces", json={"metadata": {"name": HOME}})
            found = Laptop(admin, runner, scratch)
            await found.post(
                "modelconfigs",
                {"kind": "ModelConfig", "metadata": {"name": "model"}, "spec": {"model": "m", "provider": "OpenAI"}},
            )
            yield found
    assert left_behind(scratch) == []


async def test_an_agent_is_ready_and_answers_where_the_controller_would_serve_it(laptop: Laptop) -> None:
    await laptop.create("sub-one")
    await laptop.ready("sub-one")
    status, answer = await laptop.say("sub-one", "What is there?")

    assert status == 200
    task = answer["result"]
    assert task["status"]["state"] == "completed"
    assert "I was asked: What is there?" in task["artifacts"][0]["parts"][0]["text"]
    assert (await laptop.condition("sub-one", "Accepted"))["status"] == "True"


async def test_the_card_is_the_one_that_the_controller_makes(laptop: Laptop) -> None:
    skill = {"id": "look", "name": "Look", "description": "Looks", "tags": ["eyes"]}
    declarative = {"runtime": "go", "systemMessage": "See.", "modelConfig": "model", "a2aConfig": {"skills": [skill]}}
    await laptop.create("sub-card", declarative=declarative)
    await laptop.ready("sub-card")
    async with aiohttp.ClientSession() as session, session.get(laptop.address("sub-card") + CARD) as response:
        card = await response.json()

    assert (card["name"], card["description"], card["protocolVersion"]) == ("sub_card", "Helps", "0.3")
    assert [(one["id"], one["name"]) for one in card["skills"]] == [("look", "Look")]


async def test_what_is_not_there_is_404_and_the_newer_wire_400(laptop: Laptop) -> None:
    await laptop.create("sub-wire")
    await laptop.ready("sub-wire")

    assert (await laptop.say("sub-nobody", "Hello"))[0] == 404
    assert (await laptop.say("sub-wire", "Hello", **{"A2A-Version": "1.0"}))[0] == 400
    assert (await laptop.say("sub-wire", "Hello", **{"A2A-Version": "0.3"}))[0] == 200


async def test_a_crash_is_counted_in_its_pod_and_it_is_started_again(laptop: Laptop) -> None:
    await laptop.create("sub-frail")
    await laptop.ready("sub-frail")
    process = laptop.runner.process_id(HOME, "sub-frail")
    assert process is not None
    os.kill(process, signal.SIGKILL)

    async def again() -> bool:
        return laptop.runner.process_id(HOME, "sub-frail") not in {None, process}

    await until(again)
    await laptop.ready("sub-frail")
    [pod] = await laptop.pods("sub-frail")
    [container] = pod["status"]["containerStatuses"]
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] == 137
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "Agent"


async def test_an_agent_that_is_deleted_leaves_neither_process_nor_pod(laptop: Laptop) -> None:
    await laptop.create("sub-brief")
    await laptop.ready("sub-brief")
    process = laptop.runner.process_id(HOME, "sub-brief")
    assert process is not None
    await laptop.delete("sub-brief")

    async def gone() -> bool:
        return not psutil.pid_exists(process) and not await laptop.pods("sub-brief")

    await until(gone)
    assert (await laptop.say("sub-brief", "Hello"))[0] == 404


async def test_what_can_not_run_yet_is_not_accepted_until_it_can(laptop: Laptop) -> None:
    declarative = {"runtime": "go", "systemMessage": "See.", "modelConfig": "later"}
    await laptop.create("sub-early", declarative=declarative)

    async def refused() -> bool:
        return (await laptop.condition("sub-early", "Accepted")).get("status") == "False"

    await until(refused)
    spec = {"model": "m", "provider": "OpenAI"}
    await laptop.post("modelconfigs", {"kind": "ModelConfig", "metadata": {"name": "later"}, "spec": spec})
    await laptop.ready("sub-early")


async def test_an_image_is_not_run(laptop: Laptop) -> None:
    byo = {"type": "BYO", "byo": {"deployment": {"image": "example.com/agent:1"}}}
    await laptop.post("agents", {"kind": "Agent", "metadata": {"name": "sub-image"}, "spec": byo})

    async def said() -> bool:
        return (await laptop.condition("sub-image", "Ready")).get("message") == "the laptop runs no images"

    await until(said)

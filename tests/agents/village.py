"""A whole world whose agents live: a real API server, kagent's real runtime, and the real server in its own process."""

import asyncio
import os
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, Popen, run
from typing import Any
from uuid import uuid4

import aiohttp
import yaml

from mcp_agentspawn.cli.dev.cluster import ROOTS, Cluster, cluster, offer_spawning
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.localplane import Binaries
from mcp_agentspawn.localplane.agents import AgentRunner, AgentRuntime, Endpoint, agent_runner
from mcp_agentspawn.localplane.plane import free_port
from tests.agents.models import ORCHESTRATOR, Models, models
from tests.attacks.orchestrators import Answer, Orchestrator
from tests.builders import RESEARCHER
from tests.clients.environments import kagent_python
from tests.faults.replicas import ROOMY
from tests.localplane.waiting import until

ROOT = ROOTS["orchestrator"]
AGENTSPAWN = Path(sys.executable).with_name("agentspawn")
KAGENT = "/apis/kagent.dev/v1alpha2/namespaces"
SYSTEM = "/apis/agentspawn.dev/v1alpha1/namespaces/agentspawn-system"
MERGE = {"Content-Type": "application/merge-patch+json"}
HELPER = RESEARCHER | {"tools": {"web-search": {"allow": ["search", "fetch"], "default": [], "ask_first": ["fetch"]}}}
TEMPLATES = {"researcher": HELPER, "lead-researcher": HELPER | {"depth": 1}}
POLICY = {
    "callers": {"namespaces": [ROOT.namespace]},
    "template": {"allow": list(TEMPLATES)},
    "lineage": {"most_depth": 1},
    "approval": {"least_score": 0},  # one root for all tests, some of which do badly on purpose
    **ROOMY,
}
ANSWERED_WITHIN_SECONDS = 60


@dataclass
class Server:
    """`agentspawn serve` in a process of its own, which can be killed and started again at the same place."""

    environment: Mapping[str, str]
    log: Path
    group: int
    url: str
    process: "Popen[bytes] | None" = None

    async def start(self) -> None:
        self.process = self._started()
        await until(self.is_ready)

    def _started(self) -> "Popen[bytes]":
        with self.log.open("ab") as output:
            return Popen(
                [AGENTSPAWN, "serve"],
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], **self.environment},
                process_group=self.group,  # it ends with the plane, however this process ends
            )

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is said."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False


@dataclass
class Conversation:
    """A person who talks to the orchestrator, in one conversation."""

    url: str
    context: str = ""
    tasks: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, text: str) -> str:
        """Say something, and wait for what it answers."""
        message = {
            "kind": "message",
            "messageId": str(uuid4()),
            "role": "user",
            "parts": [{"kind": "text", "text": text}],
        } | ({"contextId": self.context} if self.context else {})
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
        timeout = aiohttp.ClientTimeout(ANSWERED_WITHIN_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(self.url, json=body) as response:
            task = (await response.json())["result"]
        assert self.context in {"", task["contextId"]}
        self.context = task["contextId"]
        self.tasks.append(task)
        parts = [part for artifact in task.get("artifacts", []) for part in artifact["parts"]]
        return "".join(part.get("text", "") for part in parts)


@dataclass
class Village:
    """All of it, and `caller`: the orchestrator's credential in the hands of a plain MCP client."""

    local: Cluster
    admin: aiohttp.ClientSession
    runner: AgentRunner
    models: Models
    server: Server
    caller: Orchestrator

    def conversation(self) -> Conversation:
        """A new one with the orchestrator that runs as an Agent."""
        return Conversation(self.runner.url.format(namespace=ROOT.namespace, name=ROOT.account))

    def process_of(self, agent: str, namespace: str = DEFAULT_HOME) -> int:
        found = self.runner.process_id(namespace, agent)
        assert found is not None, f"{agent} does not run"
        return found

    async def get(self, path: str) -> dict[str, Any] | None:
        async with self.admin.get(path) as response:
            found: dict[str, Any] = await response.json()
            return found if response.ok else None

    async def agent(self, name: str, namespace: str = DEFAULT_HOME) -> dict[str, Any] | None:
        return await self.get(f"{KAGENT}/{namespace}/agents/{name}")

    async def restarts_of(self, agent: str, namespace: str = DEFAULT_HOME) -> int:
        """How often it crashed, as its pod says."""
        pods = await self.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector=kagent%3D{agent}") or {}
        return sum(one["restartCount"] for pod in pods["items"] for one in pod["status"]["containerStatuses"])

    async def agents(self) -> list[str]:
        """All subagents that there are."""
        listed = await self.get(f"{KAGENT}/{DEFAULT_HOME}/agents") or {}
        return [item["metadata"]["name"] for item in listed["items"]]

    async def stored_task(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get(f"{SYSTEM}/subagenttasks/{task}") or {}).get("status", {})
        return found

    async def spawn(self, topic: str = "Kubernetes admission", **changes: Any) -> str:
        """A ready subagent."""
        parameters = [{"name": "topic", "value": topic}]
        agent = await self.caller.spawn(parameters=parameters, **changes)
        await self.ready(agent)
        return agent

    async def ready(self, agent: str) -> None:
        async def is_ready() -> bool:
            return await self.phase(agent) == "ready"

        await until(is_ready)

    async def lead(self) -> Orchestrator:
        """A subagent that may spawn, as alice approved it, as a caller with its own credential."""
        proposal = await self.caller.propose(template="lead-researcher")
        await self.person("approve", proposal["proposal"], "--digest", proposal["digest"])
        agent = str((await self.caller.apply(proposal, wait_seconds=20))["agent"])
        secret = await self.get(f"/api/v1/namespaces/{DEFAULT_HOME}/secrets/{agent}-agentspawn")
        assert secret is not None
        return self.caller.as_agent(agent, b64decode(secret["data"]["token"]).decode())

    async def person(self, *words: str) -> str:
        """Give the real command with alice's own kubeconfig; what it says."""
        command: list[Any] = [AGENTSPAWN, *words, "--kubeconfig", self.local.people["alice"]]
        done = await asyncio.to_thread(run, command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    async def live(self) -> list[str]:
        """Whom the ledger counts as live."""
        return list((await self.get(f"{SYSTEM}/spawnledgers/{ROOT.key}") or {})["spec"]["live"])

    async def phase(self, agent: str) -> str:
        return str((await self.caller.call("get_subagent", agent=agent)).get("phase", ""))

    async def delegate(self, agent: str, message: str, wait_seconds: int = 0, **more: Any) -> Answer:
        return await self.caller.call("delegate_task", agent=agent, message=message, wait_seconds=wait_seconds, **more)

    async def ended(self, task: str) -> Answer:
        """What came of a task, once it has ended."""
        found: Answer = {}

        async def is_so() -> bool:
            nonlocal found
            found = await self.caller.call("get_task", task=task, wait_seconds=5)
            return found.get("state") in {"completed", "canceled", "failed", "rejected"}

        await until(is_so)
        return found

    async def clear(self) -> None:
        """Nothing of a test is left: its agents, and how the models behave."""
        self.models.forget()
        if self.server.process is None or self.server.process.poll() is not None:
            await self.server.start()
        for agent in await self._own():
            await self.caller.retire(agent)
        for agent in await self.agents():  # also what only a person may remove
            async with self.admin.delete(f"{KAGENT}/{DEFAULT_HOME}/agents/{agent}"):
                pass

        async def nothing_is_left() -> bool:
            return not await self._own()

        await until(nothing_is_left)

    async def _own(self) -> list[str]:
        return [entry["agent"] for entry in (await self.caller.call("list_subagents"))["subagents"]]


@asynccontextmanager
async def village(binaries: Binaries) -> AsyncIterator[Village]:
    """Start everything, an orchestrator in kagent's runtime among it, and leave nothing."""
    async with (
        AgentRuntime(kagent_python()) as runtime,
        models() as minds,
        cluster(binaries) as local,
        local.plane.admin.session() as admin,
        agent_runner(runtime, local.plane.admin, Endpoint(minds.url, "none"), [DEFAULT_HOME, ROOT.namespace]) as runner,
    ):
        server = _server(local, runner)
        await server.start()
        try:
            await offer_spawning(local, f"{server.url}/mcp")
            await _employ(admin, server)
            token = local.credentials.callers["orchestrator"].read_text()
            found = Village(local, admin, runner, minds, server, Orchestrator(ROOT, f"{server.url}/mcp", token))
            await until(lambda: runner.process_id(ROOT.namespace, ROOT.account) is not None)
            yield found
        finally:
            server.kill()


def _server(local: Cluster, runner: AgentRunner) -> Server:
    port, folder = free_port(), local.plane.folder
    for kind, documents in (("templates", TEMPLATES), ("policies", {"default": POLICY})):
        (folder / kind).mkdir()
        for name, document in documents.items():
            (folder / kind / f"{name}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    environment = {
        "AGENTSPAWN_PORT": str(port),
        "AGENTSPAWN_ROOTS": ROOT.name,
        "AGENTSPAWN_POLICIES": str(folder / "policies"),
        "AGENTSPAWN_TEMPLATES": str(folder / "templates"),
        "AGENTSPAWN_AUDIT_FILE": str(folder / "audit.jsonl"),
        "AGENTSPAWN_WRITER": "village",
        "AGENTSPAWN_KUBECONFIG": str(local.credentials.server),
        "AGENTSPAWN_A2A_URL": runner.url,
    }
    return Server(environment, folder / "server.log", local.plane._group, f"http://127.0.0.1:{port}")


async def _employ(admin: aiohttp.ClientSession, server: Server) -> None:
    """Give the orchestrator's Agent a model, and the server's address on this machine."""
    where = f"{KAGENT}/{ROOT.namespace}"
    model = {
        "apiVersion": "kagent.dev/v1alpha2",
        "kind": "ModelConfig",
        "metadata": {"name": "default-model-config"},
        "spec": {"provider": "OpenAI", "model": ORCHESTRATOR},
    }
    change = {"spec": {"url": f"{server.url}/mcp"}}
    async with admin.patch(f"{where}/remotemcpservers/agentspawn", json=change, headers=MERGE) as response:
        assert response.ok, await response.text()
    async with admin.post(f"{where}/modelconfigs", json=model) as response:
        assert response.ok, await response.text()

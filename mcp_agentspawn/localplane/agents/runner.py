"""A stand-in for kagent's controller on a laptop: runs the Agents of a control plane, in kagent's own runtime."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from mcp_agentspawn.localplane.agents.gateway import gateway
from mcp_agentspawn.localplane.agents.host import Host
from mcp_agentspawn.localplane.agents.objects import NotAnswered, Objects
from mcp_agentspawn.localplane.agents.process import AgentRuntime
from mcp_agentspawn.localplane.agents.translating import Endpoint, Object
from mcp_agentspawn.localplane.connection import Connection

PAUSE_SECONDS = 0.5
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Hosted:
    host: Host
    task: "asyncio.Task[None]"


class AgentRunner:
    """Runs every Agent of some namespaces. `url` is where they are talked to, as `AGENTSPAWN_A2A_URL` takes it."""

    def __init__(self, objects: Objects, runtime: AgentRuntime, endpoint: Endpoint) -> None:
        self.url = ""
        self._objects = objects
        self._runtime = runtime
        self._endpoint = endpoint
        self._hosted: dict[Key, _Hosted] = {}
        self._following: list[asyncio.Task[None]] = []

    def process_id(self, namespace: str, name: str) -> int | None:
        """The process of an agent that can be talked to now."""
        hosted = self._hosted.get((namespace, name))
        return hosted.host.process.id if hosted and hosted.host.process else None

    def port_of(self, namespace: str, name: str) -> int | None:
        """Where it listens; 0 while it does not, None for one that is not there."""
        hosted = self._hosted.get((namespace, name))
        if hosted is None:
            return None
        return hosted.host.process.port if hosted.host.process else 0

    async def watch(self) -> None:
        """Wait until the runtime ends by itself, which raises ControlPlaneFailed, or Agents are no longer followed."""
        await asyncio.gather(self._runtime.watch(), *map(asyncio.shield, self._following))

    def begin(self, namespaces: Sequence[str]) -> None:
        """Run what is there, and nothing else, until the end."""
        self._following = [asyncio.create_task(self._follow(namespace)) for namespace in namespaces]

    async def end(self) -> None:
        """End all of them."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        for key in list(self._hosted):
            await self._end(key)

    async def _follow(self, namespace: str) -> None:
        while True:
            try:
                agents, version = await self._objects.agents(namespace)
                await self._catch_up(namespace, {(namespace, agent["metadata"]["name"]): agent for agent in agents})
                await self._objects.changed(namespace, version)
            except (NotAnswered, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)

    async def _catch_up(self, namespace: str, agents: Mapping[Key, Object]) -> None:
        for key in [key for key in self._hosted if key[0] == namespace]:
            if key not in agents or not _same(self._hosted[key].host.agent, agents[key]):
                await self._end(key)
        for key, agent in agents.items():
            if key not in self._hosted:
                host = Host(agent, self._objects, self._runtime, self._endpoint)
                self._hosted[key] = _Hosted(host, asyncio.create_task(host.live()))

    async def _end(self, key: Key) -> None:
        task = self._hosted.pop(key).task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _same(one: Object, other: Object) -> bool:
    """Whether both say the same, as the same object; kagent starts an agent anew when what it is made of changes."""
    return all(one["metadata"][part] == other["metadata"][part] for part in ("uid", "generation"))


@asynccontextmanager
async def agent_runner(
    runtime: AgentRuntime, admin: Connection, endpoint: Endpoint, namespaces: Sequence[str]
) -> AsyncIterator[AgentRunner]:
    """Run all Agents of these namespaces until the block ends; none of them runs then."""
    async with admin.session() as session:
        runner = AgentRunner(Objects(session), runtime, endpoint)
        async with gateway(runner.port_of) as served:
            runner.url = served.url
            runner.begin(namespaces)
            try:
                yield runner
            finally:
                await runner.end()

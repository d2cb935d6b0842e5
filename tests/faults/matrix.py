"""Every request that an operation makes, found by letting it run once: faults that are complete by construction."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import aiohttp

from mcp_agentspawn.core.model import Root
from tests.faults.cluster import AGENTS, LEASE, PROPOSALS, Cluster
from tests.faults.proxy import Effect, Fault, FaultProxy
from tests.faults.servers import Process, Rules, Server, Start, serve
from tests.faults.spawning import let_spawn
from tests.localplane.waiting import until

NUMBERS = count(1)
ASKS = re.compile(r"reviews(\?|$)|dryRun=")
OWN_NAMES = re.compile(r"sub-[a-z]+-[a-z0-9]{10}|every-request-\d+|continue=[^&]*")


class Step(NamedTuple):
    """One request of an operation: the nth of its method and path, in which names of its own are `*`."""

    method: str
    shape: str
    nth: int

    @property
    def pattern(self) -> str:
        """What finds it again in another run."""
        return re.escape(self.shape).replace(r"\*", "[^/?&]+") + r"\Z"

    @property
    def changes(self) -> bool:
        """Whether it changes anything: reviews and dry runs only ask."""
        return self.method != "GET" and not ASKS.search(self.shape)

    @property
    def is_of_a_probe(self) -> bool:
        """Whether it only says if the server is ready."""
        return "/admissionregistration.k8s.io/" in self.shape

    def __str__(self) -> str:
        return f"{self.method} {self.shape} ({self.nth})"


def steps(forwarded: Sequence[tuple[str, str]]) -> list[Step]:
    """The requests of a run, but for those that come again and again by themselves: to lead, and to watch."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for method, path in forwarded:
        if "/leases" in path or "watch=" in path:
            continue
        shape = OWN_NAMES.sub("*", path)
        seen[method, shape] += 1
        found.append(Step(method, shape, seen[method, shape]))
    return found


class Case:
    """A root of its own with its rules, and one server for it that is started again and again under its name."""

    def __init__(self, cluster: Cluster, root: Root, rules: Rules, proxy: FaultProxy, start: Start) -> None:
        self.cluster = cluster
        self.root = root
        self.rules = rules
        self.proxy = proxy
        self._start = start

    @asynccontextmanager
    async def server(self, *, through_the_proxy: bool = False) -> AsyncIterator[Server]:
        """One life of the server; it has forgotten everything that it knew in the one before, and leads at once."""
        await self.cluster.remove(LEASE)
        proxy, name = self.proxy if through_the_proxy else None, self.root.account
        async with serve(self.cluster, [self.root], self.rules, proxy, name=name, start=self._started) as server:
            yield server

    def _started(self, environment: Mapping[str, str], log: Path) -> Process:
        self.process = self._start(environment, log)
        return self.process

    async def looked_after(self, server: Server) -> None:
        """Wait until this server leads, and has done what it found to do."""
        await until(server.leads)
        await self.proxy.quiet()

    def strike(self, step: Step, effect: Effect) -> Fault:
        """Let this happen to that request, counted from now."""
        return self.proxy.on(step.method, step.pattern, effect, nth=step.nth)

    def kill(self) -> None:
        """End the server at once; what is held goes no further."""
        self.process.kill()
        self.process.wait()
        self.proxy.clear()


@asynccontextmanager
async def a_case(cluster: Cluster, proxy: FaultProxy, start: Start, folder: Path) -> AsyncIterator[Case]:
    """A case with a new root; its Agents are removed afterwards."""
    number = next(NUMBERS)
    root = await cluster.onboard(f"every-request-{number}")
    rules = Rules(folder / str(number))
    rules.folder.mkdir()
    await let_spawn(cluster, root, rules)
    yield Case(cluster, root, rules, proxy, start)
    await cluster.clear(root)


async def nobody_else(cluster: Cluster) -> None:
    """Remove what other tests left: a repair would go through all of it."""
    for agent in await _all(cluster, AGENTS):
        await cluster.remove(f"{AGENTS}/{agent}")
    headers = {"Authorization": f"Bearer {cluster.server_token}"}
    connector = aiohttp.TCPConnector(ssl=cluster.plane.connection("").ssl_context())
    async with aiohttp.ClientSession(cluster.plane.url, headers=headers, connector=connector) as server:
        for proposal in await _all(cluster, PROPOSALS):
            async with server.delete(f"{PROPOSALS}/{proposal}") as response:
                assert response.status in {200, 404}, await response.text()


async def _all(cluster: Cluster, path: str) -> list[str]:
    """The names of all objects there, as soon as the API server serves their kind."""
    found: list[str] = []

    async def listed() -> bool:
        answer = await cluster.get(path) or {}
        found[:] = [item["metadata"]["name"] for item in answer.get("items", ())]
        return "items" in answer

    await until(listed)
    return found

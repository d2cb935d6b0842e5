"""The server on the local cluster, as its own service account; and the file that tells others where everything is."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcp_agentspawn.adapters.files import private_file
from mcp_agentspawn.app import Served, serving_cluster
from mcp_agentspawn.cli.dev import checkout
from mcp_agentspawn.cli.dev.cluster import ROOTS, Cluster, cluster, offer_spawning
from mcp_agentspawn.cli.dev.models import model
from mcp_agentspawn.cli.dev.telling import Teller, caller
from mcp_agentspawn.cli.dev.tokens import REFRESH_SECONDS
from mcp_agentspawn.cli.dev.waiting import until
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.names import DEFAULT_HOME, SYSTEM_NAMESPACE
from mcp_agentspawn.localplane import Binaries
from mcp_agentspawn.localplane.agents import AgentRunner, AgentRuntime, Endpoint, agent_runner, find_runtime
from mcp_agentspawn.localplane.registry import load as published
from mcp_agentspawn.localplane.registry import registry_standin
from mcp_agentspawn.server.loops import Loop, running
from mcp_agentspawn.settings import load

READY_WITHIN_SECONDS = 60.0
SEARCHED_WITHIN_SECONDS = 15.0
REGISTRY = "main"
"""The stand-in for agentregistry, by the name that the sample policy knows."""


@dataclass(frozen=True, slots=True)
class LocalWorld:
    """Everything that runs on this machine."""

    cluster: Cluster
    agents: AgentRunner
    """The stand-in for kagent's controller: it runs the subagents."""
    model: Endpoint
    served: Served
    audit_file: Path
    registry_url: str
    """Of the stand-in for agentregistry; `""` where registries of one's own take its place."""
    registries: Path

    @property
    def mcp_url(self) -> str:
        """The MCP endpoint."""
        return self.served.url

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.cluster.plane.admin_kubeconfig

    async def watch(self) -> None:
        """Wait until a part of it ends by itself, which raises ControlPlaneFailed or Unavailable."""
        waiting = (self.cluster.plane.watch(), self.agents.watch(), self.served.process.wait())
        parts = [asyncio.create_task(part) for part in waiting]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()
        finally:
            for part in parts:
                part.cancel()

    def described(self) -> str:
        """What the ready file says, as JSON. Token files, never tokens."""
        return json.dumps(
            {
                "mcp_url": self.mcp_url,
                "kubeconfig": str(self.kubeconfig),
                "system_namespace": SYSTEM_NAMESPACE,
                "namespace": DEFAULT_HOME,
                "tokens": {name: str(file) for name, file in self.cluster.credentials.callers.items()},
                "kubeconfigs": {name: str(file) for name, file in self.cluster.people.items()},
                "audit_file": str(self.audit_file),
                "registry_url": self.registry_url,
                "a2a_url": self.agents.url,
            },
            indent=2,
        )


@asynccontextmanager
async def local_world(binaries: Binaries, port: int, own: Path | None = None) -> AsyncIterator[LocalWorld]:
    """Start all of it and wait until the server is ready; leaving stops and removes all of it.

    `own` is a folder of registries that take the place of the stand-in for one. kagent's runtime starts meanwhile.
    """
    async with (
        AgentRuntime(find_runtime()) as runtime,
        _standin(needed=own is None) as registry_url,
        model(os.environ) as endpoint,
        cluster(binaries) as local,
        agent_runner(runtime, local.plane.admin, endpoint, [DEFAULT_HOME]) as agents,
    ):
        registries = own or _registries(local.plane.folder, registry_url)
        options = _options(local, port, registries) | {"a2a_url": agents.url}
        tokens = Loop("tokens", REFRESH_SECONDS, local.credentials.refresh)
        async with serving_cluster(load({}, options)) as served, running([tokens]):
            world = LocalWorld(local, agents, endpoint, served, options["audit_file"], registry_url, registries)
            await _ready(world)
            await offer_spawning(local, served.url)
            if registry_url:
                await _searched(world)
            yield world


def _options(local: Cluster, port: int, registries: Path) -> dict[str, Any]:
    return {
        "port": port,
        "roots": " ".join(root.name for root in ROOTS.values()),
        "policies": checkout.POLICIES,
        "templates": checkout.TEMPLATES,
        "registries": registries,
        "audit_file": local.plane.folder / "audit.jsonl",
        "writer": "agentspawn-dev",
        "kubeconfig": local.credentials.server,
    }


@asynccontextmanager
async def _standin(*, needed: bool) -> AsyncIterator[str]:
    """Where it is; `""` when none is needed."""
    if not needed:
        yield ""
        return
    async with registry_standin(published(checkout.REGISTRY)) as registry:
        yield registry.url


def _registries(folder: Path, url: str) -> Path:
    """The server's folder of registries, as an operator would write it."""
    registries = folder / "registries"
    registries.mkdir()
    source = {"url": url, "private_addresses": True}
    (registries / f"{REGISTRY}.yaml").write_text(yaml.safe_dump(source), encoding="utf-8")
    return registries


async def _searched(world: LocalWorld) -> None:
    """Wait until the registry is read; not for ever, since policies may show nothing of it."""
    token_file = world.cluster.credentials.callers["orchestrator"]
    wanted = {"query": "", "source": REGISTRY, "limit": 1}
    async with caller("", world.mcp_url, token_file, Teller()) as orchestrator:

        async def found() -> bool:
            answer = await orchestrator.session.call_tool("search_agents_agentregistry", wanted)
            said = answer.structured_content or {}
            return not said.get("registries") or bool(said["hits"])

        with suppress(Unavailable):
            await until(found, SEARCHED_WITHIN_SECONDS, "")


async def _ready(world: LocalWorld) -> None:
    """A policy that was just made acts up to a second later, and the server is ready only then."""
    health = world.served.process.health

    async def no_problems() -> bool:
        return not await health.problems()

    try:
        await until(no_problems, READY_WITHIN_SECONDS, "The server is not ready")
    except Unavailable as error:
        problems = "; ".join(f"{part}: {problem}" for part, problem in (await health.problems()).items())
        raise Unavailable(f"{error}: {problems}") from None


@contextmanager
def ready_file(path: Path | None, world: LocalWorld) -> Iterator[None]:
    """Write it, all at once, and remove it in the end. Raises Unavailable when it can not be written."""
    if path is None:
        yield
        return
    try:
        private_file(path, world.described())
    except OSError as error:
        raise Unavailable(f"{path}: {os.strerror(error.errno or 0)}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)

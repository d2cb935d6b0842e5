"""A server, put together: a world, the rules, the registries and the audit behind the MCP edge."""

import asyncio
import gc
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import structlog

from mcp_agentspawn.adapters.a2a import A2aAgents
from mcp_agentspawn.adapters.audit_log import AuditLog, opened
from mcp_agentspawn.adapters.files import Folder, Watched, examine, private_file
from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld, connect
from mcp_agentspawn.adapters.memory import MemoryRemoteAgents, MemoryWorld
from mcp_agentspawn.adapters.registry.live import LiveRegistries, Refreshed
from mcp_agentspawn.adapters.registry.source import endpoints
from mcp_agentspawn.composing import World, services_on
from mcp_agentspawn.core.delegation import RemoteAgents
from mcp_agentspawn.core.errors import ConfigError, Unavailable
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.consistency import misfits, overlaps
from mcp_agentspawn.operations.reconcile import Reconciler
from mcp_agentspawn.operations.services import Rules
from mcp_agentspawn.server.calls import Calls
from mcp_agentspawn.server.health import Health, Part
from mcp_agentspawn.server.http import MCP_PATH, Edge, application
from mcp_agentspawn.server.loops import Loop, kept_going, running
from mcp_agentspawn.server.process import Serving, listen, own_origins, served, url_of
from mcp_agentspawn.settings import SERVICE, Settings
from mcp_agentspawn.telemetry import CountedAudit, Metrics

DEFAULT_AUDIT_FILE = Path("audit.jsonl")
RELOAD_SECONDS = 1.0
RECONCILE_SECONDS = 1.0
REGISTRIES_SECONDS = 5.0
AGENT_START_SECONDS = 1.0
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MEMORY = "memory"
MEMORY_ROOT = Root("agents", "orchestrator", DEFAULT_HOME)

log = structlog.get_logger()


def load_rules(templates: Path, policies: Path, registries: Collection[str] = ()) -> Rules:
    """Read both folders. Raises ConfigError with every problem as `file:line: key: message`.

    What does not fit together, or names another registry than these, is a warning: it will always be refused. Where
    there are no registries at all, nothing is said of their names.
    """
    read_templates, read_policies = examine(templates, Template), examine(policies, Policy)
    problems = [*read_templates.problems, *read_policies.problems]
    if not problems:
        twice = overlaps(read_policies.values)
        problems = [read_policies.problem(misfit.name, misfit.path, misfit.message) for misfit in twice]
    if problems:
        raise ConfigError([str(problem) for problem in problems])
    rules = Rules(read_templates.values, read_policies.values)
    for misfit in misfits(rules.templates, rules.policies, registries or None):
        folder: Folder[Template] | Folder[Policy] = read_templates if misfit.kind == "template" else read_policies
        log.warning("a rule does not fit", at=str(folder.problem(misfit.name, misfit.path, misfit.message)))
    return rules


@dataclass(frozen=True, slots=True)
class Served:
    """A server that serves, and the MCP endpoint as callers see it."""

    url: str
    process: Serving


@asynccontextmanager
async def serving(settings: Settings, world: World, name: str = "") -> AsyncIterator[Served]:
    """Serve this world until the block is left; then drain, finish what was begun, and close the audit.

    `name` is named in every answer unless it is empty. Raises ConfigError for rules, an audit file or a port that
    can not be used.
    """
    async with AsyncExitStack() as stack:
        known = endpoints(settings.registries)
        rules = _watched(settings, known)
        audit = await stack.enter_async_context(
            opened(settings.audit_file or DEFAULT_AUDIT_FILE, settings.writer, world.clock)
        )
        metrics = Metrics()
        if isinstance(world, KubernetesWorld):
            world.ledgers.conflicted = metrics.ledger_conflicted
        registries = LiveRegistries(known, world.clock)
        registries.refreshed = partial(_count_reading, metrics)
        await stack.enter_async_context(registries)
        remote_agents = await stack.enter_async_context(_remote_agents(settings, world))
        services = services_on(world, rules, CountedAudit(audit, metrics), registries, remote_agents)
        calls = Calls(services, metrics)
        health = Health({"cluster": _cluster(world), "audit": _audit(audit)})
        listener = stack.enter_context(closing(listen(settings.host, settings.port)))
        url = settings.public_url or _url(settings, listener)
        edge = Edge(
            calls,
            world.tokens,
            health,
            metrics.render,
            url,
            settings.token_issuer,
            settings.allowed_hosts,
            (*settings.allowed_origins, *own_origins(listener)),
            name,
        )
        reconciler = Reconciler(services, world.observer, world.leadership)
        await stack.enter_async_context(kept_going("watch", world.observer.run))
        stack.push_async_callback(reconciler.stop)
        loops = [*_loops(world, rules, metrics, registries), _reconciling(reconciler, world, metrics)]
        await stack.enter_async_context(running(loops))
        stack.callback(registries.stop)
        process = await stack.enter_async_context(served(application(edge), health, listener, settings.drain_seconds))
        _keep_what_is_there()
        yield Served(url, process)


@asynccontextmanager
async def _remote_agents(settings: Settings, world: World) -> AsyncIterator[RemoteAgents]:
    """Agents at their addresses; in memory there are none to talk to, and what they are told they say back."""
    if isinstance(world, MemoryWorld):
        yield MemoryRemoteAgents(agents=world.agents, kind=KagentAgent())
        return
    async with A2aAgents(settings.a2a_url, settings.a2a_wire) as agents:
        yield agents


def _count_reading(metrics: Metrics, seen: Refreshed) -> None:
    metrics.registry_read(seen.standing, seen.entries, succeeded=seen.succeeded)


def _keep_what_is_there() -> None:
    """What is there now stays: walking it again and again costs the slowest calls 50 ms, and more with many agents."""
    gc.collect()
    gc.freeze()


def _url(settings: Settings, listener: socket.socket) -> str:
    """Where callers find it: on this machine, or else by the name of the Service in deploy/."""
    return url_of(listener, MCP_PATH) if settings.host in LOOPBACK_HOSTS else f"http://{SERVICE}:8000{MCP_PATH}"


def _watched(settings: Settings, registries: Collection[str]) -> Watched[Rules]:
    folders = (settings.templates, settings.policies)
    return Watched(folders, lambda: load_rules(settings.templates, settings.policies, registries))


def _cluster(world: World) -> Part:
    async def cluster() -> str:
        return "; ".join(await world.problems())

    return cluster


def _audit(audit: AuditLog) -> Part:
    """A log that could not be written is tried again by every probe: no change would, without a ready server."""

    async def written() -> str:
        if not audit.failing:
            return ""
        try:
            await audit.write(Record("audit.probe", root="", caller=""))
        except Unavailable as error:
            return str(error)
        return ""

    return written


def _reconciling(reconciler: Reconciler, world: World, metrics: Metrics) -> Loop:
    said: list[str] = []
    settled: list[bool] = []

    async def reconcile() -> None:
        done = await reconciler.run_pass()
        leads, observer = reconciler.standing == "leads", world.observer
        if observer.in_sync() and not settled:
            settled.append(True)
            _keep_what_is_there()
        metrics.watched(leading=leads, in_sync=observer.in_sync(), age_seconds=observer.age_seconds())
        for action in done:
            metrics.repaired(action.verb)
            log.info("reconciled", action=action.verb, agent=action.id)
        if (problems := [*observer.problems(), *filter(None, [world.leadership.problem])]) != said:
            said[:] = problems
            log.warning("the subagents are not looked after" if problems else "all is well again", problems=problems)

    return Loop("reconcile", RECONCILE_SECONDS, reconcile, world.observer.changed)


def _loops(world: World, rules: Watched[Rules], metrics: Metrics, registries: LiveRegistries) -> Sequence[Loop]:
    generations = count(1)

    def follow() -> None:
        metrics.rules_loaded(next(generations))
        registries.show(rules.current().views())
        if isinstance(world, MemoryWorld):
            world.furnish(rules.current().templates)

    follow()

    async def reload() -> None:
        news = await asyncio.to_thread(rules.refresh)
        if news == "reloaded":
            follow()
            log.info("the rules were loaded again")
        elif news == "kept":
            metrics.rules_rejected()
            log.error("the changed rules can not be used, the last good ones stay", problems=rules.problems)

    return [
        Loop("rules", RELOAD_SECONDS, reload),
        Loop("registries", REGISTRIES_SECONDS, registries.refresh, registries.wanted),
    ]


@asynccontextmanager
async def serving_cluster(settings: Settings) -> AsyncIterator[Served]:
    """Serve the current cluster until the block is left. Raises ConfigError or Unavailable when it can not be begun."""
    if not settings.roots:
        raise ConfigError(["AGENTSPAWN_ROOTS: names no root, so nobody could spawn"])
    async with (
        connect(settings.roots, kubeconfig=settings.kubeconfig, legacy_accounts=settings.legacy_tokens) as world,
        serving(settings, world) as served,
    ):
        log.info("serving", url=served.url, roots=[root.name for root in settings.roots])
        yield served


@dataclass(frozen=True, slots=True)
class MemoryServing:
    """A server over the in-process twin, and the file with its root's token."""

    served: Served
    root: Root
    token_file: Path
    audit_file: Path


@asynccontextmanager
async def serving_memory(settings: Settings) -> AsyncIterator[MemoryServing]:
    """Serve a world in this process: no cluster, this machine only, nothing kept but the audit, if a file was named.

    Whatever the templates name is there, and every root may use all of them. Raises ConfigError.
    """
    if settings.host not in LOOPBACK_HOSTS:
        raise ConfigError([f"AGENTSPAWN_HOST: {settings.host} is not this machine alone, which --memory asks for"])
    with tempfile.TemporaryDirectory(prefix="agentspawn-memory-") as folder:
        roots = settings.roots or (MEMORY_ROOT,)
        audit_file = settings.audit_file or Path(folder) / "audit.jsonl"
        world = MemoryWorld(roots)
        token_file = private_file(Path(folder) / "token", world.tokens.issue(roots[0].namespace, roots[0].account))
        kubelet = Loop("agents", AGENT_START_SECONDS, _ready(world))
        async with (
            serving(replace(settings, audit_file=audit_file), world, MEMORY) as server,
            running([kubelet]),
        ):
            yield MemoryServing(server, roots[0], token_file, audit_file)


def _ready(world: MemoryWorld) -> Callable[[], Awaitable[None]]:
    """What kagent's controller does in a cluster: say of an agent that it has started."""

    async def start() -> None:
        for root in world.roots:
            for agent in await world.agents.of_root(root):
                world.agents.set_ready(agent.home, agent.id)

    return start

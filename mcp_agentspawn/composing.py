"""Services put together of adapters: for the server, and for commands that nobody serves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_agentspawn.adapters.clock import SystemClock
from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld, connect
from mcp_agentspawn.adapters.looking import AgentsForLooking, AuditForLooking, ForgetfulAudit
from mcp_agentspawn.adapters.memory import MemoryRegistries, MemoryRemoteAgents, MemoryWorld
from mcp_agentspawn.adapters.registry.live import LiveRegistries
from mcp_agentspawn.adapters.registry.source import endpoints
from mcp_agentspawn.core.delegation import RemoteAgents
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.ports import Audit, Clock
from mcp_agentspawn.core.registry import Registries
from mcp_agentspawn.operations.services import Rules, RuleSource, Services

LEDGERS_WITHIN_SECONDS = 20.0

World = KubernetesWorld | MemoryWorld
"""Every port on one cluster, real or not."""


def services_on(
    world: World, rules: RuleSource, audit: Audit, registries: Registries, remote_agents: RemoteAgents | None = None
) -> Services:
    """What operations work with, on this world. Without `remote_agents`, those of this process that only echo."""
    return Services(
        agents=world.agents,
        proposals=world.proposals,
        ledgers=world.ledgers,
        approvals=world.approvals,
        switchboard=world.switchboard,
        keyring=world.keyring,
        inventory=world.inventory,
        access=world.access,
        registries=registries,
        tasks=world.tasks,
        task_answers=world.task_answers,
        remote_agents=remote_agents or MemoryRemoteAgents(agents=world.agents, kind=KagentAgent()),
        announcements=world.announcements,
        cordon=world.cordon,
        audit=audit,
        kind=KagentAgent(),
        clock=world.clock,
        rules=rules,
        roots=world.roots,
    )


async def read_heads(kubeconfig: Path | None) -> Sequence[Head]:
    """The audit heads that the ledgers of a cluster hold. Raises ConfigError or Unavailable."""
    async with connect((), kubeconfig=kubeconfig) as world, asyncio.timeout(LEDGERS_WITHIN_SECONDS):
        ledgers = [await world.ledgers.look(root, fresh=True) for root in await world.ledgers.roots()]
    return [head for ledger in ledgers for head in ledger.audit.values()]


@asynccontextmanager
async def read_once(rules: Rules, folder: Path | None) -> AsyncIterator[LiveRegistries]:
    """The registries of a folder (`None`: none) as they are now. Raises ConfigError."""
    async with LiveRegistries(endpoints(folder), SystemClock()) as registries:
        registries.show(rules.views())
        await registries.refresh(again=False)
        yield registries


@dataclass(frozen=True, slots=True)
class _Unchanging:
    """Rules that were read once."""

    rules: Rules

    def current(self) -> Rules:
        return self.rules


def in_memory(rules: Rules, root: Root, clock: Clock | None = None) -> tuple[MemoryWorld, Services]:
    """A world of this root alone where whatever the templates name is there, and the services on it."""
    world = MemoryWorld([root], clock=clock)
    world.furnish(rules.templates)
    return world, services_on(world, _Unchanging(rules), ForgetfulAudit(), MemoryRegistries())


@asynccontextmanager
async def looking(rules: Rules, root: Root, kubeconfig: Path | None) -> AsyncIterator[tuple[KubernetesWorld, Services]]:
    """A cluster and the services on it, for whoever changes nothing. Raises ConfigError or Unavailable.

    No registry is among them: whoever asks one reads it once.
    """
    async with connect([root], kubeconfig=kubeconfig) as world:
        services = services_on(world, _Unchanging(rules), AuditForLooking(), MemoryRegistries())
        yield world, replace(services, agents=AgentsForLooking(world.agents))

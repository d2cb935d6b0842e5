"""What operations work with: the ports, the rules of the moment, and the facts that guards may ask."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from mcp_agentspawn.core.delegation import RemoteAgents, TaskAnswers, Tasks
from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Ancestor, Approval, Caller, Manifest, Root
from mcp_agentspawn.core.names import MOST_DEPTH
from mcp_agentspawn.core.ports import (
    Access,
    AgentKind,
    Agents,
    Approvals,
    Audit,
    Clock,
    Inventory,
    Keyring,
    Ledgers,
    Proposals,
    Switchboard,
    Violation,
)
from mcp_agentspawn.core.registry import Registries, View
from mcp_agentspawn.core.switches import Switches
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.watching import Announcements, Cordon
from mcp_agentspawn.guards import Policy

PROPOSAL_LIFETIME = timedelta(minutes=15)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """Templates and policies as they are at one moment, by name."""

    templates: Mapping[str, Template]
    policies: Mapping[str, Policy]

    def matching(self, root: Root) -> tuple[str, ...]:
        """The names of the policies for this root."""
        return tuple(sorted(name for name, policy in self.policies.items() if policy.callers.match(root)))

    def views(self) -> frozenset[View]:
        """What the callers of any policy can find."""
        return frozenset(policy.view(self.templates) for policy in self.policies.values())

    def policy_for(self, root: Root) -> Policy | None:
        """The one policy that matches; `None` when none does, or more than one."""
        matching = self.matching(root)
        return self.policies[matching[0]] if len(matching) == 1 else None


class RuleSource(Protocol):
    """Where the rules of the moment come from."""

    def current(self) -> Rules:
        """The last good rules."""
        ...


def random_suffix() -> str:
    """Ten characters that nobody guesses, fit for an object's name."""
    return "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(10))


class Later:
    """Work that may end after its answer was given; what it leaves undone, repair does."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self.wanted = asyncio.Event()
        """Set when an operation saw something that repair should look at."""

    def start(self, work: Coroutine[None, None, object]) -> None:
        """Begin it now and keep it alive."""
        self._begin(self._unwatched(work))

    async def finish(self, work: Coroutine[None, None, T]) -> T:
        """What comes of it. It is finished although whoever waits for it is broken off."""
        return await asyncio.shield(self._begin(work))

    async def settle(self) -> None:
        """Wait until all of it has ended."""
        while self._running:
            await asyncio.wait(self._running)

    def _begin(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _unwatched(self, work: Coroutine[None, None, object]) -> None:
        try:
            await work
        except Upstream:
            self.wanted.set()


@dataclass(frozen=True, slots=True)
class Services:
    """Every port, for operations."""

    agents: Agents
    proposals: Proposals
    ledgers: Ledgers
    approvals: Approvals
    switchboard: Switchboard
    keyring: Keyring
    inventory: Inventory
    access: Access
    registries: Registries
    tasks: Tasks
    task_answers: TaskAnswers
    remote_agents: RemoteAgents
    announcements: Announcements
    cordon: Cordon
    audit: Audit
    kind: AgentKind
    clock: Clock
    rules: RuleSource
    roots: Sequence[Root]
    suffix: Callable[[], str] = field(default=random_suffix)
    later: Later = field(default_factory=Later)

    def facts(self) -> "LiveFacts":
        """The facts of this moment."""
        return LiveFacts(self, self.clock.now())


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """The read-only view on the ports that guards get (`core.facts.Facts`).

    Who stands above a caller, what people decided, and what lies there for a subagent to use is asked once: whoever
    judges by it records the same, and what many hits of a search lack is not looked for anew for each of them.
    """

    services: Services
    now: datetime
    _above: dict[Caller, Sequence[Ancestor]] = field(default_factory=dict, repr=False)
    _decided: dict[tuple[str, bool], Sequence[Approval]] = field(default_factory=dict, repr=False)
    _models: dict[tuple[str, bool], frozenset[str]] = field(default_factory=dict, repr=False)
    _tools: dict[tuple[str, bool], Mapping[str, frozenset[str]]] = field(default_factory=dict, repr=False)

    async def may_use(self, caller: Caller, template: str) -> bool:
        """See `Access.may_use`."""
        return await self.services.access.may_use(caller.root, template)

    async def models(self, caller: Caller, *, fresh: bool = False) -> frozenset[str]:
        """See `Inventory.models`."""
        home = caller.root.home
        if (home, fresh) not in self._models:
            self._models[home, fresh] = await self.services.inventory.models(home, fresh=fresh)
        return self._models[home, fresh]

    async def tools(self, caller: Caller, *, fresh: bool = False) -> Mapping[str, frozenset[str]]:
        """See `Inventory.tools`."""
        home = caller.root.home
        if (home, fresh) not in self._tools:
            self._tools[home, fresh] = await self.services.inventory.tools(home, fresh=fresh)
        return self._tools[home, fresh]

    async def violations(self, manifest: Manifest) -> Sequence[Violation]:
        """See `Inventory.violations`."""
        return await self.services.inventory.violations(manifest)

    async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
        """See `Ledgers.look`, pruned to now."""
        ledger = await self.services.ledgers.look(caller.root.name, fresh=fresh)
        return ledger.pruned(self.now, (await self.switches()).counts_since(caller.root.name))

    async def switches(self) -> Switches:
        """See `Switchboard.current`."""
        return await self.services.switchboard.current()

    async def ancestors(self, caller: Caller) -> Sequence[Ancestor]:
        """See `core.facts.Facts.ancestors`."""
        if caller not in self._above:
            self._above[caller] = await self._ancestors(caller)
        return self._above[caller]

    async def parent_uid(self, caller: Caller) -> str:
        """The uid of the caller's own Agent; `""` for a root, and when it is gone."""
        above = await self.ancestors(caller)
        return above[0].agent.uid if above and above[0].agent else ""

    async def _ancestors(self, caller: Caller) -> Sequence[Ancestor]:
        found: list[Ancestor] = []
        id_ = caller.agent
        while id_ and len(found) <= MOST_DEPTH:
            proposal = await self.services.proposals.get(id_)
            if proposal is None:
                break
            found.append(Ancestor(proposal, await self.services.agents.get(caller.root.home, id_)))
            id_ = proposal.parent
        return found

    async def approvals(self, proposal: str, *, fresh: bool = True) -> Sequence[Approval]:
        """See `Approvals.of`."""
        if (proposal, fresh) not in self._decided:
            self._decided[proposal, fresh] = await self.services.approvals.of(proposal, fresh=fresh)
        return self._decided[proposal, fresh]

    async def trial(self, caller: Caller, proposal: str, manifest: Manifest) -> Manifest:
        """See `Agents.trial`."""
        return await self.services.agents.trial(caller.root, proposal, manifest)

"""The world as the API server last told it (`core.watching.Observer`): an informer for each kind, an index by root.

One that can not be watched, because a right or a kind is not there, is tried again and named among the problems. The
others go on; without agents, proposals and ledgers nothing is in sync.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from mcp_agentspawn.adapters.kubernetes.crashes import Crashes
from mcp_agentspawn.adapters.kubernetes.informer import Informer, Source
from mcp_agentspawn.adapters.kubernetes.kept import Kept
from mcp_agentspawn.adapters.kubernetes.records import (
    AGENT_OF_POD,
    Pod,
    root_of,
    slim_agent,
    slim_ledger,
    slim_pod,
    slim_proposal,
    slim_task,
)
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS, LEDGERS, PODS, PROPOSALS, TASKS, Resource
from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Proposal, Root, Subagent
from mcp_agentspawn.core.names import PROPOSAL, SYSTEM_NAMESPACE

R = TypeVar("R")
OfHome = TypeVar("OfHome", Proposal, Task)


@dataclass(slots=True)
class _Tree:
    """What is there of one root."""

    agents: dict[str, Subagent] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    ledger: Ledger | None = None

    def __bool__(self) -> bool:
        return bool(self.agents or self.proposals or self.tasks or self.ledger)


class _Home:
    """What is there in one namespace of subagents, whoever's it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.crashes = Crashes()
        self.agents: Mapping[str, Subagent] = {}


class KubernetesObserver:
    """Watches all homes of these roots while `run` runs."""

    def __init__(self, source: Source, roots: Iterable[Root], clock: Callable[[], float] = time.monotonic) -> None:
        configured = tuple(roots)
        self.changed = asyncio.Event()
        self._source = source
        self._clock = clock
        self._roots = frozenset(root.name for root in configured)
        self._homes = {home: _Home(home) for home in sorted({root.home for root in configured})}
        self._trees: dict[str, _Tree] = defaultdict(_Tree)
        self._dirty: set[str] = set()
        self._kept: list[tuple[str, Kept[Any]]] = []
        self._needed = [
            *map(self._agents, self._homes.values()),
            self._own(PROPOSALS, self._of_home(slim_proposal), self._proposal),
            self._own(LEDGERS, slim_ledger, self._ledger),
        ]
        self._wanted = [self._own(TASKS, self._of_home(slim_task), self._task), *map(self._pods, self._homes.values())]

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in (*self._needed, *self._wanted):
                group.create_task(informer.run(), name=f"watch of {informer.what}")

    def in_sync(self) -> bool:
        """See `core.watching.Observer.in_sync`; what may not be there was tried."""
        return all(informer.watching for informer in self._needed) and all(informer.tried for informer in self._wanted)

    def problems(self) -> Sequence[str]:
        """What is not watched, and what can not be read; nothing of it is a caller's business."""
        failing = [informer.problem for informer in (*self._needed, *self._wanted)]
        unread = [f"{what}: {len(kept.unreadable)} can not be read" for what, kept in self._kept if kept.unreadable]
        return [*filter(None, failing), *unread]

    def age_seconds(self) -> float:
        """How long ago that was heard of which nothing was heard for longest; a bookmark comes each minute."""
        heard = [*self._needed, *(informer for informer in self._wanted if informer.synced)]
        return max(informer.age_seconds for informer in heard)

    def roots(self) -> Collection[str]:
        """See `core.watching.Observer.roots`. Of one that has but a ledger, the agents may stand somewhere else."""
        return self._roots | {name for name, tree in self._trees.items() if tree.agents or tree.proposals}

    def take_changed(self) -> Collection[str]:
        """See `core.watching.Observer.take_changed`."""
        taken, self._dirty = self._dirty, set()
        return taken.intersection(self.roots())

    def seen(self, root: str) -> Seen:
        """See `core.watching.Observer.seen`. The ledger is as it is stored, not pruned."""
        tree = self._trees.get(root) or _Tree()
        crashes = {id_: self._homes[agent.home].crashes.of(id_) for id_, agent in tree.agents.items()}
        return Seen(
            agents=dict(tree.agents),
            proposals=dict(tree.proposals),
            ledger=tree.ledger or Ledger(root),
            tasks=tuple(tree.tasks.values()),
            crashes={id_: count for id_, count in crashes.items() if count},
        )

    def _agents(self, home: _Home) -> Informer:
        kept = Kept(slim_agent, partial(self._agent, home), self._all_changed)
        home.agents = kept.records
        return self._informer(AGENTS, home.name, kept, PROPOSAL)

    def _pods(self, home: _Home) -> Informer:
        return self._informer(PODS, home.name, Kept(slim_pod, partial(self._pod, home), _nothing), AGENT_OF_POD)

    def _own(
        self,
        kind: Resource,
        slim: Callable[[Mapping[str, Any]], R | None],
        became: Callable[[R | None, R | None], None],
    ) -> Informer:
        return self._informer(kind, SYSTEM_NAMESPACE, Kept(slim, became, self._all_changed))

    def _informer(self, kind: Resource, namespace: str, kept: Kept[Any], selector: str = "") -> Informer:
        what = f"{kind.plural} in {namespace}"
        self._kept.append((what, kept))
        path = kind.collection(namespace)
        return Informer(self._source, what, path, kept, selector=selector, page=kind.page, clock=self._clock)

    def _of_home(self, slim: Callable[[Mapping[str, Any]], OfHome]) -> Callable[[Mapping[str, Any]], OfHome | None]:
        """Nothing is known of a namespace that is not watched: what lives there is nothing to us."""

        def slim_of_home(stored: Mapping[str, Any]) -> OfHome | None:
            record = slim(stored)
            return record if record.home in self._homes else None

        return slim_of_home

    def _agent(self, home: _Home, old: Subagent | None, new: Subagent | None) -> None:
        if old is not None:
            self._trees[root_of(old)].agents.pop(old.id, None)
            if new is None or new.uid != old.uid:
                home.crashes.forget(old.id)
            self._has_changed(root_of(old))
        if new is not None:
            self._trees[root_of(new)].agents[new.id] = new
            self._has_changed(root_of(new))

    def _proposal(self, old: Proposal | None, new: Proposal | None) -> None:
        self._replace(old, new, lambda tree: tree.proposals)

    def _task(self, old: Task | None, new: Task | None) -> None:
        self._replace(old, new, lambda tree: tree.tasks)

    def _replace(self, old: OfHome | None, new: OfHome | None, of: Callable[[_Tree], dict[str, OfHome]]) -> None:
        if old is not None:
            of(self._trees[old.root]).pop(old.id, None)
            self._has_changed(old.root)
        if new is not None:
            of(self._trees[new.root])[new.id] = new
            self._has_changed(new.root)

    def _ledger(self, old: Ledger | None, new: Ledger | None) -> None:
        for ledger, kept in ((old, None), (new, new)):
            if ledger is not None:
                self._trees[ledger.root].ledger = kept
                self._has_changed(ledger.root)

    def _pod(self, home: _Home, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or (new.agent, new.uid) != (old.agent, old.uid)):
            home.crashes.gone(old, wanted=old.agent in home.agents)
        if new is not None and home.crashes.count(new) and new.agent in home.agents:
            self._has_changed(root_of(home.agents[new.agent]))

    def _has_changed(self, root: str) -> None:
        if not self._trees[root]:
            del self._trees[root]
        self._dirty.add(root)
        self.changed.set()

    def _all_changed(self) -> None:
        self._dirty.update(self.roots())
        self.changed.set()


def _nothing() -> None:
    """That all pods were read again is no news: what they crashed meanwhile is."""

"""What an observer makes of what it is told, and of what it is not."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.observer import KubernetesObserver
from mcp_agentspawn.adapters.kubernetes.proposals import object_of
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS, LEDGERS, PODS, PROPOSALS, TASKS
from mcp_agentspawn.adapters.kubernetes.transport import MOST_BYTES
from mcp_agentspawn.core.delegation import MOST_RESULT_BYTES
from mcp_agentspawn.core.errors import Missing, Refused
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE
from tests.adapters.kubernetes.watched_api import bookmark, event
from tests.contracts.stages import manifest, proposal
from tests.localplane.waiting import until

ROOT = Root("agents", "orchestrator", "subagents")
ELSEWHERE = Root("agents", "orchestrator", "elsewhere")
OF_AGENTS, OF_PODS = AGENTS.collection("subagents"), PODS.collection("subagents")
OF_PROPOSALS, OF_LEDGERS, OF_TASKS = (kind.collection(SYSTEM_NAMESPACE) for kind in (PROPOSALS, LEDGERS, TASKS))
WRITTEN = {"uid": "uid-1", "resourceVersion": "5", "generation": 1, "creationTimestamp": "2026-11-21T12:00:00Z"}


@dataclass
class Told:
    """An API server that tells what a test says, path by path; `failing` paths can not be watched.

    Where it knows no watch lists, only `paged` reads tell what is there: how many were asked for at once, by path.
    """

    there: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    failing: dict[str, Exception] = field(default_factory=dict)
    lines: dict[str, asyncio.Queue[bytes]] = field(default_factory=lambda: defaultdict(asyncio.Queue))
    asked: dict[str, Mapping[str, str]] = field(default_factory=dict)
    knows_watch_lists: bool = True
    paged: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        if path in self.failing:
            raise self.failing[path]
        if "sendInitialEvents" in query and not self.knows_watch_lists:
            raise Refused("invalid", "no such option")
        self.asked[path] = query
        yield self._chunks(path)

    async def pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        if path in self.failing:
            raise self.failing[path]
        self.paged[path] = int(query["limit"])
        yield {"metadata": {"resourceVersion": "9"}, "items": self.there[path]}

    async def _chunks(self, path: str) -> AsyncIterator[bytes]:
        for stored in self.there[path]:
            yield event("ADDED", stored)
        yield bookmark(9, end=True)
        while True:
            yield await self.lines[path].get()

    async def say(self, path: str, kind: str, stored: Mapping[str, Any]) -> None:
        """Tell it, and wait until it was heard."""
        self.lines[path].put_nowait(event(kind, dict(stored)))
        await until(self.lines[path].empty)
        await asyncio.sleep(0)


@asynccontextmanager
async def observed(told: Told, *roots: Root) -> AsyncIterator[KubernetesObserver]:
    observer = KubernetesObserver(told, roots or [ROOT])
    running = asyncio.create_task(observer.run())
    try:
        yield observer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def agent(id_: str, root: Root = ROOT, **metadata: Any) -> dict[str, Any]:
    sent = manifest(root, id_)
    return {**sent, "metadata": {**sent["metadata"], **WRITTEN, **metadata}}


def pod(name: str, agent: str, restarts: int, code: int | None = 1) -> dict[str, Any]:
    ended = {} if code is None else {"lastState": {"terminated": {"exitCode": code}}}
    status = {"containerStatuses": [{"name": "kagent", "restartCount": restarts, **ended}]}
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "5", "labels": {"kagent": agent}},
        "status": status,
    }


def proposed(id_: str, root: Root = ROOT) -> dict[str, Any]:
    made = object_of(proposal(root, id=id_))
    return {**made, "metadata": {**made["metadata"], **WRITTEN}}


async def test_without_a_right_to_pods_and_without_tasks_everything_else_is_seen() -> None:
    told = Told(failing={OF_PODS: Refused("forbidden.rbac", "no"), OF_TASKS: Missing("no such kind")})
    told.there[OF_AGENTS] = [agent("sub-a")]

    async with observed(told) as observer:
        await until(observer.in_sync)

        assert set(observer.seen(ROOT.name).agents) == {"sub-a"}
        assert sorted(problem.partition(":")[0] for problem in observer.problems()) == [
            "pods in subagents",
            "subagenttasks in agentspawn-system",
        ]
        assert observer.age_seconds() < 30


async def test_tasks_are_read_in_pages_whose_results_fit_an_answer() -> None:
    told = Told(knows_watch_lists=False)

    async with observed(told) as observer:
        await until(lambda: observer.in_sync() and not observer.problems())

    assert told.paged[OF_TASKS] * 6 * MOST_RESULT_BYTES < MOST_BYTES
    assert told.paged[OF_PROPOSALS] > told.paged[OF_TASKS]


@pytest.mark.parametrize("path", [OF_AGENTS, OF_PROPOSALS, OF_LEDGERS])
async def test_without_agents_proposals_or_ledgers_nothing_is_in_sync(path: str) -> None:
    told = Told(failing={path: Refused("forbidden.rbac", "no")})

    async with observed(told) as observer:
        await until(lambda: len(observer.problems()) == 1)
        assert not observer.in_sync()

        told.failing.clear()
        await until(observer.in_sync)
        assert observer.problems() == []


async def test_only_our_agents_and_pods_of_agents_are_asked_for() -> None:
    told = Told()
    async with observed(told) as observer:
        await until(observer.in_sync)

    selectors = {path: query.get("labelSelector") for path, query in told.asked.items()}
    assert selectors == {
        OF_AGENTS: "agentspawn.dev/proposal",
        OF_PODS: "kagent",
        OF_PROPOSALS: None,
        OF_LEDGERS: None,
        OF_TASKS: None,
    }


async def test_what_lives_in_a_namespace_that_is_not_watched_is_not_seen() -> None:
    told = Told()
    told.there[OF_PROPOSALS] = [proposed("sub-a"), proposed("sub-b", ELSEWHERE)]

    async with observed(told) as observer:
        await until(observer.in_sync)

        assert set(observer.seen(ROOT.name).proposals) == {"sub-a"}


async def test_one_server_watches_every_namespace_of_its_roots() -> None:
    told = Told()
    told.there[OF_AGENTS] = [agent("sub-a")]
    other = Root("agents", "other", "elsewhere")
    told.there[AGENTS.collection("elsewhere")] = [agent("sub-b", other)]

    async with observed(told, ROOT, other) as observer:
        await until(observer.in_sync)

        assert [set(observer.seen(root.name).agents) for root in (ROOT, other)] == [{"sub-a"}, {"sub-b"}]


async def test_an_object_that_can_not_be_read_is_told_and_what_was_known_of_it_stays() -> None:
    told = Told()
    told.there[OF_AGENTS] = [agent("sub-a"), {"metadata": {"name": "sub-b", "resourceVersion": "5"}}]

    async with observed(told) as observer:
        await until(observer.in_sync)
        await told.say(OF_AGENTS, "MODIFIED", {"metadata": {"name": "sub-a", "resourceVersion": "6"}})

        assert observer.problems() == ["agents in subagents: 2 can not be read"]
        assert set(observer.seen(ROOT.name).agents) == {"sub-a"}

        await told.say(OF_AGENTS, "MODIFIED", agent("sub-a"))
        await told.say(OF_AGENTS, "DELETED", agent("sub-b"))
        assert observer.problems() == []


async def test_an_agent_that_changes_hands_leaves_its_old_root() -> None:
    told, other = Told(), Root("agents", "other", "subagents")
    told.there[OF_AGENTS] = [agent("sub-a", other)]

    async with observed(told) as observer:
        await until(observer.in_sync)
        assert set(observer.roots()) == {ROOT.name, other.name}
        await told.say(OF_AGENTS, "MODIFIED", agent("sub-a"))

        assert set(observer.seen(ROOT.name).agents) == {"sub-a"}
        assert observer.seen(other.name).agents == {}
        assert set(observer.roots()) == {ROOT.name}


async def test_what_is_told_twice_is_no_change() -> None:
    told = Told()
    told.there[OF_AGENTS] = [agent("sub-a")]

    async with observed(told) as observer:
        await until(observer.in_sync)
        assert set(observer.take_changed()) == {ROOT.name}
        observer.changed.clear()
        await told.say(
            OF_AGENTS, "MODIFIED", agent("sub-a", resourceVersion="6", managedFields=[{"manager": "kagent"}])
        )

        assert not observer.changed.is_set()
        assert set(observer.take_changed()) == set()


async def test_an_alteration_that_no_record_shows_is_a_change_of_its_fingerprint() -> None:
    told = Told()
    told.there[OF_AGENTS] = [agent("sub-a")]

    async with observed(told) as observer:
        await until(observer.in_sync)
        observer.take_changed()
        await told.say(OF_AGENTS, "MODIFIED", {**agent("sub-a"), "spec": {"type": "BYO"}})

        assert set(observer.take_changed()) == {ROOT.name}


async def test_crashes_are_counted_on_when_a_pod_is_replaced_and_an_end_without_an_error_is_none() -> None:
    told = Told()
    told.there[OF_AGENTS] = [agent("sub-a"), agent("sub-b")]
    told.there[OF_PODS] = [pod("one", "sub-a", 2), pod("other", "sub-b", 3, code=0), pod("strange", "nobody", 9)]

    async with observed(told) as observer:
        await until(observer.in_sync)
        await until(lambda: observer.seen(ROOT.name).crashes == {"sub-a": 2})
        observer.take_changed()

        await told.say(OF_PODS, "MODIFIED", pod("one", "sub-a", 3))
        assert set(observer.take_changed()) == {ROOT.name}
        await told.say(OF_PODS, "DELETED", pod("one", "sub-a", 3))
        await told.say(OF_PODS, "ADDED", pod("two", "sub-a", 1, code=None))
        await told.say(OF_PODS, "MODIFIED", pod("other", "sub-b", 4, code=0))
        await told.say(OF_PODS, "MODIFIED", pod("other", "sub-b", 5, code=1))
        await told.say(OF_PODS, "DELETED", pod("strange", "nobody", 9))

        assert observer.seen(ROOT.name).crashes == {"sub-a": 4, "sub-b": 1}


async def test_what_crashed_before_an_agent_was_made_anew_is_not_its_own() -> None:
    told = Told()
    told.there[OF_AGENTS] = [agent("sub-a")]
    told.there[OF_PODS] = [pod("one", "sub-a", 4)]

    async with observed(told) as observer:
        await until(lambda: observer.seen(ROOT.name).crashes == {"sub-a": 4})
        await told.say(OF_AGENTS, "MODIFIED", agent("sub-a", uid="uid-2"))

        assert observer.seen(ROOT.name).crashes == {}


async def test_after_all_was_read_again_every_root_is_to_be_looked_at() -> None:
    told, other = Told(), Root("agents", "other", "subagents")

    async with observed(told, ROOT, other) as observer:
        await until(observer.in_sync)
        observer.take_changed()
        told.lines[OF_LEDGERS].put_nowait(b"no JSON\n")
        await until(observer.changed.is_set)

        await until(lambda: set(observer.take_changed()) == {ROOT.name, other.name})

"""What a server does about the world that it watches: at the right moment, once, and never by what is long past."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.adapters.memory.observer import MemoryObserver
from mcp_agentspawn.adapters.memory.watching import MemoryLeadership
from mcp_agentspawn.core.delegation import Address, Card, Message, Report, Task
from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.expiry import Action, Seen
from mcp_agentspawn.operations import reconcile as module
from mcp_agentspawn.operations.answers import Found
from mcp_agentspawn.operations.browse import get_subagent
from mcp_agentspawn.operations.reconcile import Reconciler
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, NOON, ROOT, Bench, stored_task, task
from tests.operations.doubles import failing
from tests.operations.faulty_ports import Killed, Process
from tests.operations.trees import HOME, agent_of, deleted_by_hand, grove, held, line, spawned, standing, stored_as


@dataclass
class Watched:
    """What was seen of a world, which may be long past when it is `frozen`."""

    real: MemoryObserver
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    frozen: dict[str, Seen] | None = None
    looked_at: list[str] = field(default_factory=list)
    dirty: set[str] = field(default_factory=set)

    def in_sync(self) -> bool:
        return self.real.in_sync()

    def roots(self) -> Collection[str]:
        return self.real.roots()

    def take_changed(self) -> Collection[str]:
        taken, self.dirty = self.dirty, set()
        return taken

    def seen(self, root: str) -> Seen:
        self.looked_at.append(root)
        return self.frozen[root] if self.frozen else self.real.seen(root)

    def freeze(self) -> None:
        self.frozen = {root: self.real.seen(root) for root in self.real.roots()}


@dataclass
class Stage:
    bench: Bench
    watched: Watched
    leadership: MemoryLeadership
    reconciler: Reconciler

    async def passed(self, **time: float) -> list[tuple[str, str]]:
        """What one more pass did, this much later."""
        self.bench.clock.advance(**time)
        done = [*await self.reconciler.run_pass(), *await self.reconciler.settle()]
        await self.bench.services.later.settle()
        return [(action.verb, action.id) for action in done]

    async def ready(self, *agents: str) -> None:
        for agent in agents:
            self.bench.world.agents.set_ready(HOME, agent)
        await self.passed(minutes=2)

    def done(self) -> list[tuple[str, str]]:
        """What the audit says was done, as (verb, id)."""
        return [
            (str(record.details["verb"]), record.subject)
            for record in self.bench.audit.records
            if record.event == "repair.outcome" and record.outcome == "done"
        ]


def stage(setup: Bench | None = None) -> Stage:
    setup = setup or grove()
    world = setup.world
    watched = Watched(MemoryObserver(world.roots, world.agents, world.proposals, world.ledgers, world.tasks))
    leadership = MemoryLeadership()
    return Stage(setup, watched, leadership, Reconciler(setup.services, watched, leadership))


async def test_an_agent_that_has_started_is_ready_once_it_has_answered() -> None:
    at = stage()
    agent = await spawned(at.bench)
    assert await at.passed() == []
    at.bench.world.agents.set_ready(HOME, agent)
    at.watched.dirty.add(ROOT.name)

    assert await at.passed() == [("greet", agent)]
    assert [(step.phase, step.reason) for step in (await stored_as(at.bench, agent)).history] == [
        ("starting", ""),
        ("ready", "card"),
    ]
    assert ("handshake.outcome", "ready") in at.bench.audit.events()
    assert [told[1] for told in at.bench.world.announcements.told] == ["Created", "Ready"]


async def test_who_does_not_lead_or_does_not_see_does_nothing_and_says_so() -> None:
    at = stage()
    await spawned(at.bench)
    at.leadership.leads = False
    assert (await at.passed(hours=1), at.reconciler.standing) == ([], "follows")
    at.leadership.leads, at.watched.real.synced = True, False
    assert (await at.passed(), at.reconciler.standing) == ([], "not_in_sync")
    at.watched.real.synced = True

    assert [verb for verb, _ in await at.passed()] == ["expire"]
    assert at.reconciler.standing == "leads"


async def test_what_is_due_by_time_alone_is_done_in_time_and_nothing_is_looked_at_before() -> None:
    at = stage()
    agent = await spawned(at.bench)
    await at.passed(minutes=29, seconds=30)
    at.watched.looked_at.clear()
    at.reconciler._follow_at = NOON + timedelta(days=1)

    assert await at.passed(seconds=29) == []
    assert at.watched.looked_at == []
    assert await at.passed(seconds=1) == [("expire", agent)]
    assert at.watched.looked_at == [ROOT.name]


async def test_a_root_that_has_changed_is_looked_at_and_no_other() -> None:
    at = stage()
    await at.passed()
    at.watched.looked_at.clear()
    at.watched.dirty.add(ROOT.name)
    await at.passed(seconds=1)

    assert at.watched.looked_at == [ROOT.name]


async def test_all_are_looked_at_once_a_minute_and_when_something_was_left_undone() -> None:
    at = stage()
    await at.passed()
    for _ in range(2):
        at.watched.looked_at.clear()
        await at.passed(minutes=1)
        assert set(at.watched.looked_at) == set(at.watched.roots())
    at.watched.looked_at.clear()
    at.bench.services.later.wanted.set()
    await at.passed(seconds=1)
    assert set(at.watched.looked_at) == set(at.watched.roots())
    assert not at.bench.services.later.wanted.is_set()


async def test_what_was_seen_long_ago_is_no_reason_to_act() -> None:
    at = stage()
    agent = await spawned(at.bench)
    at.bench.world.agents.set_ready(HOME, agent)
    at.watched.freeze()
    await retire(at.bench.services, CALLER, agent)
    await at.bench.services.later.settle()
    before = len(at.bench.audit.records)

    assert await at.passed(hours=2) == []
    assert len(at.bench.audit.records) == before


async def test_nothing_is_concluded_of_what_lives_where_nobody_looks() -> None:
    at = stage()
    agent = await spawned(at.bench)
    elsewhere = replace(at.bench.services, roots=[replace(ROOT, home="elsewhere")])
    await deleted_by_hand(at.bench, agent)
    reconciler = Reconciler(elsewhere, at.watched, at.leadership)
    await reconciler.run_pass()
    await reconciler.settle()

    assert ((await stored_as(at.bench, agent)).phase, await held(at.bench)) == ("starting", {agent})


async def test_policies_of_the_network_are_looked_at_for_evidence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    agent = await spawned(at.bench)
    monkeypatch.setattr(at.bench.world.cordon, "standing", failing(Unavailable("no answer")))

    assert await at.passed(minutes=30) == [("expire", agent)]


async def test_a_tree_goes_leaf_first() -> None:
    at = stage()
    director, lead, researcher = await line(at.bench)
    await deleted_by_hand(at.bench, director)

    assert await at.passed() == [("release", director), ("orphan", researcher), ("orphan", lead)]
    assert (await standing(at.bench), await held(at.bench)) == (set(), set())


async def test_one_that_can_not_be_removed_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    stuck, other = await spawned(at.bench), await spawned(at.bench, purpose="Another")
    expire = at.bench.world.agents.expire

    async def but_one(home: str, id_: str, uid: str) -> bool:
        if id_ == stuck:
            raise Unavailable("no answer")
        return await expire(home, id_, uid)

    monkeypatch.setattr(at.bench.world.agents, "expire", but_one)
    assert await at.passed(minutes=30) == [("expire", other)]
    monkeypatch.setattr(at.bench.world.agents, "expire", expire)
    assert await at.passed(seconds=1) == [("expire", stuck)]


async def test_what_fails_is_tried_again_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    await spawned(at.bench)
    monkeypatch.setattr(at.bench.world.agents, "expire", failing(Refused("forbidden.policy", "no")))
    await at.passed(minutes=30)
    tried: list[bool] = []
    for _ in range(8):
        before = len(at.bench.audit.records)
        await at.passed(seconds=1)
        tried.append(len(at.bench.audit.records) > before)

    assert tried == [True, False, True, False, False, False, True, False]


async def test_an_agent_that_hangs_in_its_handshake_keeps_nothing_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    hanging, old = await spawned(at.bench, lifetime_minutes=60), await spawned(at.bench, purpose="Another")
    at.bench.world.agents.set_ready(HOME, hanging)
    may_answer = asyncio.Event()

    async def never(_: object) -> Card:
        await may_answer.wait()
        raise Unavailable("no answer")

    monkeypatch.setattr(at.bench.remote_agents, "card", never)
    assert await at.reconciler.run_pass() == []
    at.bench.clock.advance(minutes=30)
    assert [(one.verb, one.id) for one in await at.reconciler.run_pass()] == [("expire", old)]
    may_answer.set()
    assert await at.reconciler.settle() == []
    assert (await stored_as(at.bench, hanging)).phase == "starting"


async def test_who_leads_no_more_stops_between_two_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    for number in range(3):
        await spawned(at.bench, purpose=f"Number {number}")
    monkeypatch.setattr(module, "AT_ONCE", 1)
    expire = at.bench.world.agents.expire

    async def and_lose(*arguments: Any) -> bool:
        at.leadership.leads = False
        return await expire(*arguments)

    monkeypatch.setattr(at.bench.world.agents, "expire", and_lose)
    assert len(await at.passed(minutes=30)) == 1
    assert len(await standing(at.bench)) == 2


async def test_without_an_audit_nothing_is_done() -> None:
    at = stage()
    agent = await spawned(at.bench)
    at.bench.audit.failing = Unavailable("disk full")
    at.bench.clock.advance(minutes=30)

    with pytest.raises(Unavailable):
        await at.reconciler.run_pass()
    assert await standing(at.bench) == {agent}
    at.bench.audit.failing = None
    assert ("expire", agent) in await at.passed(minutes=1)


async def test_two_at_once_retire_each_once_and_forget_nothing() -> None:
    setup = grove()
    stages = [stage(setup), stage(setup)]
    for at in stages:  # each step of the one may come between any two of the other
        at.reconciler = Reconciler(Process(setup.services).services, at.watched, at.leadership)
    first = [*await line(setup), await spawned(setup, purpose="Beside")]
    setup.clock.advance(minutes=30)

    for _ in range(3):
        await asyncio.gather(*(at.reconciler.run_pass() for at in stages))
        await asyncio.gather(*(at.reconciler.settle() for at in stages))
        setup.clock.advance(seconds=70)
    removals = [id_ for verb, id_ in stages[0].done() if verb in {"expire", "orphan", "release"}]
    assert sorted(removals) == sorted(first)
    assert (await standing(setup), await held(setup), setup.world.keyring.tokens) == (set(), set(), {})
    assert {(await stored_as(setup, id_)).phase for id_ in first} == {"retired"}


async def test_when_the_leader_ends_amid_a_cascade_the_other_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    leader, other = stage(setup), stage(setup)
    other.leadership.leads = False
    agents = await line(setup)
    await leader.passed()
    expire, steps = setup.world.agents.expire, iter([True])

    async def once(*arguments: Any) -> bool:
        if next(steps, False):
            return await expire(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "expire", once)
        with pytest.raises(Killed):
            await leader.passed(minutes=30)
    assert await other.passed() == []
    assert await standing(setup) == set(agents[:2])
    other.leadership.leads = True

    assert await other.passed(seconds=15) == [("expire", agents[1]), ("expire", agents[0])]
    assert [(await stored_as(setup, id_)).phase for id_ in agents] == ["retired"] * 3
    assert sorted(id_ for verb, id_ in other.done() if verb == "expire") == sorted(agents)


async def test_crashes_are_told_once_each_and_the_fifth_cuts_it_off() -> None:
    at = stage()
    agent = await spawned(at.bench)
    await at.ready(agent)
    seen: list[list[tuple[str, str]]] = []
    for crashes in (2, 3, 3, 4, 5):
        at.watched.real.crashes[agent] = crashes
        seen.append(await at.passed(minutes=1))

    assert seen == [[], [("alert", agent)], [], [("alert", agent)], [("quarantine", agent)]]
    stored = await stored_as(at.bench, agent)
    assert (stored.phase, stored.history[-1].reason) == ("quarantined", "crashes")
    told = [reason for id_, reason, _ in at.bench.world.announcements.told if id_ == agent]
    assert told == ["Created", "Ready", "Crashing", "Crashing", "Quarantined"]


async def test_that_it_crashes_is_seen_by_its_caller_and_told_once_though_the_leader_is_another() -> None:
    setup = grove()
    leader, other = stage(setup), stage(setup)
    agent = await spawned(setup)
    await leader.ready(agent)
    for at in (leader, other):
        at.watched.real.crashes[agent] = 3

    assert [await leader.passed(minutes=1), await other.passed(minutes=1)] == [[("alert", agent)], []]
    found = await get_subagent(setup.services, CALLER, agent)
    assert isinstance(found, Found)
    assert found.crashes == 3


async def test_what_could_not_be_recorded_of_crashes_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    agent = await spawned(at.bench)
    await at.ready(agent)
    at.watched.real.crashes[agent] = 3
    with monkeypatch.context() as patch:
        patch.setattr(at.bench.world.proposals, "note_crashes", failing(Unavailable("away")))
        assert await at.passed(minutes=1) == []

    assert await at.passed(minutes=1) == [("alert", agent)]


async def given(at: Stage, agent: str, **changes: Any) -> Task:
    work = task(agent=agent, agent_uid=(await agent_of(at.bench, agent)).uid, remote="remote-1")
    return await stored_task(at.bench.world.tasks, replace(work, **changes))


async def for_one_task(at: Stage, kind: str = "researcher") -> str:
    agent = await spawned(at.bench, kind)
    stored = await stored_as(at.bench, agent)
    at.bench.world.proposals._stored[agent] = replace(stored, grant=replace(stored.grant, single_task=True))
    await at.ready(agent)
    return agent


async def test_an_agent_for_one_task_is_retired_when_that_has_ended_and_its_result_is_kept() -> None:
    at = stage()
    agent = await for_one_task(at)
    task = await given(at, agent, state="completed", result="42", counted=True, ended_at=at.bench.clock.now())

    assert ("finish", agent) in await at.passed(minutes=1)
    ended = await stored_as(at.bench, agent)
    assert [(step.phase, step.reason) for step in ended.history[-2:]] == [
        ("retiring", "task_ended"),
        ("retired", "task_ended"),
    ]
    assert await at.bench.world.tasks.get(task.id) == task
    assert await held(at.bench) == set()


async def test_what_an_agent_for_one_task_has_spawned_goes_before_it() -> None:
    at = stage()
    lead = await for_one_task(at, "lead")
    child = await spawned(at.bench, parent=lead, lifetime_minutes=10)
    await given(at, lead, state="failed", counted=True, ended_at=at.bench.clock.now())

    assert await at.passed(minutes=1) == []
    assert (await stored_as(at.bench, lead)).phase == "retiring"
    assert await at.passed(seconds=1) == [("orphan", child), ("finish", lead)]
    assert await standing(at.bench) == set()


async def test_tasks_are_followed_although_nobody_asks_and_dropped_an_hour_after_their_end() -> None:
    at = stage()
    agent = await spawned(at.bench, lifetime_minutes=120)
    await at.ready(agent)
    task = await given(at, agent)
    at.bench.remote_agents._reports["remote-1"] = done = replace(await said_by(at, agent), state="completed", text="42")
    await at.passed(seconds=5)
    ended = await at.bench.world.tasks.get(task.id)
    assert ended is not None
    assert (ended.state, ended.result, ended.counted) == ("completed", done.text, True)

    assert await at.passed(minutes=59) == []
    assert await at.passed(minutes=1) == [("drop", task.id)]
    assert await at.bench.world.tasks.all() == []


async def said_by(at: Stage, agent: str) -> Any:
    address = Address(HOME, agent, (await agent_of(at.bench, agent)).uid, ROOT.virtual_user)
    return await at.bench.remote_agents.send(address, Message("id", "context", "Go"))


async def test_a_task_whose_end_is_not_counted_yet_is_not_dropped() -> None:
    at = stage()
    agent = await spawned(at.bench, lifetime_minutes=240)
    ended = at.bench.clock.now()
    task = await given(at, agent, state="completed", ended_at=ended)
    at.reconciler._follow_at = ended + timedelta(days=1)

    assert await at.passed(minutes=61) == []
    assert (await at.bench.world.tasks.get(task.id)) == task
    assert at.bench.audit.events()[-1] == ("repair.outcome", "left")


async def test_what_can_not_be_read_afresh_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    agent = await spawned(at.bench)
    with monkeypatch.context() as patch:
        patch.setattr(at.bench.world.agents, "get", failing(Unavailable("no answer")))
        assert await at.passed(minutes=30) == []
    assert await at.passed(seconds=1) == [("expire", agent)]


async def test_a_drop_of_a_task_that_another_has_dropped_is_left() -> None:
    at = stage()
    agent = await spawned(at.bench, lifetime_minutes=240)
    task = await given(at, agent, state="completed", counted=True, ended_at=at.bench.clock.now())
    at.watched.freeze()
    await at.bench.world.tasks.delete(task)

    assert await at.passed(minutes=60) == []


async def test_tasks_are_followed_by_who_leads_and_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    agent = await spawned(at.bench)
    await given(at, agent)
    looked: list[str] = []

    async def look(_: object, remote: str) -> Report:
        looked.append(remote)
        raise Unavailable("no answer")

    monkeypatch.setattr(at.bench.remote_agents, "look", look)
    await at.passed()
    assert looked == ["remote-1"]
    leads = iter([True])

    async def held_once() -> bool:
        return next(leads, False)

    monkeypatch.setattr(at.leadership, "held", held_once)
    await at.passed(seconds=5)
    assert looked == ["remote-1"]


async def test_what_was_done_beside_a_failure_is_told_by_the_next_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    agent = await spawned(at.bench)
    with monkeypatch.context() as patch:
        patch.setattr(module, "clear", failing(RuntimeError("odd")))
        at.bench.clock.advance(minutes=30)
        with pytest.raises(RuntimeError):
            await at.reconciler.run_pass()
    assert await standing(at.bench) == set()

    assert await at.passed() == [("expire", agent)]
    assert await at.passed() == []


async def test_what_takes_longer_than_a_pass_is_not_begun_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    begun: list[None] = []
    may_end = asyncio.Event()

    async def slowly(*_: object) -> list[Action]:
        begun.append(None)
        await may_end.wait()
        return []

    monkeypatch.setattr(module, "clear", slowly)
    for _ in range(3):
        await at.reconciler.run_pass()
        at.bench.clock.advance(minutes=1)
    assert len(begun) == 1
    may_end.set()
    await at.passed()
    await at.passed(minutes=1)
    assert len(begun) == 2


async def test_whoever_stops_lets_another_lead_at_once() -> None:
    at = stage()
    await at.reconciler.stop()

    assert at.leadership.releases == 1


async def test_what_does_not_end_in_time_is_left_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    at = stage()
    agent = await spawned(at.bench)
    at.bench.world.agents.set_ready(HOME, agent)
    monkeypatch.setattr(module, "ENDS_WITHIN_SECONDS", 0.01)

    async def never(_: object) -> Card:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(at.bench.remote_agents, "card", never)
    await at.reconciler.run_pass()
    await at.reconciler.stop()
    assert at.leadership.releases == 1

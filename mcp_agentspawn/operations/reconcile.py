"""Keep the world as it should be: plan by what was watched, act on what was read afresh.

One replica does so at a time, the one that leads; that saves work, and nothing rests on it. A root is looked at when
something of it has changed, when time makes something due, and once a minute.
"""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Literal

from mcp_agentspawn.core.due import next_due
from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.expiry import Action, Seen, plan
from mcp_agentspawn.core.watching import Leadership, Observer
from mcp_agentspawn.operations.acting import act
from mcp_agentspawn.operations.afresh import in_reach
from mcp_agentspawn.operations.clearing import clear
from mcp_agentspawn.operations.following import refresh_open
from mcp_agentspawn.operations.heartbeat import Heartbeats
from mcp_agentspawn.operations.likeness import Likeness
from mcp_agentspawn.operations.patience import Patience
from mcp_agentspawn.operations.services import Services

AT_ONCE = 16
"""Actions at a time, over all roots; asking agents for their cards is slow, and counted by itself."""
ROOTS_AT_ONCE = 4
EVERYTHING_EVERY = timedelta(minutes=1)
LOOK_AGAIN_AFTER = timedelta(seconds=1)
FOLLOW_EVERY = timedelta(seconds=5)
SETTLES_WITHIN_SECONDS = 0.25
ENDS_WITHIN_SECONDS = 5.0
LONG_AGO = datetime.min.replace(tzinfo=UTC)

Standing = Literal["leads", "follows", "not_in_sync"]
Lane = Literal["change", "greet", "follow", "clear"]
"""What is done beside each other, so that nothing slow keeps the rest waiting."""


class Reconciler:
    """What one replica does about all roots. What it remembers saves work and can be lost at any time."""

    def __init__(self, services: Services, observer: Observer, leadership: Leadership) -> None:
        self.standing: Standing = "follows"
        self._services = services
        self._observer = observer
        self._leadership = leadership
        self._patience = Patience()
        self._likeness = Likeness()
        self._hearts = Heartbeats(services)
        self._due: dict[str, datetime] = {}
        self._done: list[Action] = []
        self._running: dict[tuple[Lane, str], asyncio.Task[Sequence[Action]]] = {}
        self._turns = {lane: asyncio.Semaphore(AT_ONCE) for lane in ("change", "greet")}
        self._roots = {lane: asyncio.Semaphore(ROOTS_AT_ONCE) for lane in ("change", "greet")}
        self._everything_at = self._follow_at = self._clear_at = LONG_AGO

    async def run_pass(self) -> Sequence[Action]:
        """Begin what is due; returns what was done since the last pass. What takes long goes on meanwhile.

        Raises `Unavailable` when the audit could not be written: nothing was changed then.
        """
        if not await self._leadership.held():
            self.standing, self._everything_at = "follows", LONG_AGO
        elif not self._observer.in_sync():
            self.standing, self._everything_at = "not_in_sync", LONG_AGO
        else:
            self.standing = "leads"
            self._begin_all(self._services.clock.now())
        return await self._finished()

    async def settle(self) -> Sequence[Action]:
        """Wait until all that was begun has ended; returns what was done since the last pass."""
        await self._hearts.settle()
        while pending := [task for task in self._running.values() if not task.done()]:
            await asyncio.wait(pending)
        return await self._finished()

    async def stop(self) -> None:
        """Finish what was begun, and what it left to be done later, and let another replica lead at once."""
        try:
            async with asyncio.timeout(ENDS_WITHIN_SECONDS):
                await self.settle()
                await self._services.later.settle()
        except (TimeoutError, Upstream):  # another one finds what is left
            left = [*self._running.values(), *self._hearts.asking()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        finally:
            await self._leadership.release()

    def _begin_all(self, now: datetime) -> None:
        if self._services.later.wanted.is_set() or self._everything_at <= now:
            self._services.later.wanted.clear()
            self._everything_at = now + EVERYTHING_EVERY
            self._look_at_all(now)
        else:
            due = {root for root, moment in self._due.items() if moment <= now}
            for root in sorted(due | set(self._observer.take_changed())):
                self._look_at(root, self._seen(root), now)
        self._hearts.beat(now)
        if self._follow_at <= now:
            self._follow_at = now + FOLLOW_EVERY
            self._begin("follow", "", self._follow())

    def _look_at_all(self, now: datetime) -> None:
        self._observer.take_changed()
        worlds = {root: self._seen(root) for root in sorted(self._observer.roots())}
        self._due = {}
        for root, seen in worlds.items():
            self._look_at(root, seen, now)
        self._hearts.know(now, worlds.values())
        self._patience.forget(now)
        self._likeness.keep(worlds.values())
        if self._clear_at <= now:
            self._clear_at = now + EVERYTHING_EVERY
            accounts = {root: seen.ledger.account for root, seen in worlds.items()}
            self._begin("clear", "", clear(self._services, accounts))

    def _seen(self, root: str) -> Seen:
        return self._likeness.applied(in_reach(self._services, self._observer.seen(root)))

    def _look_at(self, root: str, seen: Seen, now: datetime) -> None:
        planned = plan(now, seen)
        moment = now + LOOK_AGAIN_AFTER if planned else next_due(now, seen)
        self._due.pop(root, None)
        if moment is not None:
            self._due[root] = moment
        for lane in ("change", "greet"):
            if (lane, root) not in self._running:
                of_lane = [action for action in planned if (action.verb == "greet") == (lane == "greet")]
                if ready := self._patience.of(of_lane, now):
                    self._begin(lane, root, self._act(lane, seen, ready))

    async def _act(self, lane: Lane, seen: Seen, actions: Collection[Action]) -> Sequence[Action]:
        async with self._roots[lane]:
            return await act(
                self._services,
                seen,
                actions,
                at_once=AT_ONCE,
                turns=self._turns[lane],
                likeness=self._likeness,
                may_go_on=self._leadership.held,
            )

    async def _follow(self) -> Sequence[Action]:
        """Follow up tasks, whether or not somebody asks for them. What was watched of them is not all of them."""
        seen = [self._observer.seen(root).tasks for root in self._observer.roots()]
        followed = in_turns([task.id for task in tasks if not task.ended or not task.counted] for tasks in seen)
        for failure in await refresh_open(self._services, followed, self._leadership.held):
            raise failure
        return []

    def _begin(self, lane: Lane, root: str, work: Coroutine[None, None, Sequence[Action]]) -> None:
        if (lane, root) in self._running:
            work.close()
            return
        self._running[lane, root] = asyncio.create_task(work)

    async def _finished(self) -> Sequence[Action]:
        """What was done by all that has ended; of what failed the first failure is raised, once.

        What was done beside a failure is told the next time.
        """
        if changes := [task for (lane, _), task in self._running.items() if lane in {"change", "clear"}]:
            await asyncio.wait(changes, timeout=SETTLES_WITHIN_SECONDS)
        ended = {key: task for key, task in self._running.items() if task.done()}
        for key in ended:
            del self._running[key]
        failures = [error for task in ended.values() if (error := task.exception()) is not None]
        self._done += (action for task in ended.values() if task.exception() is None for action in task.result())
        if failures:
            raise failures[0]
        done, self._done = self._done, []
        return done


def in_turns(of_roots: Iterable[Sequence[str]]) -> Sequence[str]:
    """One of each root, then the next of each: a root with many that take long keeps nobody else's waiting."""
    return [id_ for each in zip_longest(*of_roots) for id_ in each if id_ is not None]

"""A failure that nobody foresaw, about one subagent or one task, keeps none of the others waiting, and is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mcp_agentspawn.adapters.memory.observer import MemoryObserver
from mcp_agentspawn.adapters.memory.watching import MemoryLeadership
from mcp_agentspawn.core.expiry import Action
from mcp_agentspawn.core.model import Phase, Proposal
from mcp_agentspawn.operations.reconcile import Reconciler
from tests.builders import Bench, bench
from tests.operations.trees import grove, spawned, standing
from tests.operations.work import DONE, given, report, stored, worker


def reconciler_of(setup: Bench) -> Reconciler:
    world = setup.world
    observer = MemoryObserver(world.roots, world.agents, world.proposals, world.ledgers, world.tasks)
    return Reconciler(setup.services, observer, MemoryLeadership())


async def passed(reconciler: Reconciler) -> Sequence[Action]:
    return [*await reconciler.run_pass(), *await reconciler.settle()]


async def test_what_is_past_its_time_goes_although_another_can_not_be_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    odd = await spawned(setup, lifetime_minutes=240)
    await spawned(setup, purpose="Other", lifetime_minutes=30)
    stored_odd = await setup.world.proposals.get(odd)
    assert stored_odd is not None
    setup.world.proposals._stored[odd] = replace(stored_odd, phase="proposed")
    mark = setup.world.proposals.mark

    async def marked(proposal: Proposal, phase: Phase, *, agent_uid: str = "", reason: str = "") -> Proposal:
        if proposal.id == odd:
            raise RuntimeError("odd")
        return await mark(proposal, phase, agent_uid=agent_uid, reason=reason)

    monkeypatch.setattr(setup.world.proposals, "mark", marked)
    setup.clock.advance(minutes=60)
    with pytest.raises(RuntimeError, match="odd"):
        await passed(reconciler_of(setup))

    assert await standing(setup) == {odd}


async def test_tasks_are_followed_although_one_fails_oddly() -> None:
    setup = bench()
    first, second = await worker(setup, "one"), await worker(setup, "two")
    setup.remote_agents.script = {first: [report()], second: [report(), DONE]}
    await given(setup, first)
    task = (await given(setup, second)).task
    setup.remote_agents.failing[first] = RuntimeError("odd")
    with pytest.raises(RuntimeError, match="odd"):
        await passed(reconciler_of(setup))

    assert (await stored(setup, task)).state == "completed"


async def test_whoever_ends_finishes_what_a_pass_has_left_for_later() -> None:
    setup = bench()
    told: list[str] = []

    async def tell() -> None:
        await asyncio.sleep(0)
        told.append("told")

    setup.services.later.start(tell())
    await reconciler_of(setup).stop()

    assert told == ["told"]

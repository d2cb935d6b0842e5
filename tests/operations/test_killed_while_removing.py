"""A server that is killed, or not heard, at any step of a removal: another one completes it, and nothing is left."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.expiry import Action
from mcp_agentspawn.operations.repair import repair
from tests.builders import Bench, stored_task, task
from tests.operations.faulty_ports import Process
from tests.operations.trees import HOME, agent_of, deleted_by_hand, grove, held, line, spawned, standing, stored_as

PASSES = 4
STEPS = 120


async def expired(setup: Bench) -> tuple[str, ...]:
    agents = await line(setup)
    setup.clock.advance(minutes=30)
    return agents


async def orphaned(setup: Bench) -> tuple[str, ...]:
    agents = await line(setup)
    await deleted_by_hand(setup, agents[0])
    return agents


async def finished(setup: Bench) -> tuple[str, ...]:
    """A lead for one task, which has ended, and what it has spawned."""
    lead = await spawned(setup, "lead")
    child = await spawned(setup, parent=lead)
    stored = await stored_as(setup, lead)
    setup.world.proposals._stored[lead] = replace(stored, grant=replace(stored.grant, single_task=True))
    work = task(agent=lead, agent_uid=(await agent_of(setup, lead)).uid, template="lead")
    ended = replace(work, state="completed", counted=True, ended_at=setup.clock.now())
    await stored_task(setup.world.tasks, ended)
    return lead, child


async def quarantined(setup: Bench) -> tuple[str, ...]:
    """Evidence whose time is over."""
    agent = await spawned(setup)
    await setup.world.proposals.mark(await stored_as(setup, agent), "quarantined", reason="drift")
    await repair(setup.services)
    setup.clock.advance(minutes=30)
    return (agent,)


async def nothing_is_left_of(setup: Bench, agents: tuple[str, ...]) -> bool:
    left = (
        await standing(setup),
        await held(setup),
        setup.world.keyring.tokens,
        await setup.world.cordon.standing(HOME),
    )
    phases = {(await stored_as(setup, id_)).phase for id_ in agents}
    return left == (set(), set(), {}, {}) and phases == {"retired"}


async def completed(setup: Bench) -> list[Action]:
    return [action for _ in range(PASSES) for action in await repair(setup.services)]


@pytest.mark.parametrize("begun", [expired, orphaned, finished, quarantined])
@pytest.mark.parametrize("fault", ["killed_before", "killed_after", "unsaid", "refused"])
async def test_another_one_completes_what_was_begun(begun: Any, fault: Any) -> None:
    for step in range(STEPS):
        setup = grove()
        agents = await begun(setup)
        process = Process(setup.services)
        await process.do(repair(process.services), {("call", step): fault})
        reached = process.counted["call"] > step
        await completed(setup)
        assert await nothing_is_left_of(setup, agents), step
        if not reached:
            return
    raise AssertionError("it never ended")

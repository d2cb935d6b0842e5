"""The server is killed while subagents work, or while a tree is taken down; started again, it goes on where it was."""

import asyncio
from contextlib import suppress

import pytest

from tests.agents.village import Village
from tests.localplane.waiting import until

pytestmark = pytest.mark.timeout(120)


async def test_the_handle_of_a_task_outlives_the_server(village: Village) -> None:
    village.models.minds["Think"] = lambda _turn: None
    agent = await village.spawn()
    begun = await village.delegate(agent, "Think about it.")
    await until(lambda: village.models.held > 0)
    village.server.kill()
    village.models.release()
    await village.server.start()

    ended = await village.ended(begun["task"])
    assert (ended["state"], "At last." in ended["result"]) == ("completed", True)
    again = await village.delegate(agent, "Think about it.")
    assert (again["task"], again["state"]) == (begun["task"], "completed")


async def test_a_message_that_was_on_its_way_when_the_server_was_killed_is_given_once(village: Village) -> None:
    agent = await village.spawn()
    village.models.minds["Think"] = lambda _turn: None
    calling = asyncio.create_task(village.delegate(agent, "Think once.", wait_seconds=20))
    await until(lambda: village.models.held > 0)
    village.server.kill()
    with suppress(Exception):
        await calling
    await village.server.start()
    again = await village.delegate(agent, "Think once.")
    village.models.release()

    assert (await village.ended(again["task"]))["state"] == "completed"
    assert len([turn for turn in village.models.turns if turn.asked == "Think once."]) == 1


async def test_a_tree_that_was_being_taken_down_when_the_server_was_killed_is_taken_down(village: Village) -> None:
    lead = await village.lead()
    await village.ready(lead.agent)
    below = [await lead.spawn(f"Part {number}", lifetime_minutes=5) for number in range(3)]
    retiring = asyncio.create_task(village.caller.retire(lead.agent))

    async def begun() -> bool:
        return len(await village.agents()) < 1 + len(below)

    await until(begun)
    village.server.kill()
    with suppress(Exception):
        await retiring
    await village.server.start()

    async def nothing_is_left() -> bool:
        return await village.agents() == [] and await village.live() == []

    await until(nothing_is_left)

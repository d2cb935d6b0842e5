"""Who is left alone when it fails, and that a silent agent keeps nobody from another."""

import asyncio
from typing import Any

import pytest

from mcp_agentspawn.adapters.a2a import A2aAgents
from mcp_agentspawn.adapters.a2a import agents as module
from mcp_agentspawn.adapters.a2a.exchange import LARGE_BYTES, MOST_LARGE_AT_ONCE
from mcp_agentspawn.adapters.a2a.patience import MOST_OF_A_ROOT, MOST_REMEMBERED, Memory
from mcp_agentspawn.core.delegation import Address, Report
from mcp_agentspawn.core.errors import Unavailable
from tests.adapters.a2a.hostile import (
    HERE,
    Agent,
    Connection,
    agent,
    answering,
    artifact,
    error,
    resetting,
    silent,
    talking,
    task,
    text,
    told,
)
from tests.localplane.waiting import until


async def given_up(agents: A2aAgents) -> None:
    """It fails so often that it is left alone."""
    for _ in range(5):
        with pytest.raises(Unavailable):
            await agents.look(HERE, "t-1")


async def waiting(agents: A2aAgents, stranger: Agent) -> "asyncio.Task[Report]":
    """Somebody who asks it, and to whom it says nothing."""
    stranger.behaviours = [silent]
    before = len(stranger.requests)
    asking = asyncio.create_task(agents.look(HERE, "t-1"))
    await until(lambda: len(stranger.requests) > before)
    return asking


async def test_an_agent_that_fails_five_times_in_a_row_is_left_alone_and_then_tried_by_one() -> None:
    now = 100.0
    async with agent(resetting) as stranger, talking(stranger, now=lambda: now) as agents:

        async def asked() -> int:
            """How many requests one call came to."""
            before = len(stranger.requests)
            with pytest.raises(Unavailable):
                await agents.look(HERE, "t-1")
            return len(stranger.requests) - before

        assert [await asked() for _ in range(6)] == [3, 3, 3, 3, 3, 0]
        now += 9.9
        assert await asked() == 0
        now += 0.1
        assert [await asked() for _ in range(2)] == [3, 0]
        now += 19.9
        assert await asked() == 0
        now += 0.1
        assert await asked() == 3
        stranger.behaviours = [answering(task())]
        now += 60
        assert (await agents.look(HERE, "t-1")).state == "completed"
        stranger.behaviours = [resetting]
        assert [await asked() for _ in range(6)] == [3, 3, 3, 3, 3, 0]


async def test_whoever_tries_an_agent_again_is_alone_and_makes_room_when_he_leaves() -> None:
    now = 100.0
    async with agent(resetting) as stranger, talking(stranger, now=lambda: now) as agents:
        await given_up(agents)
        now += 10
        trying = await waiting(agents, stranger)
        with pytest.raises(Unavailable):
            await agents.look(HERE, "t-1")

        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        stranger.behaviours = [answering(task())]

        assert (await agents.look(HERE, "t-1")).state == "completed"


async def test_who_leaves_that_has_asked_before_makes_no_room_for_a_second_one() -> None:
    now = 100.0
    async with agent(silent) as stranger, talking(stranger, now=lambda: now) as agents:
        early = asyncio.create_task(agents.look(HERE, "t-1"))
        await until(lambda: len(stranger.requests) == 1)
        stranger.behaviours = [resetting]
        await given_up(agents)
        now += 10
        before = len(stranger.requests)
        trying = await waiting(agents, stranger)

        early.cancel()
        await asyncio.gather(early, return_exceptions=True)
        stranger.behaviours = [answering(task())]

        with pytest.raises(Unavailable):
            await agents.look(HERE, "t-1")
        assert len(stranger.requests) == before + 1
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)


@pytest.mark.parametrize(
    "answer", [answering(error(-32001)), answering(b"no JSON"), answering(b"", 404), answering(b"", 503)]
)
async def test_an_agent_that_answers_at_all_is_not_left_alone(answer: Any) -> None:
    async with agent(answer) as stranger, talking(stranger) as agents:
        for _ in range(10):
            before = len(stranger.requests)
            with pytest.raises(Exception, match="agent"):
                await agents.look(HERE, "t-1")
            assert len(stranger.requests) > before


async def test_an_agent_made_anew_is_not_blamed_for_the_one_before() -> None:
    async with agent(resetting) as stranger, talking(stranger) as agents:
        await given_up(agents)
        stranger.behaviours = [answering(task())]

        anew = Address(HERE.home, HERE.agent, "uid-2", HERE.user)
        assert (await agents.look(anew, "t-1")).state == "completed"


async def test_a_silent_agent_keeps_nobody_from_another() -> None:
    async with agent(silent) as mute, agent(answering(task())) as lively:
        port = {"mute-1": mute.url, "lively-1": lively.url}
        async with A2aAgents("http://127.0.0.1:{name}/", "0.3") as agents:

            def at(name: str) -> Address:
                return Address("subagents", port[name].rsplit(":", 1)[1].strip("/"), name, "user")

            waiting_ = [asyncio.create_task(agents.look(at("mute-1"), "t-1")) for _ in range(64)]
            await until(lambda: len(mute.requests) == 8)
            async with asyncio.timeout(2):
                report = await agents.look(at("lively-1"), "t-1")
            assert (report.state, len(mute.requests)) == ("completed", 8)
            for task_ in waiting_:
                task_.cancel()
            ended = await asyncio.gather(*waiting_, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)


async def test_silent_agents_of_one_root_keep_nobody_from_those_of_another() -> None:
    async with agent(silent) as mute, talking(mute) as agents:

        def look(uid: str, user: str) -> asyncio.Task[Report]:
            return asyncio.create_task(agents.look(Address("subagents", "helper-1", uid, user), "t-1"))

        waiting_ = [look(f"uid-{number % 10}", "root-1") for number in range(80)]
        await until(lambda: len(mute.requests) == MOST_OF_A_ROOT)
        mute.behaviours = [answering(task())]
        async with asyncio.timeout(2):
            assert (await look("uid-of-another", "root-2")).state == "completed"
        assert len(mute.requests) == MOST_OF_A_ROOT + 1
        for task_ in waiting_:
            task_.cancel()
        await asyncio.gather(*waiting_, return_exceptions=True)


async def test_who_waits_in_vain_for_a_place_is_told_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SENDING", module.SENDING._replace(seconds=0.1))
    async with agent(silent) as mute, talking(mute) as agents:
        looking = [asyncio.create_task(agents.look(HERE, "t-1")) for _ in range(8)]
        await until(lambda: len(mute.requests) == 8)
        with pytest.raises(Unavailable):
            await agents.send(HERE, told())

        assert len(mute.requests) == 8
        for task_ in looking:
            task_.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def half_of_much(connection: Connection) -> None:
    """More than a large answer's first part, and then nothing."""
    head = b"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n"
    await connection.write(head + b" " * (2 * LARGE_BYTES))
    await silent(connection)


async def test_large_answers_are_few_at_a_time_and_one_of_each_root_and_small_ones_pass_them() -> None:
    def at(name: str, user: str = "user") -> Address:
        return Address("subagents", "helper-1", name, user)

    async with agent(half_of_much) as slow, talking(slow) as agents:
        large = agents._exchange._large
        waiting_ = [asyncio.create_task(agents.look(at(f"uid-{n}"), "t-1")) for n in range(8)]
        await until(lambda: len(slow.requests) == 8 and large._value == MOST_LARGE_AT_ONCE - 1)
        others = [at(f"uid-{number}", f"user-{number}") for number in range(10, 17)]
        waiting_ += [asyncio.create_task(agents.look(other, "t-1")) for other in others]
        await until(large.locked)

        slow.behaviours = [answering(task(artifacts=[artifact(text("x" * 100_000))]))]
        assert (await agents.look(at("uid-9"), "t-1")).state == "completed"
        for task_ in waiting_:
            task_.cancel()
        await asyncio.gather(*waiting_, return_exceptions=True)
        assert large._value == MOST_LARGE_AT_ONCE


def test_agents_that_were_not_asked_for_long_are_forgotten() -> None:
    memory = Memory(lambda: 0.0)
    first = memory.of("first")
    for number in range(MOST_REMEMBERED - 1):
        memory.of(number)
    assert memory.of("first") is first

    for number in range(MOST_REMEMBERED + 1):
        memory.shared_by(f"root-{number}")
    assert len(memory._shared) == MOST_REMEMBERED

    memory.of("another")
    memory.of(1)
    assert memory.of("first") is first
    assert len(memory._known) == MOST_REMEMBERED

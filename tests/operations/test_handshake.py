"""Is an agent what was approved? Asked when it has started, and again and again while it is ready."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.delegation import Card
from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable
from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.operations import heartbeat
from mcp_agentspawn.operations.handshake import ask_card, greet
from mcp_agentspawn.operations.heartbeat import EVERY, MISSES, MOST_A_SECOND, Heartbeats
from mcp_agentspawn.operations.repair import read_all
from tests.builders import SOME_IMAGE, Bench, bench
from tests.operations.doubles import failing
from tests.operations.trees import HOME, agent_of, spawned, stored_as


async def started(setup: Bench, **changes: Any) -> tuple[Subagent, Proposal]:
    agent = await spawned(setup, **changes)
    setup.world.agents.set_ready(HOME, agent)
    return await agent_of(setup, agent), await stored_as(setup, agent)


async def greeted(setup: Bench) -> Proposal:
    return await greet(setup.services, *await started(setup))


async def test_an_agent_with_the_card_that_was_approved_is_ready() -> None:
    setup = bench()
    marked = await greeted(setup)

    assert (marked.phase, marked.history[-1].reason) == ("ready", "card")
    assert [event for event, _ in setup.audit.events()[-2:]] == ["handshake.intent", "handshake.outcome"]


@pytest.mark.parametrize(
    "card",
    [
        Card("another", ("research",)),
        Card("its own", ()),
        Card("its own", ("research", "admin")),
        Card("its own", ("research", "research")),
        Card("its own", ("other",)),
    ],
)
async def test_an_agent_with_another_card_goes_into_quarantine(card: Card) -> None:
    setup = bench()
    agent, stored = await started(setup)
    name = agent.id.replace("-", "_") if card.name == "its own" else card.name
    setup.remote_agents.cards[agent.id] = replace(card, name=name)
    marked = await greet(setup.services, agent, stored)

    assert (marked.phase, marked.history[-1].reason) == ("quarantined", "card")
    assert set(await setup.world.cordon.standing(HOME)) == {agent.id}


@pytest.mark.parametrize("error", [Unavailable("no answer"), Refused("unreadable", "no card")])
async def test_an_agent_that_does_not_answer_stays_as_it_was_and_nothing_is_recorded(error: Exception) -> None:
    setup = bench()
    agent, stored = await started(setup)
    setup.remote_agents.failing[agent.id] = error
    written = len(setup.audit.records)

    assert await greet(setup.services, agent, stored) == stored
    assert len(setup.audit.records) == written


async def test_what_another_version_approved_can_not_be_compared_and_is_left_as_it_is() -> None:
    setup = bench()
    agent, stored = await started(setup)

    assert await ask_card(setup.services, agent, replace(stored, manifest='{"kind": "Other"}')) == "silent"


async def test_of_an_image_it_is_enough_that_it_answers() -> None:
    setup = bench()
    agent, stored = await started(setup)
    kind = setup.services.kind
    instructed = kind.read(json.loads(stored.manifest))
    image = replace(instructed, image=SOME_IMAGE, instructions="", model="", tools=(), skills=(), compaction=None)
    setup.remote_agents.cards[agent.id] = Card("Anything", ("anything",))

    assert await ask_card(setup.services, agent, replace(stored, manifest=canonical(kind.manifest(image)))) == "same"


async def test_two_who_greet_at_once_agree() -> None:
    setup = bench()
    agent, stored = await started(setup)
    both = await asyncio.gather(*(greet(setup.services, agent, stored) for _ in range(2)))

    assert [marked.phase for marked in both] == ["ready", "ready"]
    assert [event for event, _ in setup.audit.events()].count("handshake.outcome") == 1


async def test_one_that_is_forgotten_while_it_is_greeted_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent, stored = await started(setup)
    monkeypatch.setattr(setup.world.proposals, "mark", failing(Conflict("changed")))
    await setup.world.proposals.delete(stored)

    assert await greet(setup.services, agent, stored) == stored


async def hearts(setup: Bench, chance: float = 0.0) -> Heartbeats:
    """All that are ready, whose turn has come at this chance."""
    asked = Heartbeats(setup.services, lambda: chance)
    asked.know(setup.clock.now(), await watched(setup))
    return asked


async def watched(setup: Bench) -> list[Seen]:
    return list(await read_all(setup.services))


async def beaten(setup: Bench, asked: Heartbeats, **time: float) -> None:
    setup.clock.advance(**time)
    asked.beat(setup.clock.now())
    await asked.settle()
    await setup.services.later.settle()


async def test_an_agent_whose_card_changes_while_it_is_ready_goes_into_quarantine() -> None:
    setup = bench()
    agent = (await greeted(setup)).id
    asked = await hearts(setup)
    await beaten(setup, asked)
    assert (await stored_as(setup, agent)).phase == "ready"

    setup.remote_agents.cards[agent] = Card("another")
    await beaten(setup, asked, minutes=4)
    assert (await stored_as(setup, agent)).phase == "quarantined"
    await beaten(setup, asked, minutes=4)


async def test_one_that_misses_three_heartbeats_is_told_of_once_until_it_answers_again() -> None:
    setup = bench()
    agent = (await greeted(setup)).id
    asked = await hearts(setup)
    told: list[int] = []
    for answers in (False, False, False, False, True, False, False, False):
        setup.remote_agents.failing = {} if answers else {agent: Unavailable("no answer")}
        await beaten(setup, asked, minutes=5)
        told.append([record.event for record in setup.audit.records].count("agent.unresponsive"))

    assert MISSES == 3
    assert told == [0, 0, 1, 1, 1, 1, 1, 2]
    assert [reason for _, reason, _ in setup.world.announcements.told][2:] == ["Unresponsive"] * 2


async def test_only_what_is_ready_is_asked_and_only_when_its_turn_has_come() -> None:
    setup = bench()
    agent = (await greeted(setup)).id
    other = (await started(setup, purpose="Not greeted"))[0].id
    setup.remote_agents.cards[other] = Card("another")
    asked = await hearts(setup, chance=0.5)
    setup.remote_agents.cards[agent] = Card("another")
    await beaten(setup, asked, seconds=EVERY.total_seconds() / 2 - 1)
    assert (await stored_as(setup, agent)).phase == "ready"

    await beaten(setup, asked, seconds=1)
    assert (await stored_as(setup, agent)).phase == "quarantined"
    assert [known.agent.id for known in asked._pulses.values()] == [agent]


async def test_one_that_is_no_longer_ready_is_not_asked() -> None:
    setup = bench()
    agent = (await greeted(setup)).id
    asked = await hearts(setup)
    await setup.world.proposals.mark(await stored_as(setup, agent), "retiring")
    setup.remote_agents.cards[agent] = Card("another")
    await beaten(setup, asked)
    assert (await stored_as(setup, agent)).phase == "retiring"

    asked.know(setup.clock.now(), await watched(setup))
    assert asked._pulses == {}


async def test_agents_are_asked_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench(
        quota={"live_per_parent": 50, "live_per_root": 50, "open_proposals": 50}, rate={"changes_per_minute": 99}
    )
    for number in range(MOST_A_SECOND + 3):
        await greet(setup.services, *await started(setup, purpose=f"Number {number}"))
    asked, begun, go_on = await hearts(setup), [], asyncio.Event()

    async def slowly(at: Any) -> Card:
        begun.append(at.agent)
        await go_on.wait()
        raise Unavailable("no answer")

    monkeypatch.setattr(setup.remote_agents, "card", slowly)
    counts: list[int] = []
    for seconds in (0, 0, 1):
        setup.clock.advance(seconds=seconds)
        asked.beat(setup.clock.now())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        counts.append(len(begun))
    assert counts == [MOST_A_SECOND, MOST_A_SECOND, MOST_A_SECOND + 3]
    monkeypatch.setattr(heartbeat, "MOST_AT_ONCE", len(begun))
    full = len(begun)
    setup.clock.advance(minutes=6)
    asked.beat(setup.clock.now())
    await asyncio.sleep(0)
    assert len(begun) == full
    go_on.set()
    await asked.settle()


async def test_a_heartbeat_that_can_not_be_read_or_recorded_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = (await greeted(setup)).id
    asked = await hearts(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "get", failing(Unavailable("no answer")))
        await beaten(setup, asked)
    setup.remote_agents.cards[agent] = Card("another")
    await beaten(setup, asked, minutes=5)

    assert (await stored_as(setup, agent)).phase == "quarantined"

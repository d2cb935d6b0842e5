"""An agent that differs by a later schema's defaults alone is what was approved, in all that follows from it."""

from dataclasses import dataclass
from typing import Any

import pytest

from mcp_agentspawn.adapters.memory.observer import MemoryObserver
from mcp_agentspawn.adapters.memory.watching import MemoryLeadership
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.operations.likeness import holds
from mcp_agentspawn.operations.reconcile import Reconciler
from tests.builders import Bench
from tests.operations.doubles import failing
from tests.operations.trees import HOME, agent_of, deleted_by_hand, grove, repaired, spawned, stored_as

DEFAULT = {"allowedNamespaces": {"from": "Same"}}


async def differing(setup: Bench, **changes: Any) -> str:
    """One that has started, and reads otherwise than it was made."""
    agent = await spawned(setup, lifetime_minutes=120)
    setup.world.agents.set_ready(HOME, agent)
    card = setup.services.kind.card(setup.services.kind.read((await agent_of(setup, agent)).manifest))
    assert card is not None
    setup.remote_agents.cards[agent] = card
    alter(setup, agent, **changes)
    return agent


def alter(setup: Bench, agent: str, **changes: Any) -> None:
    stands = setup.world.agents._objects[HOME, agent]
    stands["spec"] = {**stands["spec"], **changes}


async def later() -> str:
    return "sha256:later"


@dataclass
class Watching:
    """A server that watches a world, in which `crashes` are settable."""

    setup: Bench
    reconciler: Reconciler
    crashes: dict[str, int]

    async def passed(self, **time: float) -> list[tuple[str, str]]:
        """What one more pass did, this much later."""
        self.setup.clock.advance(**time)
        done = [*await self.reconciler.run_pass(), *await self.reconciler.settle()]
        return [(action.verb, action.id) for action in done]


def watching(setup: Bench) -> Watching:
    world = setup.world
    observer = MemoryObserver(world.roots, world.agents, world.proposals, world.ledgers, world.tasks)
    return Watching(setup, Reconciler(setup.services, observer, MemoryLeadership()), observer.crashes)


async def filled_in(monkeypatch: pytest.MonkeyPatch) -> tuple[Watching, str]:
    """An agent that differs by what a later schema fills in, and a server that watches it."""
    setup = grove()
    agent = await differing(setup, **DEFAULT)
    monkeypatch.setattr(setup.world.inventory, "schema_hash", later)
    return watching(setup), agent


async def test_what_a_later_schema_fills_in_is_no_difference_and_what_it_does_not_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    filled_in = await differing(setup, **DEFAULT)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.inventory, "schema_hash", later)
        assert await repaired(setup) == [("greet", filled_in)]
        assert await repaired(setup) == []
    assert await repaired(setup) == [("quarantine", filled_in)]


async def test_whatever_the_schema_an_agent_that_was_altered_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    agent = await differing(setup, description="Something else")
    monkeypatch.setattr(setup.world.inventory, "schema_hash", later)

    assert await repaired(setup) == [("quarantine", agent)]


async def test_one_that_a_later_schema_has_filled_in_becomes_ready_and_is_cut_off_when_it_crashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at, agent = await filled_in(monkeypatch)
    assert await at.passed() == [("greet", agent)]
    for crashes, verb in ((3, "alert"), (5, "quarantine")):
        at.crashes[agent] = crashes
        assert await at.passed(seconds=1) == [(verb, agent)]

    history = [(step.phase, step.reason) for step in (await stored_as(at.setup, agent)).history]
    assert history == [("starting", ""), ("ready", "card"), ("quarantined", "crashes")]


async def test_one_of_which_it_can_not_be_said_why_it_differs_is_left_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    agent = await differing(setup, **DEFAULT)
    at = watching(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.inventory, "schema_hash", failing(Unavailable("no answer")))
        assert await at.passed() == []
        assert await repaired(setup) == []
    assert (await stored_as(setup, agent)).phase == "starting"
    monkeypatch.setattr(setup.world.inventory, "schema_hash", later)
    assert await at.passed(seconds=1) == [("greet", agent)]


async def test_one_that_was_found_to_be_the_same_is_not_asked_about_again_until_it_differs_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at, agent = await filled_in(monkeypatch)
    await at.passed()
    with monkeypatch.context() as patch:
        patch.setattr(at.setup.world.agents, "get", failing(AssertionError("it was read")))
        for seconds in (1, 1, 60):
            assert await at.passed(seconds=seconds) == []
    alter(at.setup, agent, description="Something else")
    assert await at.passed(seconds=1) == [("quarantine", agent)]


async def test_what_was_found_out_of_an_agent_is_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    at, agent = await filled_in(monkeypatch)
    await at.passed()
    assert at.reconciler._likeness._alike
    await deleted_by_hand(at.setup, agent)
    await at.passed(minutes=1)

    assert at.reconciler._likeness._alike == {}


@pytest.mark.parametrize(
    ("whole", "part", "does"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": [{"c": 1, "d": 2}]}}, {"a": {"b": [{"c": 1}]}}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [1]}, {"a": [2]}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": "1"}, {"a": 1}, False),
        ([], {}, False),
    ],
)
def test_a_part_is_in_the_whole_with_the_same_values(whole: object, part: object, does: bool) -> None:
    assert holds(whole, part) == does

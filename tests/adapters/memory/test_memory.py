"""What is the twin's own; the rest is in `tests/contracts`."""

from typing import Any

import pytest

from mcp_agentspawn.adapters.memory import MemoryWorld
from mcp_agentspawn.core.errors import Refused
from tests.builders import NOON, OTHER, ROOT, FixedClock
from tests.contracts.stages import manifest


async def test_nothing_is_there_and_nothing_is_granted_at_first() -> None:
    world = MemoryWorld([ROOT])

    assert await world.inventory.models("subagents") == frozenset()
    assert await world.inventory.tools("subagents") == {}
    assert not await world.access.may_use(ROOT, "researcher")
    assert await world.agents.of_home("subagents") == []
    assert await world.proposals.all() == []
    assert await world.ledgers.roots() == []


async def test_without_a_schema_any_shape_is_accepted() -> None:
    world = MemoryWorld([ROOT])
    odd = manifest(ROOT, "sub-a", anything=1)

    assert list(await world.inventory.violations(odd)) == []
    assert (await world.agents.create(ROOT, "sub-a", odd)).manifest == odd


async def test_time_is_the_clocks_in_whole_seconds() -> None:
    clock = FixedClock(NOON.replace(microsecond=5))
    world = MemoryWorld([ROOT], clock=clock)

    made = await world.agents.create(ROOT, "sub-a", manifest(ROOT, "sub-a"))

    assert made.created_at == NOON
    assert world.clock is clock


async def test_what_is_handed_out_can_not_change_what_is_stored() -> None:
    world = MemoryWorld([ROOT])
    sent: dict[str, Any] = manifest(ROOT, "sub-a")
    made = await world.agents.create(ROOT, "sub-a", sent)

    sent["spec"]["description"] = "changed"
    dict(made.manifest)["spec"]["description"] = "changed"

    found = await world.agents.get("subagents", "sub-a")
    assert found is not None
    assert found.manifest == manifest(ROOT, "sub-a")


async def test_rights_can_be_taken_and_given_back() -> None:
    world = MemoryWorld([ROOT, OTHER])
    world.agents.may_write.discard(ROOT)

    with pytest.raises(Refused):
        await world.agents.create(ROOT, "sub-a", manifest(ROOT, "sub-a"))
    await world.agents.create(OTHER, "sub-b", manifest(OTHER, "sub-b"))
    world.agents.may_write.add(ROOT)

    assert await world.agents.create(ROOT, "sub-a", manifest(ROOT, "sub-a"))


async def test_tokens_are_its_own_unguessable_and_revocable() -> None:
    world = MemoryWorld([ROOT])
    first, second = (world.tokens.issue("agents", "orchestrator") for _ in range(2))

    assert first != second
    assert len(first) > 40
    assert await world.tokens.caller(first) == await world.tokens.caller(second)

    world.tokens.revoke(first)
    world.tokens.revoke(first)

    assert await world.tokens.caller(first) is None
    assert await world.tokens.caller(second) is not None

"""What is searched follows what is read, each view apart from the others; while it does not, that is said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.registry import indexing
from mcp_agentspawn.adapters.registry.helpers import HelperFailed, helped
from mcp_agentspawn.core.registry import Scope, View
from mcp_agentspawn.localplane.registry import Content, Published, registry_standin
from tests.adapters.registry.living import EVERYTHING, LOGREADER, TRANSLATOR, VIEW, Living, living
from tests.localplane.waiting import until

OF_ACME = View(frozenset({Scope("acme", EVERYTHING)}))
OF_LAB = View(frozenset({Scope("lab", EVERYTHING)}))
MANY = [Published(f"agent-{number}", description="One of many") for number in range(20)]
NOBODY = "nobody"
AWAY = ("away", None, ("registry.not_indexed",))


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Living]:
    """`lab` is the larger one; some views hold both, some hold one."""
    async with AsyncExitStack() as stack:
        acme = await stack.enter_async_context(registry_standin(Content([LOGREADER])))
        lab = await stack.enter_async_context(registry_standin(Content([TRANSLATOR, *MANY])))
        running = await stack.enter_async_context(living({"acme": acme, "lab": lab}))
        running.registries.show([VIEW, OF_LAB, OF_ACME])
        yield running


class Indexers:
    """Indexers of views that hold this registry never end, or end at once without an index."""

    def __init__(self) -> None:
        self.held = self.broken = NOBODY
        self.holding = 0

    async def helped(self, module: str, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        if self.broken in job["snapshots"]:
            raise HelperFailed("broken")
        if self.held in job["snapshots"]:
            self.holding += 1
            await asyncio.Event().wait()
        return await helped(module, job, seconds)


@pytest.fixture
def indexers(monkeypatch: pytest.MonkeyPatch) -> Indexers:
    made = Indexers()
    monkeypatch.setattr(indexing, "helped", made.helped)
    return made


def current(here: Living, registry: str = "acme") -> tuple[Any, ...]:
    standing = here.standing(registry)
    return (standing.freshness, standing.as_of, standing.problems)


async def test_a_registry_that_holds_up_its_indexes_holds_up_no_view_without_it(
    here: Living, indexers: Indexers
) -> None:
    indexers.held = "lab"
    passing = asyncio.create_task(here.registries.refresh())

    for name in ("logreader", "coder", "painter"):
        here.standins["acme"].content.publish(replace(LOGREADER, name=name))
        here.clock.advance(seconds=331)

        async def known(name: str = name) -> bool:
            return name in await here.names(view=OF_ACME)

        await until(known)

    assert not passing.done()
    assert indexers.holding == 1
    here.registries.stop()
    await passing


async def test_an_index_that_can_not_be_made_fails_alone(here: Living, indexers: Indexers) -> None:
    indexers.broken = "lab"

    await here.registries.refresh()

    assert await here.names(view=OF_ACME) == ["logreader"]
    assert await here.names(view=OF_LAB) == []
    assert "translator" not in await here.names()


async def test_what_is_searched_and_not_what_was_read_is_said_to_be_stale(here: Living, indexers: Indexers) -> None:
    here.registries.show([OF_ACME])
    indexers.broken = "acme"
    await here.registries.refresh()
    assert current(here) == AWAY

    indexers.broken = NOBODY
    await here.again()
    indexed = here.clock.now()
    assert current(here) == ("fresh", indexed, ())

    here.clock.advance(seconds=331)
    await here.registries.refresh()
    confirmed = here.clock.now()
    indexers.broken = "acme"
    here.standins["acme"].content.publish(TRANSLATOR)
    await here.again()
    assert current(here) == ("stale", confirmed, ("registry.not_indexed",))
    assert await here.names(view=OF_ACME) == ["logreader"]

    indexers.broken = NOBODY
    await here.again()
    assert current(here) == ("fresh", here.clock.now(), ())
    assert await here.names(view=OF_ACME) == ["logreader", "translator"]


async def test_a_view_that_is_new_takes_nothing_from_what_is_known_elsewhere(here: Living, indexers: Indexers) -> None:
    here.registries.show([OF_ACME])
    await here.registries.refresh()
    indexers.broken = "acme"

    here.registries.show([OF_ACME, VIEW])
    await here.registries.refresh()

    assert current(here) == ("stale", here.clock.now(), ("registry.not_indexed",))
    assert await here.names(view=OF_ACME) == ["logreader"]


async def test_what_is_in_no_view_needs_no_index(here: Living) -> None:
    here.registries.show([OF_ACME])

    await here.registries.refresh()

    assert current(here, "lab") == ("fresh", here.clock.now(), ())

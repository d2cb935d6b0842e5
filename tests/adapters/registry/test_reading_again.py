"""One entry read again by its handle, while a caller waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.registry import live
from mcp_agentspawn.adapters.registry.breaker import GIVEN_UP_AFTER
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.localplane.registry import Content, registry_standin
from mcp_agentspawn.localplane.registry.faults import Failing, Fault, Huge, Saying, Slow, WrongType
from tests.adapters.registry.living import EVERY_PATH, LOGREADER, TRANSLATOR, Living, living
from tests.localplane.waiting import until

CHANGED = "Read no logs."
OF_LOGREADER = "/v0/agents/logreader/*"


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Living]:
    """One registry that was read once."""
    async with registry_standin(Content([LOGREADER, TRANSLATOR])) as acme, living({"acme": acme}) as running:
        await running.registries.refresh()
        running.registries._known["acme"].chance = lambda: 1.0
        running.registries._known["acme"].breaker._chance = lambda: 1.0
        yield running


async def code_of_reading(here: Living, name: str = "logreader") -> str:
    with pytest.raises(ReadingFailed) as failed:
        await here.registries.read(await here.handle(name))
    return failed.value.code


async def test_the_entry_is_the_one_of_this_moment(here: Living) -> None:
    handle = await here.handle("logreader")
    here.standins["acme"].content.publish(replace(LOGREADER, instructions=CHANGED))

    entry = await here.registries.read(handle)

    assert entry is not None
    assert entry.instructions == CHANGED
    assert entry.hash != handle.hash


async def test_a_registry_that_was_never_read_is_not_asked() -> None:
    async with registry_standin(Content([LOGREADER])) as acme, living({"acme": acme}) as here:
        await here.registries.refresh()
        handle = await here.handle("logreader")
        async with living({"acme": acme}) as unread:
            asked = len(acme.requests)
            with pytest.raises(Unavailable):
                await unread.registries.read(handle)
            assert len(acme.requests) == asked


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Failing(path=EVERY_PATH), "registry.server_error"),
        (Failing(path=EVERY_PATH, status=401), "registry.denied"),
        (Saying(path=EVERY_PATH), "registry.not_json"),
    ],
    ids=["500", "401", "HTML"],
)
async def test_what_does_not_say_is_unavailable(here: Living, fault: Fault, code: str) -> None:
    here.standins["acme"].inject(fault)

    assert await code_of_reading(here) == code


async def test_nobody_waits_long(here: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ONE_SECONDS", 0.2)
    here.standins["acme"].inject(Slow(path=EVERY_PATH))

    assert await code_of_reading(here) == "registry.timeout"


async def test_after_five_times_without_an_answer_nobody_asks_until_a_pause_is_over(here: Living) -> None:
    here.standins["acme"].inject(Failing(path=EVERY_PATH, status=429))
    handle = await here.handle("logreader")
    for _ in range(GIVEN_UP_AFTER):
        assert await code_of_reading(here) == "registry.slowed"
    asked = len(here.standins["acme"].requests)

    with pytest.raises(Unavailable, match="not asked"):
        await here.registries.read(handle)
    assert len(here.standins["acme"].requests) == asked

    here.standins["acme"].heal()
    here.clock.advance(seconds=32)
    assert await here.registries.read(handle)
    assert await here.registries.read(handle)


async def test_a_registry_whose_listing_fails_again_and_again_is_not_asked_either(here: Living) -> None:
    handle = await here.handle("logreader")
    here.standins["acme"].inject(Failing(path=EVERY_PATH))
    for _ in range(GIVEN_UP_AFTER):
        await here.again()
    asked = len(here.standins["acme"].requests)

    with pytest.raises(Unavailable, match="not asked"):
        await here.registries.read(handle)

    assert len(here.standins["acme"].requests) == asked


WRONG: dict[str, Fault] = {
    "a wrong type": WrongType(path=OF_LOGREADER, at=("spec",)),
    "huge": Huge(path=OF_LOGREADER, megabytes=3),
    "400": Failing(path=OF_LOGREADER, status=400),
}


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
async def test_an_entry_that_can_not_be_read_is_answered_like_one_that_is_not_there(here: Living, fault: Fault) -> None:
    here.standins["acme"].inject(fault)

    assert await here.registries.read(await here.handle("logreader")) is None


@pytest.mark.parametrize(
    "fault",
    [*WRONG.values(), Failing(path=OF_LOGREADER), Failing(path=OF_LOGREADER, status=403), Saying(path=OF_LOGREADER)],
    ids=[*WRONG, "500", "403", "HTML"],
)
async def test_one_wrong_entry_does_not_keep_others_from_theirs(here: Living, fault: Fault) -> None:
    here.standins["acme"].inject(fault)
    for _ in range(2 * GIVEN_UP_AFTER):
        with suppress(Unavailable):
            assert await here.registries.read(await here.handle("logreader")) is None

    assert await here.registries.read(await here.handle("translator"))


async def test_whoever_goes_away_leaves_the_probe_to_the_next_one(here: Living) -> None:
    handle = await here.handle("logreader")
    here.standins["acme"].inject(Failing(path=EVERY_PATH, status=429))
    for _ in range(GIVEN_UP_AFTER):
        await code_of_reading(here)
    here.standins["acme"].inject(Slow(path=EVERY_PATH))
    here.clock.advance(minutes=10)
    probing = asyncio.create_task(here.registries.read(handle))
    await until(lambda: here.standins["acme"].held > 0)
    with pytest.raises(Unavailable, match="not asked"):
        await here.registries.read(handle)

    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    here.standins["acme"].heal()

    assert await here.registries.read(handle)

"""Registries that are read in the background: what is known while all goes well, and while it does not."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from mcp_agentspawn.adapters.registry import indexing, live
from mcp_agentspawn.adapters.registry.live import LiveRegistries, Refreshed
from mcp_agentspawn.core.registry import Query, Scope, View
from mcp_agentspawn.localplane.registry import Content, Standin, registry_standin
from mcp_agentspawn.localplane.registry.faults import Failing, Fault, HalfAPage, SameCursor, Saying, Slow
from tests.adapters.registry.living import (
    EVERY_PATH,
    EVERYTHING,
    LOGREADER,
    RESEARCHER,
    TRANSLATOR,
    VIEW,
    Living,
    helpers,
    living,
    lying_in,
    mode,
)
from tests.builders import FixedClock
from tests.localplane.waiting import until

GARBAGE = "this"
"""A module that prints something else than a report."""
TOKEN = "a-token-that-nobody-may-see"
ANOTHER = View(frozenset({Scope("acme", EVERYTHING, frozenset())}), (RESEARCHER,))


@pytest_asyncio.fixture
async def standins() -> AsyncIterator[dict[str, Standin]]:
    async with AsyncExitStack() as stack:
        yield {
            "acme": await stack.enter_async_context(registry_standin(Content([LOGREADER]))),
            "lab": await stack.enter_async_context(registry_standin(Content([TRANSLATOR]))),
        }


@pytest_asyncio.fixture
async def here(standins: dict[str, Standin]) -> AsyncIterator[Living]:
    async with living(standins) as running:
        yield running


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def test_before_the_first_reading_templates_are_found(here: Living) -> None:
    assert await here.names("web research") == ["researcher"]
    assert (here.standing().freshness, here.standing().as_of) == ("away", None)


async def test_after_it_everything_is(here: Living) -> None:
    await here.registries.refresh()

    assert await here.names() == ["logreader", "researcher", "translator"]
    assert (here.standing().freshness, here.standing().as_of) == ("fresh", here.clock.now())


async def test_a_registry_that_is_away_at_the_start_is_there_later(here: Living) -> None:
    here.standins["acme"].inject(Failing(path=EVERY_PATH))
    await here.registries.refresh()
    assert await here.names() == ["researcher", "translator"]
    assert (here.standing().freshness, here.standing().problems) == ("away", ("registry.server_error",))

    here.standins["acme"].heal()
    await here.again()

    assert await here.names() == ["logreader", "researcher", "translator"]
    assert (here.standing().freshness, here.standing().problems) == ("fresh", ())


async def test_a_registry_that_goes_away_is_stale_until_it_is_back(here: Living) -> None:
    await here.registries.refresh()
    read_at = here.clock.now()

    here.standins["acme"].inject(Failing(path=EVERY_PATH))
    await here.again()

    assert (here.standing().freshness, here.standing().as_of) == ("stale", read_at)
    assert "logreader" in await here.names()

    here.standins["acme"].heal()
    await here.again()

    assert (here.standing().freshness, here.standing().as_of) == ("fresh", here.clock.now())


async def test_after_a_day_away_nothing_is_known_of_it(here: Living) -> None:
    await here.registries.refresh()
    here.standins["acme"].inject(Failing(path=EVERY_PATH))

    here.clock.advance(hours=24, seconds=1)
    await here.registries.refresh()

    assert (here.standing().freshness, here.standing().as_of) == ("away", None)
    assert await here.names() == ["researcher", "translator"]


async def test_what_nobody_read_when_it_was_due_is_stale(here: Living) -> None:
    await here.registries.refresh()

    here.clock.advance(minutes=11)

    assert here.standing().freshness == "stale"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Failing(), "registry.server_error"),
        (Failing(status=401), "registry.denied"),
        (Saying(), "registry.not_json"),
        (HalfAPage(), "registry.cut_short"),
        (SameCursor(), "registry.cursor_loop"),
        (Slow(), "registry.timeout"),
    ],
    ids=["500", "401", "HTML", "half a page", "a cursor loop", "slow"],
)
async def test_each_registry_fails_alone(standins: dict[str, Standin], fault: Fault, code: str) -> None:
    async with living(standins, timeout=1.0) as here:
        standins["lab"].inject(fault)
        await here.registries.refresh()

        assert (here.standing("lab").freshness, here.standing("lab").problems) == ("away", (code,))
        assert (here.standing("acme").freshness, here.standing("acme").problems) == ("fresh", ())
        assert await here.names() == ["logreader", "researcher"]


async def test_nobody_waits_for_a_slow_registry(here: Living) -> None:
    """Neither a search, nor the entries of another registry, nor a view that is new."""
    here.standins["lab"].inject(Slow())
    begun = asyncio.create_task(here.registries.refresh())
    await until(lambda: here.standins["lab"].held > 0)

    async def known() -> bool:
        return await here.names() == ["logreader", "researcher"]

    await until(known)
    here.registries.show([VIEW, ANOTHER])

    async def shown() -> bool:
        return await here.names(view=ANOTHER) == ["logreader", "researcher"]

    await until(shown)
    assert not begun.done()
    assert here.standins["lab"].held > 0
    here.standins["lab"].heal()
    await begun
    assert await here.names() == ["logreader", "researcher", "translator"]


async def test_what_becomes_due_beside_a_slow_registry_is_read(here: Living) -> None:
    here.standins["lab"].inject(Slow())
    begun = asyncio.create_task(here.registries.refresh())
    for times in (1, 2, 3):
        await until(lambda: here.standing().as_of == here.clock.now())
        assert here.listings() == times
        assert here.standins["lab"].held == 1
        here.clock.advance(seconds=331)

    assert not begun.done()
    here.standins["lab"].heal()
    await begun


async def test_whoever_reads_once_reads_each_registry_once(here: Living) -> None:
    here.standins["lab"].inject(Slow())
    begun = asyncio.create_task(here.registries.refresh(again=False))
    await until(lambda: here.standing().as_of is not None)

    here.clock.advance(seconds=331)
    here.registries.show([VIEW, ANOTHER])
    await until(lambda: here.registries._indexing._shown.keys() == {VIEW.scopes, ANOTHER.scopes})
    here.standins["lab"].heal()
    await begun

    assert here.listings() == 1


async def test_a_slow_registry_has_one_place_and_leaves_the_others_theirs(
    standins: dict[str, Standin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "READERS_AT_ONCE", 2)
    async with registry_standin(Content([LOGREADER])) as third, living({**standins, "zulu": third}) as here:
        standins["acme"].inject(Slow())
        begun = asyncio.create_task(here.registries.refresh())

        await until(lambda: here.standing("lab").as_of is not None and here.standing("zulu").as_of is not None)

        assert len(helpers()) <= 2
        assert not begun.done()
        here.registries.stop()
        await begun


async def test_a_long_pass_leaves_no_reading_behind_but_the_last(here: Living, temporary: Path) -> None:
    async with living(here.standins) as another:
        another.standins["lab"].inject(Slow())
        begun = asyncio.create_task(another.registries.refresh())
        for name in ("first", "second", "third"):
            another.standins["acme"].content.publish(replace(LOGREADER, name=name))

            async def known(name: str = name) -> bool:
                return name in await another.names()

            await until(known)
            another.clock.advance(seconds=331)

        (folder,) = lying_in(temporary)
        await until(lambda: len([file for file in lying_in(folder) if file.suffix == ".jsonl"]) == 1)
        assert not begun.done()
        another.registries.stop()
        await begun


async def test_a_new_view_asks_no_registry(here: Living) -> None:
    await here.registries.refresh()
    asked = here.listings()
    narrow = View(frozenset({Scope("lab", EVERYTHING)}))

    here.registries.show([VIEW, narrow])
    assert here.registries.wanted.is_set()
    await here.registries.refresh()

    assert await here.names(view=narrow) == ["translator"]
    assert here.listings() == asked


async def test_a_view_that_is_shown_no_more_has_its_templates_alone(here: Living) -> None:
    await here.registries.refresh()

    here.registries.show([ANOTHER])
    await here.registries.refresh()

    assert await here.names() == ["researcher"]
    assert await here.names(view=ANOTHER) == ["logreader", "researcher"]


async def test_what_did_not_change_is_not_indexed_again(here: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    await here.registries.refresh()
    monkeypatch.setattr(indexing, "INDEXER", GARBAGE)

    with capture_logs() as logged:
        here.registries.show([replace(VIEW, blueprints=())])
        await here.again()

    assert logged == []
    assert here.standing().as_of == here.clock.now()
    assert await here.names() == ["logreader", "researcher", "translator"]


async def test_nothing_is_read_before_it_is_due(here: Living) -> None:
    await here.registries.refresh()
    asked = here.listings()

    here.clock.advance(minutes=4)
    await here.registries.refresh()
    assert here.listings() == asked

    here.clock.advance(minutes=2)
    await here.registries.refresh()
    assert here.listings() > asked


async def test_a_registry_that_failed_is_read_again_after_a_pause_that_grows(here: Living) -> None:
    here.standins["acme"].inject(Failing())
    known = here.registries._known["acme"]
    known.chance = lambda: 1.0

    reads = []
    for _ in range(8):
        await here.registries.refresh()
        reads.append(here.listings())
        here.clock.advance(seconds=2)

    assert reads == [1, 2, 2, 3, 3, 3, 3, 4]


async def test_a_reader_that_is_killed_harms_nobody(here: Living) -> None:
    await here.registries.refresh()
    here.standins["acme"].inject(Slow())
    here.clock.advance(seconds=331)
    begun = asyncio.create_task(here.registries.refresh())
    await until(lambda: here.standins["acme"].held > 0 and len(helpers()) == 1)

    for helper in helpers():
        helper.kill()
    await begun

    assert (here.standing().freshness, here.standing().problems) == ("stale", ("registry.reader",))
    assert (here.standing("lab").freshness, await here.names()) == ("fresh", ["logreader", "researcher", "translator"])
    here.standins["acme"].heal()
    await here.again()
    assert here.standing().freshness == "fresh"


@pytest.mark.parametrize(
    ("module", "helper", "problem"),
    [(live, "READER", "registry.reader"), (indexing, "INDEXER", "registry.not_indexed")],
    ids=["reader", "indexer"],
)
async def test_a_helper_that_answers_garbage_harms_nobody(
    here: Living, monkeypatch: pytest.MonkeyPatch, module: ModuleType, helper: str, problem: str
) -> None:
    with monkeypatch.context() as broken, capture_logs() as logged:
        broken.setattr(module, helper, GARBAGE)
        await here.registries.refresh()

    assert (here.standing().freshness, here.standing().problems) == ("away", (problem,))
    assert await here.names() == ["researcher"]
    assert "error" in {line["log_level"] for line in logged}

    await here.again()
    assert await here.names() == ["logreader", "researcher", "translator"]


async def test_a_reader_that_takes_too_long_is_killed(here: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TIMEOUTS_OF_A_READING", 0)
    monkeypatch.setattr(live, "WEIGHING_SECONDS", 1.0)
    here.standins["acme"].inject(Slow())

    await here.registries.refresh()

    assert here.standing().problems == ("registry.reader",)
    assert helpers() == []


async def test_it_ends_at_once_and_leaves_nothing(standins: dict[str, Standin], temporary: Path) -> None:
    standins["lab"].inject(Slow())
    async with living(standins) as here:
        begun = asyncio.create_task(here.registries.refresh())
        await until(lambda: standins["lab"].held > 0)
        (folder,) = lying_in(temporary)
        assert mode(folder) == 0o700

        here.registries.stop()
        await begun
        assert helpers() == []

    assert lying_in(temporary) == []


async def test_it_ends_while_it_reads(standins: dict[str, Standin], temporary: Path) -> None:
    standins["lab"].inject(Slow())
    async with living(standins) as here:
        begun = asyncio.create_task(here.registries.refresh())
        await until(lambda: standins["lab"].held > 0)

    await begun
    assert helpers() == []
    assert lying_in(temporary) == []


async def test_it_ends_while_it_indexes(here: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    making = asyncio.Event()

    async def helped_for_ever(*_: object) -> dict[str, Any]:
        making.set()
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(indexing, "helped", helped_for_ever)
    begun = asyncio.create_task(here.registries.refresh())
    await making.wait()

    here.registries.stop()

    async with asyncio.timeout(5):
        await begun


async def test_a_helper_is_ended_to_the_end(here: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the pass, and the pass that ends, do not both interrupt it: it would stay half ended."""
    ended, reading = 0, asyncio.Event()

    async def helped_for_ever(*_: object) -> dict[str, Any]:
        nonlocal ended
        reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _round in range(10):
                await asyncio.sleep(0)
            ended += 1
        return {}

    monkeypatch.setattr(live, "helped", helped_for_ever)
    begun = asyncio.create_task(here.registries.refresh())
    await reading.wait()

    here.registries.stop()
    await begun

    assert ended == 2


async def test_a_pass_that_is_cancelled_leaves_nothing_running(here: Living) -> None:
    here.standins["lab"].inject(Slow())
    begun = asyncio.create_task(here.registries.refresh())
    await until(lambda: here.standins["lab"].held > 0)

    begun.cancel()

    with pytest.raises(asyncio.CancelledError):
        await begun
    assert helpers() == []


async def test_only_what_is_known_lies_in_the_folder(here: Living, temporary: Path) -> None:
    async with living(here.standins) as another:
        await another.registries.refresh()
        another.standins["acme"].content.publish(TRANSLATOR)
        await another.again()

        (folder,) = lying_in(temporary)
        assert [file.name.split(".")[0] for file in lying_in(folder)] == ["acme", "lab"]
        assert {mode(file) for file in lying_in(folder)} == {0o600}


async def test_the_credential_is_in_its_file_alone(tmp_path: Path) -> None:
    credential = tmp_path / "credential"
    credential.write_text(TOKEN)
    async with (
        registry_standin(Content([LOGREADER]), bearer=TOKEN) as acme,
        living({"acme": acme}, credential_file=str(credential)) as here,
    ):
        acme.inject(Slow(times=1))
        with capture_logs() as logged:
            begun = asyncio.create_task(here.registries.refresh())
            await until(lambda: acme.held > 0)
            seen = [str((helper.cmdline(), helper.environ())) for helper in helpers()]
            acme.release()
            await begun

        assert len(seen) == 1
        assert TOKEN not in "".join(seen)
        assert TOKEN not in str(logged)
        assert {request.bearer_shown for request in acme.requests} == {True}
        assert await here.names() == ["logreader", "researcher"]


async def test_a_change_of_state_is_logged_once_with_codes_alone(here: Living) -> None:
    with capture_logs() as logged:
        await here.registries.refresh()
        await here.again()
        here.standins["acme"].inject(Saying())
        await here.again()
        await here.again()

    told = [(line["registry"], line["freshness"], line["problems"]) for line in logged]
    assert sorted(told[:2]) == [("acme", "fresh", []), ("lab", "fresh", [])]
    assert told[2:] == [("acme", "stale", ["registry.not_json"])]
    assert "Sign in" not in str(logged)


async def test_whoever_counts_is_told_of_every_reading(here: Living) -> None:
    told: list[Refreshed] = []
    here.registries.refreshed = told.append

    await here.registries.refresh()
    here.standins["acme"].inject(Failing())
    await here.again()

    of_acme = [one for one in told if one.standing.registry == "acme"]
    assert [(one.succeeded, one.entries, dict(one.problems)) for one in of_acme] == [
        (True, 1, {}),
        (False, 1, {"registry.server_error": 1}),
    ]


async def test_without_a_registry_templates_are_found() -> None:
    async with LiveRegistries({}, FixedClock()) as registries:
        registries.show([VIEW])
        await registries.refresh()

        page = await registries.find(VIEW, Query("research", 5, frozenset({"researcher"})))

        assert [found.blueprint for found in page.findings] == [RESEARCHER]
        assert registries.standings() == []


async def test_a_clock_that_is_set_back_does_not_stop_the_reading(here: Living) -> None:
    await here.registries.refresh()
    asked = here.listings()

    here.clock.time -= timedelta(days=1)
    await here.registries.refresh()

    assert here.listings() > asked

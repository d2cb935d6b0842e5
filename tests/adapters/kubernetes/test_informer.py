"""An informer knows what is there, whatever an API server, a proxy or a wire does to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes import informer as module
from mcp_agentspawn.adapters.kubernetes import watching as reading
from tests.adapters.kubernetes.watched_api import (
    Fault,
    WatchedApi,
    Watching,
    answers,
    bookmark,
    event,
    hangs,
    only,
    passes,
    watched_api,
    watching,
)
from tests.localplane.waiting import until


@pytest_asyncio.fixture
async def api() -> AsyncIterator[WatchedApi]:
    async with watched_api() as api:
        for name in ("a", "b", "c"):
            api.put(name)
        yield api


def again(at_work: Watching) -> Callable[[], bool]:
    """Whether all was read once more since now."""
    renewed = at_work.records.renewed
    return lambda: at_work.records.renewed > renewed and at_work.agrees()


def gone_on(at_work: Watching, asked: int) -> bool:
    """Whether it has asked more than so often, and knows what is there."""
    return len(at_work.api.asked) > asked and at_work.agrees()


async def test_what_is_there_is_known_and_then_what_becomes_of_it(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.put("d")
        api.put("a", changed=1)
        api.remove("b")
        await until(at_work.agrees)

    assert at_work.records.renewed == 1
    assert len(api.asked) == 1
    assert at_work.informer.problem == ""


async def test_a_watch_asks_for_bookmarks_and_for_an_end_that_others_do_not_share(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)

    (asked,) = api.asked
    assert 300 <= int(asked.pop("timeoutSeconds")) <= 600
    assert asked == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }


@pytest.mark.parametrize("code", [400, 404, 422])
async def test_an_api_server_that_can_not_tell_what_is_there_is_read_in_pages(api: WatchedApi, code: int) -> None:
    api.faults = [answers(code)]
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.put("d")
        await until(at_work.agrees)

    assert [("watch" in asked, "continue" in asked) for asked in api.asked] == [
        (True, False),
        (False, False),
        (False, True),
        (True, False),
    ]


async def test_one_that_never_says_that_this_was_all_is_read_in_pages(
    api: WatchedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INITIAL_SECONDS", -1.0)
    async with watching(api) as at_work:
        await until(at_work.agrees)

    assert sum("sendInitialEvents" in asked for asked in api.asked) == 1


async def test_what_is_cut_is_gone_on_from_where_it_was(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        for cut in (api.end, partial(api.cut, b'{"type":"ADD'), partial(api.cut, b"")):
            asked = len(api.asked)
            cut()
            api.put("a", cut=asked)
            api.remove("c")
            await until(partial(gone_on, at_work, asked))

    assert at_work.records.renewed == 1


async def test_a_cut_while_what_is_there_is_told_begins_anew(api: WatchedApi) -> None:
    api.faults = [only(event("ADDED", api.objects["a"]))]
    async with watching(api) as at_work:
        await until(at_work.agrees)

    assert at_work.records.renewed == 1
    assert len(api.asked) > 1


async def test_a_bookmark_is_where_a_cut_watch_goes_on_from(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.bookmark()
        api.end()
        await until(lambda: len(api.asked) > 1)

    assert api.asked[-1]["resourceVersion"] == str(api.version)


async def test_an_api_server_that_has_forgotten_is_read_again_and_what_is_gone_leaves(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.faults = [answers(503)]
        api.end()
        api.remove("a")
        api.put("d")
        api.forget()
        await until(again(at_work))

    assert set(at_work.records.objects) == {"b", "c", "d"}


@pytest.mark.parametrize(
    "line",
    [
        event("ERROR", {"kind": "Status", "code": 410}),
        b"no JSON\n",
        b"[]\n",
        b'{"type":"ADDED","object":{"metadata":{}}}\n',
        b'{"type":"ERROR","object":{}}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        event("RENAMED", {"metadata": {"name": "a", "resourceVersion": "9"}}),
    ],
    ids=["410", "garbage", "a list", "no name", "no code", "bytes", "deep", "unknown"],
)
async def test_after_what_can_not_be_gone_on_from_all_is_read_again(api: WatchedApi, line: bytes) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        renewed = again(at_work)
        api.say(line)
        await until(renewed)


async def test_a_line_that_is_too_long_is_not_kept_until_it_ends(
    api: WatchedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_LINE_BYTES", 1000)
    async with watching(api) as at_work:
        await until(at_work.agrees)
        renewed = again(at_work)
        api.say(b"x" * 1001)
        await until(renewed)


async def test_an_error_of_the_moment_costs_no_reading_again(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.say(event("ERROR", {"kind": "Status", "code": 500}))
        api.end()
        api.put("d")
        await until(at_work.agrees)

    assert at_work.records.renewed == 1


@pytest.mark.parametrize("fault", [answers(429), answers(500), answers(503), answers(403)])
async def test_an_api_server_that_says_no_is_asked_again_more_and_more_slowly(api: WatchedApi, fault: Fault) -> None:
    api.faults = [fault] * 12
    async with watching(api) as at_work:
        await until(at_work.agrees)

    longest = [min(0.2 * 2**number, 30.0) for number in range(12)]
    assert len(at_work.pauses.seconds) == 12
    assert all(most / 2 <= pause <= most for pause, most in zip(at_work.pauses.seconds, longest, strict=True))


async def test_an_api_server_that_no_longer_knows_the_version_but_does_not_say_so_is_read_again(
    api: WatchedApi,
) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.faults = [answers(504)] * 7
        renewed = again(at_work)
        api.end()
        await until(renewed)


async def test_one_that_hangs_is_given_up(api: WatchedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.2)
    api.faults = [passes, hangs]
    async with watching(api) as at_work:
        await until(at_work.agrees)
        await until(lambda: len(api.asked) >= 3)
        api.put("d")
        await until(at_work.agrees)

    assert at_work.records.renewed == 1


async def test_events_told_twice_change_nothing(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        for _ in range(3):
            api.say(event("ADDED", api.objects["a"]))
        api.say(event("DELETED", {"metadata": {"name": "z", "resourceVersion": str(api.version)}}))
        api.put("d")
        await until(at_work.agrees)


async def test_a_name_that_is_another_object_by_now_is_the_new_one(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.remove("a")
        api.put("a", uid="another")
        await until(at_work.agrees)

    assert at_work.records.objects["a"]["uid"] == "another"


async def test_an_object_in_many_pieces_is_one_event(api: WatchedApi) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        line = event("ADDED", {"metadata": {"name": "d", "resourceVersion": "9"}, "text": "x" * 50_000})
        for start in range(0, len(line), 7_000):
            api.say(line[start : start + 7_000])
            await asyncio.sleep(0)
        await until(lambda: "d" in at_work.records.objects)

    assert len(at_work.records.objects["d"]["text"]) == 50_000


async def test_what_keeps_it_from_watching_is_said_until_it_watches(api: WatchedApi) -> None:
    api.faults = [answers(403)] * 10_000
    async with watching(api) as at_work:
        await until(lambda: at_work.informer.tried)
        assert at_work.informer.problem.startswith("things: ")
        assert not at_work.informer.watching
        api.faults.clear()
        await until(lambda: at_work.informer.watching)

        assert at_work.informer.problem == ""


async def test_a_watch_that_stays_away_is_no_longer_in_sync(api: WatchedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(api) as at_work:
        await until(at_work.agrees)
        api.faults = [answers(503)] * 10_000
        api.end()
        await until(lambda: len(at_work.pauses.seconds) > 1)
        assert at_work.informer.watching

        monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
        assert not at_work.informer.watching
        assert at_work.informer.synced
        api.faults.clear()
        await until(lambda: at_work.informer.watching)


def test_a_bookmark_ends_the_initial_events_only_when_it_says_so() -> None:
    said = [reading.event_of(bookmark(7, end=end)) for end in (True, False)]

    assert [one.ends_the_initial for one in said] == [True, False]
    assert [one.version for one in said] == ["7", "7"]
    assert json.loads(bookmark(7))["type"] == "BOOKMARK"

"""Whatever happens, in whatever order, and however it is cut: in the end an informer knows what is there."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcp_agentspawn.adapters.kubernetes import informer as module
from tests.adapters.kubernetes.watched_api import WatchedApi, Watching, answers, event, only, watched_api, watching
from tests.localplane.waiting import until

ENDS_WITHIN_SECONDS = 3.0
NAMES = st.sampled_from("abcde")
Step = Callable[[WatchedApi], None]


def put(name: str) -> Step:
    return lambda api: api.put(name, number=api.version)


def remove(name: str) -> Step:
    return lambda api: api.remove(name)


def refuse(code: int) -> Step:
    return lambda api: api.faults.append(answers(code))


def tell_half(api: WatchedApi) -> None:
    """The next time that somebody asks what is there, half of it is told."""

    def fault(request: web.Request) -> Awaitable[web.StreamResponse] | None:
        if "sendInitialEvents" not in request.query:
            return None
        told = list(api.objects.values())
        return only(b"".join(event("ADDED", stored) for stored in told[len(told) // 2 :]))(request)

    api.faults.append(fault)


def cut(part: bytes) -> Step:
    return lambda api: api.cut(part)


def miss(name: str) -> Step:
    """One goes while nobody watches, and the API server forgets when it went."""

    def step(api: WatchedApi) -> None:
        api.end()
        api.remove(name)
        api.forget()

    return step


def twice(api: WatchedApi) -> None:
    """What happened last is told once more."""
    if api.log:
        _, kind, stored = api.log[-1]
        api.say(event(kind, stored))


def unknown(api: WatchedApi) -> None:
    api.knows_watch_lists = not api.knows_watch_lists


STEPS = st.one_of(
    st.builds(put, NAMES),
    st.builds(put, NAMES),
    st.builds(remove, NAMES),
    st.builds(miss, NAMES),
    st.builds(refuse, st.sampled_from([400, 404, 410, 429, 500, 503])),
    st.builds(cut, st.sampled_from([b"", b'{"type":"ADDED","obj', b"no JSON\n"])),
    st.sampled_from([WatchedApi.end, WatchedApi.forget, WatchedApi.bookmark, tell_half, twice, unknown]),
)


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(before=st.lists(STEPS, max_size=6), after=st.lists(st.tuples(STEPS, st.booleans()), max_size=20))
def test_any_history_ends_in_what_is_there(before: list[Step], after: list[tuple[Step, bool]]) -> None:
    asyncio.run(played(before, after))


async def played(before: list[Step], after: list[tuple[Step, bool]]) -> None:
    async with watched_api() as api:
        for step in before:
            step(api)
        async with watching(api) as at_work:
            for step, seen in after:
                step(api)
                if seen:
                    await some_time(at_work)
            api.put("last")
            async with asyncio.timeout(ENDS_WITHIN_SECONDS):
                await until(at_work.agrees)
            assert at_work.informer.watching


async def some_time(at_work: Watching) -> None:
    """Let the informer do most of what it has to."""
    for _ in range(50):
        if at_work.agrees():
            break
        await asyncio.sleep(0.001)
    assert at_work.informer.age_seconds < module.SILENCE_SECONDS

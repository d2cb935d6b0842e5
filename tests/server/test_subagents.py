"""Subagents that call with the credential that this server gave them, over real HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.server import subagents as module
from mcp_agentspawn.server.slowing import WAITS_SECONDS, Turns
from mcp_agentspawn.server.subagents import LOOKUPS_AT_A_TIME, MOST_WAITING, Subagents
from tests.operations.trees import grove, retired, spawned, token_of, under
from tests.server.edges import FakeTokens, a_call, message, post, serving


def made_up(number: int) -> str:
    return f"agentspawn/agents/orchestrator/sub-lead-none/{number:043d}"


async def test_a_subagent_calls_with_its_own_credential_until_it_is_retired() -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    child = await spawned(setup, parent=lead)
    token, tokens = token_of(setup, lead), FakeTokens()
    async with serving(over=setup, tokens=tokens) as edge:
        for headers in ({"x_agentspawn_token": token}, {"authorization": f"Bearer {token}"}):
            answered = await post(edge, a_call("list_subagents"), **headers)
            listed = answered.json()["result"]["structuredContent"]["subagents"]
            assert [entry["agent"] for entry in listed] == [child]
        await retired(setup, lead)
        refused = await post(edge, message(), x_agentspawn_token=token)

    assert refused.status_code == 401
    assert token not in refused.text
    assert tokens.asked == []


@pytest.mark.parametrize("token", [made_up(1), "agentspawn/", "agentspawn/a/b/c/d", "agentspawn//////"])
async def test_what_looks_like_ours_is_never_sent_on_to_be_reviewed(token: str) -> None:
    tokens = FakeTokens()
    async with serving(over=grove(), tokens=tokens) as edge:
        response = await post(edge, message(), x_agentspawn_token=token)

    assert response.status_code == 401
    assert tokens.asked == []


async def test_no_answer_about_a_credential_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()

    async def no_answer(*_: object, **__: object) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(setup.world.ledgers, "look", no_answer)
    async with serving(over=setup) as edge:
        response = await post(edge, message(), x_agentspawn_token=made_up(1))

    assert response.status_code == 503


def blocking(real: Callable[..., Any], may_end: asyncio.Event, begun: asyncio.Semaphore) -> Any:
    async def look(*arguments: Any, **words: Any) -> Any:
        begun.release()
        await may_end.wait()
        return await real(*arguments, **words)

    return look


async def test_made_up_credentials_keep_nobody_waiting_whose_own_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    known = Subagents(setup.services, Turns(at_a_time=2, waits_seconds=0.05))
    assert await known.caller(token_of(setup, lead)) == under(lead)
    may_end, begun = asyncio.Event(), asyncio.Semaphore(0)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.ledgers, "look", blocking(setup.world.ledgers.look, may_end, begun))
        flood = [asyncio.create_task(known.caller(made_up(number))) for number in range(2)]
        for _ in flood:
            await begun.acquire()

    with pytest.raises(Unavailable):
        await known.caller(made_up(3))
    assert await known.caller(token_of(setup, lead)) == under(lead)
    may_end.set()
    assert await asyncio.gather(*flood) == [None, None]


async def test_of_made_up_credentials_a_bounded_number_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    setup, may_end, begun = grove(), asyncio.Event(), asyncio.Semaphore(0)
    known = Subagents(setup.services)
    monkeypatch.setattr(setup.world.ledgers, "look", blocking(setup.world.ledgers.look, may_end, begun))
    flood = [asyncio.create_task(known.caller(made_up(number))) for number in range(300)]
    for _ in range(LOOKUPS_AT_A_TIME):
        await begun.acquire()

    with pytest.raises(Unavailable):
        async with asyncio.timeout(WAITS_SECONDS / 2):
            await known.caller(made_up(300))
    may_end.set()
    said = await asyncio.gather(*flood, return_exceptions=True)
    assert said.count(None) == LOOKUPS_AT_A_TIME + MOST_WAITING
    assert all(isinstance(answer, Unavailable) for answer in said if answer is not None)


async def test_what_was_good_once_is_looked_up_again_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    monkeypatch.setattr(module, "MOST_FAMILIAR", 1)
    leads = [await spawned(setup, "lead", purpose=f"Number {number}") for number in range(2)]
    known = Subagents(setup.services)

    for lead in [*leads, *leads]:
        assert await known.caller(token_of(setup, lead)) == under(lead)
    token = token_of(setup, leads[1])
    await retired(setup, leads[1])
    assert [await known.caller(token) for _ in range(2)] == [None, None]

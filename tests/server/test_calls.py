"""What becomes of a call that fails, takes too long, or whose caller or server goes away."""

import asyncio
from typing import Any

import httpx
import pytest
import structlog

from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.operations.answers import Answer
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.arguments import Purpose
from tests.server.edges import ERAS, RunningEdge, Slow, a_call, a_change, call, client, codes, post, probe, serving

SECRET = "sk-canary-7f3a9c"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable(SECRET), "server.unavailable"),
        (UnknownOutcome(SECRET), "server.unknown_outcome"),
        (Refused("x", SECRET), "server.failed"),
        (ValueError(SECRET), "server.failed"),
        (KeyError(SECRET), "server.failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_a_failure_is_unavailable_by_its_code_and_never_quotes(
    error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def fail(services: Services, caller: Caller, text: Purpose) -> Answer:
        raise error

    with structlog.testing.capture_logs() as logs:
        async with serving([probe(fail)]) as edge:
            response = await post(edge, a_call("fail", text=SECRET), x_agentspawn_token=edge.token)

    result = response.json()["result"]
    assert result["isError"] is True
    assert result["structuredContent"]["outcome"] == "unavailable"
    assert codes(result["structuredContent"]) == [code]
    assert result["structuredContent"]["next_step"]
    (entry,) = (entry for entry in logs if entry.get("tool") == "fail")
    assert (entry["error"], entry["at"][-1].endswith(" fail")) == (type(error).__name__, True)
    assert SECRET not in response.text
    assert SECRET not in str(logs) + caplog.text


async def test_no_credential_reaches_a_log_or_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def fail(services: Services, caller: Caller) -> Answer:
        raise ValueError

    with structlog.testing.capture_logs() as logs:
        async with serving([probe(fail)]) as edge:
            answers = [
                await post(edge, a_call("fail"), x_agentspawn_token=edge.token),
                await post(edge, a_call("fail"), authorization=f"Bearer {SECRET}"),
                await post(edge, a_call("fail"), authorization=f"Basic {SECRET}"),
            ]

    said = str(logs) + caplog.text + "".join(answer.text + str(answer.headers) for answer in answers)
    assert SECRET not in said
    assert edge.token not in said


async def test_a_look_that_takes_too_long_is_given_up() -> None:
    cancelled = asyncio.Event()

    async def hang(services: Services, caller: Caller) -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Answer()

    async with serving([probe(hang)], answer_within_seconds=0.05) as edge:
        answer = await call(edge, "hang")

    assert codes(answer) == ["server.unavailable"]
    assert cancelled.is_set()


async def test_a_change_that_takes_too_long_goes_on_and_says_so() -> None:
    slow = Slow()
    async with serving([a_change(slow)], answer_within_seconds=0.05) as edge:
        answer = await call(edge, "change")
        slow.may_end.set()
        await edge.calls.writes.settle()

    assert answer["outcome"] == "unavailable"
    assert codes(answer) == ["server.unknown_outcome"]
    assert slow.done == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_change_whose_client_went_away_is_finished(era: str) -> None:
    slow = Slow()
    async with serving([a_change(slow)]) as edge:
        asking = asyncio.create_task(ask(edge, era))
        await slow.begun.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        slow.may_end.set()
        await edge.calls.writes.settle()

    assert slow.done == 1


async def ask(edge: RunningEdge, era: str) -> Any:
    async with client(edge, era) as session:
        return await session.call_tool("change", {})


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_ends_finishes_the_change_that_was_begun(era: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_agentspawn.server.process.GRACE_SECONDS", 0)
    slow = Slow()
    async with serving([a_change(slow)]) as edge:
        asking = asyncio.create_task(ask(edge, era))
        await slow.begun.wait()
        stopping = asyncio.create_task(edge.serving.stop())
        await asyncio.wait({asking}, timeout=10)
        assert not stopping.done()
        slow.may_end.set()
        await stopping

    assert slow.done == 1


async def test_every_call_is_counted_by_its_outcome() -> None:
    async with serving() as edge:
        await call(edge, "list_templates")
        await call(edge, "get_subagent", agent="NO")
        async with httpx.AsyncClient() as http:
            await http.get(f"{edge.base}/healthz")

    assert edge.meter.calls == [("list_templates", "allowed"), ("get_subagent", "denied")]

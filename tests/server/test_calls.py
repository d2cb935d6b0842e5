"""What becomes of a call that fails, takes too long, or whose caller or server goes away."""

import asyncio
from typing import Any

import httpx
import pytest
import structlog

from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.operations.answers import Answer, Refusal
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.arguments import Purpose
from mcp_agentspawn.server.results import refusal
from mcp_agentspawn.server.slowing import RefusalBuckets
from tests.server.edges import ERAS, RunningEdge, a_call, call, client, codes, post, probe, serving

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
    (entry,) = logs
    assert (entry["tool"], entry["error"], entry["at"][-1].endswith(" fail")) == ("fail", type(error).__name__, True)
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


class Slow:
    """A change that ends when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.done = 0

    async def change(self, services: Services, caller: Caller) -> Answer:
        """Take time."""
        self.begun.set()
        await self.may_end.wait()
        self.done += 1
        return Answer(next_step="done")


def a_change(slow: Slow) -> Any:
    async def change(services: Services, caller: Caller) -> Answer:
        return await slow.change(services, caller)

    return probe(change, changes=True)


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


async def test_refusals_of_one_tool_slow_that_tool_down_for_that_caller() -> None:
    asked: list[str] = []

    def refusing(name: str) -> Any:
        async def run(services: Services, caller: Caller) -> Refusal:
            asked.append(f"{name} {caller.root.name}")
            return refusal("denied", "quota.live_per_root", "No.")

        run.__name__ = name
        return probe(run)

    async with serving([refusing("propose"), refusing("retire")]) as edge:
        answers = [await call(edge, "propose") for _ in range(61)]
        other_tool = await call(edge, "retire")
        other_token = edge.bench.world.tokens.issue("agents", "other")
        other_caller = await post(edge, a_call("propose"), x_agentspawn_token=other_token)

    assert {code for answer in answers[:60] for code in codes(answer)} == {"quota.live_per_root"}
    assert codes(answers[60]) == ["rate.refusals"]
    assert codes(other_tool) == codes(other_caller.json()["result"]["structuredContent"]) == ["quota.live_per_root"]
    assert asked.count("propose agents/orchestrator") == 60
    assert edge.meter.refusals == ["rate.refusals"]


async def test_an_account_that_is_no_root_is_in_the_audit_but_can_not_fill_it() -> None:
    async with serving() as edge:
        token = edge.bench.world.tokens.issue("agents", "somebody")
        for _ in range(70):
            await post(edge, a_call("list_templates"), x_agentspawn_token=token)

        records = edge.bench.audit.records
    assert len(records) == 60
    assert {(record.event, record.root, record.caller) for record in records} == {("refused", "", "agents/somebody")}
    assert {record.reasons for record in records} == {("identity.unknown_root",)}


async def test_a_call_without_a_credential_is_counted_but_fills_no_disk() -> None:
    async with serving() as edge:
        for _ in range(3):
            await post(edge, a_call("list_templates"))

    assert edge.meter.refusals == ["identity.missing"] * 3
    assert edge.bench.audit.records == []


def test_refusals_come_back_over_a_minute_and_are_each_callers_own() -> None:
    now = [0.0]
    buckets = RefusalBuckets(2, lambda: now[0])
    buckets.take("a")
    buckets.take("a")

    assert (buckets.is_empty("a"), buckets.is_empty("b")) == (True, False)
    now[0] = 30
    assert buckets.is_empty("a") is False
    buckets.take("a")
    assert buckets.is_empty("a") is True


def test_the_buckets_do_not_grow_without_bound() -> None:
    buckets = RefusalBuckets(1)
    for number in range(5000):
        buckets.take(f"caller-{number}")

    assert len(buckets._left) == 4096


async def test_every_call_is_counted_by_its_outcome() -> None:
    async with serving() as edge:
        await call(edge, "list_templates")
        await call(edge, "get_subagent", agent="NO")
        async with httpx.AsyncClient() as http:
            await http.get(f"{edge.base}/healthz")

    assert edge.meter.calls == [("list_templates", "allowed"), ("get_subagent", "denied")]

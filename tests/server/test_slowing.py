"""What one caller can take from the others: refusals a minute, and calls at a time."""

import asyncio
from typing import Any

from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.operations.answers import Pending, Refusal
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.calls import Calls
from mcp_agentspawn.server.results import refusal
from mcp_agentspawn.server.slowing import CALLS_AT_A_TIME, RefusalBuckets, Turns
from tests.builders import OTHER, ROOT, bench
from tests.server.edges import (
    CountingMeter,
    Slow,
    a_call,
    a_change,
    call,
    codes,
    post,
    probe,
    serving,
    until_at_once,
)


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


async def test_a_stale_answer_slows_down_as_a_denial_does() -> None:
    async def stale(services: Services, caller: Caller) -> Refusal:
        return refusal("stale", "proposal.lapsed", "No.")

    async with serving([probe(stale)]) as edge:
        answers = [await call(edge, "stale") for _ in range(61)]

    assert [codes(answer) for answer in answers[59:]] == [["proposal.lapsed"], ["rate.refusals"]]


async def test_asking_again_and_again_whether_a_person_has_decided_is_slowed_down() -> None:
    async def held(services: Services, caller: Caller) -> Pending:
        reasons = (Reason("approval.waiting", "1 person must approve."),)
        fields: Any = {"proposal": "sub-a", "digest": "", "risk": "medium", "phase": "proposed"}
        return Pending(outcome="pending_approval", reasons=reasons, proposal_expires_at="", **fields)

    async with serving([probe(held)]) as edge:
        answers = [await call(edge, "held") for _ in range(61)]

    assert [codes(answer) for answer in answers[59:]] == [["approval.waiting"], ["rate.refusals"]]


async def test_refusals_at_the_same_moment_get_hardly_past_the_bucket() -> None:
    begun = 0

    async def refused(services: Services, caller: Caller) -> Refusal:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0.01)  # a look at the cluster takes a while
        return refusal("denied", "quota.live_per_root", "No.")

    async with serving() as edge:
        caller, run = Caller(ROOT), probe(refused)
        await asyncio.gather(*(edge.calls.answer(run, caller, {}) for _ in range(200)))

    assert 60 <= begun < 60 + CALLS_AT_A_TIME


async def test_many_calls_of_one_caller_leave_the_others_theirs() -> None:
    slow = Slow()
    async with serving() as edge:
        one, other, change = Caller(ROOT), Caller(OTHER), a_change(slow)
        calls = [asyncio.create_task(edge.calls.answer(change, one, {})) for _ in range(2 * CALLS_AT_A_TIME)]
        await until_at_once(slow, CALLS_AT_A_TIME)
        calls.append(asyncio.create_task(edge.calls.answer(change, other, {})))
        await until_at_once(slow, CALLS_AT_A_TIME + 1)
        at_once = slow.at_once
        slow.may_end.set()
        await asyncio.gather(*calls)

    assert at_once == CALLS_AT_A_TIME + 1
    assert slow.done == 2 * CALLS_AT_A_TIME + 1


async def test_a_call_whose_turn_does_not_come_hears_that_it_is_one_of_too_many() -> None:
    slow = Slow()
    calls = Calls(bench().services, CountingMeter(), turns=Turns(1, 0.01))
    change = a_change(slow)
    first = asyncio.create_task(calls.answer(change, Caller(ROOT), {}))
    await slow.begun.wait()
    answer = await calls.answer(change, Caller(ROOT), {})
    slow.may_end.set()
    await first

    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("unavailable", ["server.busy"])
    assert (await calls.answer(change, Caller(ROOT), {})).outcome == "allowed"


async def test_whoever_has_no_call_is_not_remembered() -> None:
    turns = Turns(1, 0.01)
    async with turns.turn("a") as first, turns.turn("a") as second, turns.turn("b") as other:
        assert (first, second, other) == (True, False, True)

    assert (turns._running, turns._interested) == ({}, {})


async def test_one_too_many_waits_not_at_all() -> None:
    turns = Turns(1, 60, most_waiting=1)
    async with turns.turn("a") as first:
        waiting = asyncio.create_task(_has_its_turn(turns, "a"))
        await asyncio.sleep(0)  # it stands in line before the next one comes
        too_many = await _has_its_turn(turns, "a")
        other = await _has_its_turn(turns, "b")
        assert not waiting.done()

    assert (first, too_many, other, await waiting) == (True, False, True, True)
    assert (turns._running, turns._interested) == ({}, {})


async def _has_its_turn(turns: Turns, who: str) -> bool:
    async with asyncio.timeout(5), turns.turn(who) as its_turn:
        return its_turn


async def test_an_account_that_is_no_root_is_in_the_audit_but_can_not_fill_it() -> None:
    async with serving() as edge:
        token = edge.bench.world.tokens.issue("agents", "somebody")
        for _ in range(70):
            await post(edge, a_call("list_templates"), x_agentspawn_token=token)

        records = edge.bench.audit.records
    assert len(records) == 60
    assert {(record.event, record.root, record.caller) for record in records} == {("refused", "", "agents/somebody")}
    assert {record.reasons for record in records} == {("identity.unknown_root",)}


async def test_many_accounts_that_are_no_roots_fill_it_no_more_than_one() -> None:
    async with serving() as edge:
        tokens = [edge.bench.world.tokens.issue("agents", f"somebody-{number}") for number in range(70)]
        for token in tokens:
            await post(edge, a_call("list_templates"), x_agentspawn_token=token)

    assert len(edge.bench.audit.records) == 60


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

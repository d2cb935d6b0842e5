"""What an agent waits for, and what is sent to it then: never more than was decided."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.delegation import PendingCall
from mcp_agentspawn.core.errors import Refused
from tests.adapters.a2a.hostile import (
    ASK,
    FETCH,
    HERE,
    Connection,
    agent,
    answering,
    error,
    looked_at,
    part,
    talking,
    task,
    text,
    told,
    waiting,
)


async def test_a_question_in_plain_words_is_a_question() -> None:
    report = await looked_at(waiting(parts=[text("Which one?")]))

    assert (report.state, report.asks, report.text, report.pending) == ("input_required", "question", "Which one?", ())


@pytest.mark.parametrize("prefix", ["kagent", "adk"])
@pytest.mark.parametrize(
    ("calls", "asks"), [((ASK,), "question"), ((FETCH,), "tool_approval"), ((ASK, FETCH), "tool_approval")]
)
async def test_one_call_that_is_no_question_makes_it_a_tool_approval(
    calls: tuple[dict[str, Any], ...], asks: str, prefix: str
) -> None:
    report = await looked_at(waiting(*calls, prefix=prefix))

    assert report.asks == asks
    assert [call.id for call in report.pending] == [call["id"] for call in calls]


@pytest.mark.parametrize("arguments", [{}, {"questions": "all"}, {"questions": [{"ask": "x"}]}, {"questions": []}])
async def test_a_tool_that_only_bears_the_name_of_kagents_own_is_no_question(arguments: dict[str, Any]) -> None:
    report = await looked_at(waiting({**ASK, "args": arguments}))

    assert report.asks == "tool_approval"


async def test_a_call_is_shown_as_it_is_or_not_at_all() -> None:
    calls = [{**FETCH, "args": value} for value in ({"n": 3, "a": 0.5}, {"n": 2**60}, {"x": "y" * 20_000}, None)]

    report = await looked_at(waiting(*calls))

    assert [call.arguments for call in report.pending] == ['{"a":0.5,"n":3}', "", "", "{}"]


async def test_the_calls_of_a_subagents_own_subagent_are_told_and_those_below_are_not_shown() -> None:
    outer = {"id": "outer", "name": "agents__NS__child", "args": {"request": "x"}}
    deeper = {"id": "deeper", "name": "agents__NS__grandchild", "args": {"request": "y"}}
    inner = [{"name": "adk_request_confirmation", "originalFunctionCall": call} for call in (FETCH, deeper)]
    nested = part(outer, payload={"hitl_parts": inner})

    report = await looked_at(waiting(parts=[nested]))

    assert report.asks == "tool_approval"
    assert report.pending == (
        PendingCall("call-1", "fetch", '{"address":"x","n":3}'),
        PendingCall("deeper", "agents__NS__grandchild", ""),
    )


async def test_another_call_that_waits_is_told_by_its_own_name() -> None:
    data = {"name": "adk_request_credential", "id": "c", "args": {"a": 1}}
    other = {"kind": "data", "data": data, "metadata": {"adk_type": "function_call", "adk_is_long_running": True}}
    result = {"kind": "data", "data": data, "metadata": {"adk_type": "function_response"}}

    report = await looked_at(waiting(parts=[result, other]))

    assert report.pending == (PendingCall("c", "adk_request_credential", '{"a":1}'),)


@pytest.mark.parametrize("calls", [[FETCH] * 33, [{**FETCH, "id": "x" * 300}], [{**FETCH, "name": "x" * 300}]])
async def test_calls_that_can_not_all_be_told_are_not_told_in_part(calls: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused) as refused:
        await looked_at(waiting(*calls))
    assert refused.value.code == "unreadable"


@pytest.mark.parametrize("character", ["<", "&", '"', "\u2028", "\U0001f600", "x"])
async def test_what_waits_is_never_more_than_can_be_stored(character: str) -> None:
    """Go's JSON writes some characters out in six bytes, and quotation marks of the arguments are escaped twice."""
    calls = [{**FETCH, "id": f"call-{number}", "args": {"x": character * 8000}} for number in range(32)]

    report = await looked_at(waiting(*calls))

    stored = json.dumps([call.arguments for call in report.pending], ensure_ascii=False)
    for written_out in "<>&\u2028\u2029":
        stored = stored.replace(written_out, "\\u0000")
    assert len(stored.encode()) < 130 * 1024
    shown = [bool(call.arguments) for call in report.pending]
    assert any(shown)
    assert shown == sorted(shown, reverse=True)
    assert report.asks == "tool_approval"


async def data_of(body: bytes, **answer: Any) -> dict[str, Any]:
    """The data that this answer becomes to an agent that waits like this."""
    async with agent(answering(body), answering(task())) as stranger, talking(stranger) as agents:
        await agents.send(HERE, told(**{"text": "why", "task": "t-1", **answer}))
    _, seen = stranger.requests
    [sent] = seen.rpc["params"]["message"]["parts"]
    assert sent["kind"] == "data"
    found: dict[str, Any] = sent["data"]
    return found


async def refused(body: bytes, **answer: Any) -> None:
    """That an agent that waits like this is never sent such an answer."""
    async with agent(answering(body)) as stranger, talking(stranger) as agents:
        with pytest.raises(Refused) as raised:
            await agents.send(HERE, told(**{"text": "why", "task": "t-1", **answer}))
    assert raised.value.code == "rejected"
    assert [seen.rpc["method"] for seen in stranger.requests] == ["tasks/get"]


ASKED = PendingCall("call-2", "ask_user", '{"questions":[{"choices":["east","west"],"question":"Which?"}]}')
FETCHED = PendingCall("call-1", "fetch", '{"address":"x","n":3}')


async def test_an_answer_to_a_task_that_the_agent_does_not_know_is_rejected() -> None:
    await refused(error(-32001), calls=(ASKED,))


async def test_an_answer_goes_to_every_question() -> None:
    twice = {**ASK, "args": {"questions": [{"question": "Which?"}, {"question": "How many?"}]}}

    asked = replace(ASKED, arguments='{"questions":[{"question":"Which?"},{"question":"How many?"}]}')

    assert await data_of(waiting(twice), text="two", calls=(asked,)) == {
        "decision_type": "approve",
        "ask_user_answers": [{"answer": ["two"]}, {"answer": ["two"]}],
    }


async def test_an_answer_to_a_question_never_approves_a_tool_call() -> None:
    await refused(waiting(ASK), calls=(ASKED, FETCHED))
    await refused(waiting(FETCH), calls=(FETCHED,))
    await refused(waiting(ASK, FETCH), calls=(ASKED,))
    await refused(waiting(FETCH), calls=(ASKED,))
    await refused(waiting({**FETCH, "id": "call-2"}), calls=(ASKED,))
    await refused(waiting({**ASK, "id": "another"}), calls=(ASKED,))
    await refused(waiting({**ASK, "args": {"questions": [{"question": "May I?"}]}}), calls=(ASKED,))
    await refused(waiting(), calls=(ASKED,))
    await refused(task(status={"state": "working"}), calls=(ASKED,))


async def test_a_call_that_a_decision_leaves_out_is_rejected() -> None:
    other = {**FETCH, "id": "call-3"}

    assert await data_of(waiting(FETCH, other), calls=(FETCHED,), decisions={"call-1": True}) == {
        "decision_type": "batch",
        "decisions": {"call-1": "approve", "call-3": "reject"},
        "rejection_reasons": {"call-3": "why"},
    }


async def test_all_that_waits_is_rejected_when_nothing_is_approved() -> None:
    nameless = {**FETCH, "id": None}

    for body in (waiting(FETCH), waiting(nameless, FETCH), waiting({**FETCH, "args": {"x": "y" * 20_000}})):
        assert await data_of(body, decisions={"call-1": False}) == {
            "decision_type": "reject",
            "rejection_reason": "why",
        }
    assert await data_of(waiting(FETCH), decisions={"call-1": False}, text="") == {"decision_type": "reject"}


async def test_what_is_approved_without_a_word_gives_no_reasons() -> None:
    assert await data_of(waiting(FETCH), calls=(FETCHED,), decisions={"call-1": True}, text="") == {
        "decision_type": "batch",
        "decisions": {"call-1": "approve"},
    }


async def test_only_what_waits_and_can_be_told_and_was_shown_whole_is_approved() -> None:
    await refused(waiting(FETCH), calls=(FETCHED,), decisions={"call-9": True})
    await refused(waiting(FETCH, FETCH), calls=(FETCHED,), decisions={"call-1": True})
    await refused(waiting(FETCH, {**FETCH, "id": None}), calls=(FETCHED,), decisions={"call-1": True})
    not_shown = replace(FETCHED, arguments="")
    await refused(waiting({**FETCH, "args": {"x": "y" * 20_000}}), calls=(not_shown,), decisions={"call-1": True})
    await refused(task(), calls=(FETCHED,), decisions={"call-1": True})


@pytest.mark.parametrize("change", [{"args": {"address": "y", "n": 3}}, {"name": "send"}, {"id": "call-3"}])
async def test_what_waits_now_under_another_calls_id_is_not_approved(change: dict[str, Any]) -> None:
    await refused(waiting({**FETCH, **change}), calls=(FETCHED,), decisions={"call-1": True})
    await refused(waiting({**FETCH, **change}), decisions={"call-1": True})


async def test_answers_to_one_agent_go_one_after_the_other_each_to_what_waits_then() -> None:
    """The first answer goes on to a tool call: the second one, given at the same time, must not approve it."""
    state = {"waits": waiting(ASK)}

    async def behave(connection: Connection) -> None:
        if connection.request.rpc["method"] == "tasks/get":
            await connection.answer(state["waits"])
            return
        await asyncio.sleep(0.05)
        state["waits"] = waiting({**FETCH, "id": "call-2"})
        await connection.answer(task(status={"state": "working"}))

    async with agent(behave) as stranger, talking(stranger) as agents:
        both = [agents.send(HERE, told("east", task="t-1", calls=(ASKED,))) for _ in range(2)]
        ended = await asyncio.gather(*both, return_exceptions=True)

    assert [type(end).__name__ for end in ended] == ["Report", "Refused"]
    assert sum(seen.rpc["method"] == "message/send" for seen in stranger.requests) == 1

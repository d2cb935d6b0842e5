"""Whatever an agent answers, or does not: every call ends in time, with the right error, and with nothing followed."""

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.a2a import A2aAgents
from mcp_agentspawn.adapters.a2a import agents as module
from mcp_agentspawn.adapters.a2a.exchange import MOST_ANSWER_BYTES, Call, Exchange
from mcp_agentspawn.adapters.a2a.reading import MOST_TEXT_BYTES
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable, UnknownOutcome, Upstream
from tests.adapters.a2a.hostile import (
    CARD,
    HERE,
    TASK,
    Behave,
    Connection,
    agent,
    answering,
    artifact,
    error,
    resetting,
    rpc,
    silent,
    task,
    text,
    told,
)

SECONDS = 0.5
PAGE = b"<!doctype html><h1>Hello</h1>"
HUGE = b"9" * 5000


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in ("ASKING", "SENDING", "CANCELING"):
        monkeypatch.setattr(module, verb, getattr(module, verb)._replace(seconds=SECONDS))


@pytest_asyncio.fixture
async def patient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """For answers that take their time because they are large."""
    for verb in ("ASKING", "SENDING", "CANCELING"):
        monkeypatch.setattr(module, verb, getattr(module, verb)._replace(seconds=20.0))
    yield


def talking(url: str) -> A2aAgents:
    return A2aAgents(url, "0.3", chance=lambda: 0.0)


async def ask(agents: A2aAgents, verb: str) -> None:
    match verb:
        case "card":
            await agents.card(HERE)
        case "send":
            await agents.send(HERE, told())
        case "look":
            await agents.look(HERE, "t-1")
        case _:
            await agents.cancel(HERE, "t-1")


async def what_becomes(verb: str, *behaviours: Behave) -> Upstream:
    """Which error a call ends in."""
    async with agent(*behaviours) as stranger, talking(stranger.url) as agents:
        with pytest.raises(Upstream) as raised:
            await ask(agents, verb)
        return raised.value


def code(failure: Upstream) -> str:
    return failure.code if isinstance(failure, Refused) else type(failure).__name__


def raw(answer: bytes) -> Behave:
    async def behave(connection: Connection) -> None:
        await connection.write(answer)
        connection.writer.close()

    return behave


async def dripping(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    while True:
        await connection.write(b" ")
        await asyncio.sleep(0.01)


async def endless(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while True:
        await connection.write(chunk)


UNREADABLE = {
    "html": answering(PAGE, kind="text/html"),
    "html called json": answering(PAGE),
    "events": answering(b'data: {"result":{}}\n\n', kind="text/event-stream"),
    "a gzip bomb": answering(gzip.compress(b"0" * 50_000_000), content_encoding="gzip"),
    "nothing": answering(b""),
    "no object": answering(b"[]"),
    "no number": answering(b'{"result":{"id":"t","contextId":"c","status":{"state":"completed"},"x":NaN}}'),
    "a key twice": answering(b'{"result":{"id":"t","id":"u","contextId":"c","status":{"state":"completed"}}}'),
    "a number of 5000 digits": answering(b'{"result":%s}' % HUGE),
    "deep nesting": answering(b'{"result":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    "nesting that is only too deep for people": answering(b'{"result":' + b"[" * 100 + b"]" * 100 + b"}"),
    "no result": answering(b'{"jsonrpc":"2.0","id":1}'),
    "half a text": answering(task()[:-9]),
    "not UTF-8": answering(task().replace(b"t-1", b"\xff\xfe\xfd")),
    "an error that is none": answering(b'{"error":"no"}'),
    "an error with a strange code": answering(error("-32001")),
    "a length that is none": raw(b"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: x\r\n\r\n{}"),
}


def wrong(key: str, *values: Any) -> list[Any]:
    return [{**TASK, key: value} for value in values]


WRONG_TYPES: tuple[Any, ...] = (
    *wrong("id", None, 1, [], {}, "", "x" * 300),
    *wrong("status", None, 1, "completed", []),
    *wrong("artifacts", 1, "x", {"a": 1}, [1], [{"artifactId": 1, "parts": 1}], [{}]),
    *({**TASK, "artifacts": [artifact(part)]} for part in ({}, {"kind": "text"}, {"kind": "data", "data": 1})),
    {**TASK, "artifacts": [artifact({"kind": "file", "file": {"bytes": "A"}})]},
    {**TASK, "artifacts": [artifact({"kind": "data", "data": {"n": 10**400}})]},
    {**TASK, "artifacts": [artifact({"kind": "data", "data": {"a": 1}, "metadata": {"data_part_compat": True}})]},
    {**TASK, "contextId": {"a": 1}},
    *(1, "x", [], None, True, {}),
)


@pytest.mark.parametrize("answer", UNREADABLE)
async def test_an_answer_that_can_not_be_read_is_refused_and_after_a_message_nobody_knows(answer: str) -> None:
    assert code(await what_becomes("look", UNREADABLE[answer])) in {"unreadable", "Unavailable"}
    assert isinstance(await what_becomes("send", UNREADABLE[answer]), UnknownOutcome)


@pytest.mark.parametrize("result", WRONG_TYPES, ids=lambda result: json.dumps(result)[:60])
async def test_a_task_of_wrong_types_can_not_be_read(result: Any) -> None:
    assert code(await what_becomes("look", answering(rpc(result)))) == "unreadable"


@pytest.mark.parametrize("verb", ["card", "look", "cancel", "send"])
async def test_an_agent_that_never_answers_is_given_up_in_time(verb: str) -> None:
    begun = time.monotonic()

    for behaviour in (silent, dripping):
        failure = await what_becomes(verb, behaviour)
        assert isinstance(failure, Unavailable if verb in {"card", "look"} else UnknownOutcome)

    assert time.monotonic() - begun < 2 * SECONDS + 5


@pytest.mark.parametrize("verb", ["send", "cancel"])
async def test_a_connection_that_is_reset_after_a_message_leaves_it_unknown_and_it_is_not_sent_again(verb: str) -> None:
    async with agent(resetting) as stranger, talking(stranger.url) as agents:
        with pytest.raises(UnknownOutcome):
            await (agents.send(HERE, told()) if verb == "send" else agents.cancel(HERE, "t-1"))

        assert len(stranger.requests) == 1


async def test_a_look_is_taken_again_and_says_how_often_it_was_in_vain() -> None:
    async with agent(resetting, answering(b"", 502), answering(task())) as stranger, talking(stranger.url) as agents:
        report = await agents.look(HERE, "t-1")

        assert (report.state, report.tries) == ("completed", 2)
        assert len(stranger.requests) == 3


async def test_what_fails_three_times_is_not_tried_a_fourth_time() -> None:
    async with agent(answering(b"", 500)) as stranger, talking(stranger.url) as agents:
        with pytest.raises(Unavailable):
            await agents.look(HERE, "t-1")

        assert len(stranger.requests) == 3


@pytest.mark.parametrize(
    ("status", "looked", "sent"),
    [
        (404, "Unavailable", "Unavailable"),
        (429, "Unavailable", "Unavailable"),
        (503, "Unavailable", "UnknownOutcome"),
        (500, "Unavailable", "UnknownOutcome"),
        (504, "Unavailable", "UnknownOutcome"),
        (400, "Unavailable", "rejected"),
        (401, "Unavailable", "rejected"),
        (204, "Unavailable", "rejected"),
    ],
)
async def test_a_status_says_whether_a_message_was_taken(status: int, looked: str, sent: str) -> None:
    assert code(await what_becomes("look", answering(task(), status))) == looked
    assert code(await what_becomes("send", answering(task(), status))) == sent


async def test_a_message_that_a_proxy_says_is_not_answered_goes_once() -> None:
    async with agent(answering(b"", 503), answering(task())) as stranger, talking(stranger.url) as agents:
        with pytest.raises(UnknownOutcome):
            await agents.send(HERE, told())

        assert len(stranger.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with agent(answering(rpc(CARD))) as elsewhere:
        away = answering(b"", status, location=elsewhere.url)

        assert code(await what_becomes("card", away)) == "Unavailable"
        assert code(await what_becomes("look", away)) == "Unavailable"
        assert code(await what_becomes("send", away)) == "rejected"
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("said", "looked", "sent", "canceled"),
    [
        (-32001, "Missing", "rejected", "Missing"),
        (-32002, "rejected", "rejected", "not_cancelable"),
        (-32004, "rejected", "rejected", "not_cancelable"),
        (-32603, "Unavailable", "UnknownOutcome", "not_cancelable"),
        (-32601, "Unavailable", "Unavailable", "Unavailable"),
        (-32009, "Unavailable", "Unavailable", "Unavailable"),
        (-32600, "rejected", "rejected", "rejected"),
        (7, "rejected", "rejected", "rejected"),
    ],
)
async def test_an_error_of_the_protocol_means_what_was_asked(said: int, looked: str, sent: str, canceled: str) -> None:
    assert code(await what_becomes("look", answering(error(said)))) == looked
    assert code(await what_becomes("send", answering(error(said)))) == sent
    assert code(await what_becomes("cancel", answering(error(said)))) == canceled


async def test_no_error_quotes_what_the_agent_sent() -> None:
    secret = "hunter2-and-more"
    answers = [
        answering(error(-32001, secret)),
        answering(error(-1, secret)),
        answering(secret.encode()),
        answering(rpc({**TASK, "status": secret})),
        answering(secret.encode(), 500),
        answering(b"", 302, location=f"http://{secret}/"),
        raw(f"HTTP/1.1 {secret}\r\n\r\n".encode()),
    ]
    for verb in ("card", "look", "send", "cancel"):
        for answer in answers:
            failure = await what_becomes(verb, answer)
            chain = [failure, failure.__cause__]
            assert all(secret not in f"{part!r}{part}" for part in chain), verb
            assert failure.__suppress_context__


@pytest.mark.usefixtures("patient")
async def test_a_result_of_megabytes_is_cut_and_says_so() -> None:
    answer = task(artifacts=[artifact(text("é" * 2_000_000))])
    async with agent(answering(answer)) as stranger, talking(stranger.url) as agents:
        report = await agents.look(HERE, "t-1")

    assert report.truncated
    assert report.text == "é" * (MOST_TEXT_BYTES // 2)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("verb", ["card", "look", "send"])
async def test_an_answer_past_the_bound_is_not_read_to_its_end(verb: str) -> None:
    body = b'{"result":"' + b"x" * (28 * 1024 * 1024) + b'"}'

    assert code(await what_becomes(verb, answering(body))) == "too_large"
    tracemalloc.start()
    try:
        assert code(await what_becomes(verb, endless)) == "too_large"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * MOST_ANSWER_BYTES


@pytest.mark.usefixtures("patient")
async def test_an_answer_of_too_many_pieces_is_too_large_before_it_is_made() -> None:
    crowded = b'{"result":[' + b"[]," * 2_000_000 + b"[]]}"
    keys = b'{"result":{' + b",".join(b'"%d":{"\\"":""}' % number for number in range(30_000)) + b"}}"
    strings = b'{"result":[' + b'"a""a"' * 200_000 + b"]}"

    for body in (crowded, keys, strings):
        assert code(await what_becomes("look", answering(body))) == "too_large"


@pytest.mark.usefixtures("patient")
async def test_a_text_full_of_brackets_and_quotes_is_one_piece() -> None:
    words = '{"a": [1, 2, "\\"]}' * 100_000
    async with agent(answering(task(artifacts=[artifact(text(words))]))) as stranger, talking(stranger.url) as agents:
        assert (await agents.look(HERE, "t-1")).text == words[:MOST_TEXT_BYTES]


@pytest.mark.usefixtures("patient")
async def test_the_loop_goes_on_while_a_large_answer_is_read() -> None:
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    def read(body: bytes) -> int:
        before, until = turns, time.monotonic() + 20
        while turns < before + 10 and time.monotonic() < until:
            time.sleep(0.001)
        return turns - before

    async with agent(answering(task(artifacts=[artifact(text("x" * 100_000))]))) as stranger:
        exchange, turner = Exchange(secure=False), asyncio.create_task(turning())
        call = Call(stranger.url, {}, b"{}", asyncio.get_running_loop().time() + 20, asyncio.Lock())
        try:
            assert await exchange.ask(call, read) >= 10
        finally:
            turner.cancel()
            await exchange.close()


async def test_half_a_character_is_replaced_and_the_rest_is_kept() -> None:
    async with (
        agent(answering(task(artifacts=[artifact(text("so \ud83d far \ud83d\ude00"))]))) as stranger,
        talking(stranger.url) as agents,
    ):
        assert (await agents.look(HERE, "t-1")).text == "so � far 😀"


@pytest.mark.parametrize("state", ["dreaming", "", None, 7, ["completed"]])
async def test_a_state_that_nobody_knows_is_work_in_progress(state: Any) -> None:
    answer = answering(task(status={"state": state}))
    async with agent(answer) as stranger, talking(stranger.url) as agents:
        assert (await agents.look(HERE, "t-1")).state == "working"


async def test_a_closed_port_and_an_unknown_host_are_unavailable_for_a_message_too() -> None:
    async with agent(silent) as stranger:
        closed = stranger.url
    for url in (closed, "http://no-such-host.invalid/"):
        async with talking(url) as agents:
            for asked in (agents.card(HERE), agents.look(HERE, "t-1"), agents.send(HERE, told())):
                with pytest.raises(Unavailable):
                    await asked
            with pytest.raises(Unavailable):
                await agents.cancel(HERE, "t-1")


async def test_missing_is_told_for_a_task_that_is_gone() -> None:
    assert isinstance(await what_becomes("look", answering(error(-32001))), Missing)

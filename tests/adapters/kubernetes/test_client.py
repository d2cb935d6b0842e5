import pytest

from mcp_agentspawn.adapters.kubernetes import client as module
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import TooLong
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable, UnknownOutcome
from tests.adapters.kubernetes.fake_api import FakeApi, Reply, Scripted, reply, status


async def test_an_object_is_sent_as_json_and_the_answer_is_read_as_one(api: FakeApi, transport: Transport) -> None:
    api.replies = [reply(201, kind="Thing")]

    answer = await Client(transport).request("POST", "/apis/x", {"a": [1, "ä"]}, as_=SERVER)

    assert answer == {"kind": "Thing"}
    assert api.seen[0].body == b'{"a":[1,"\\u00e4"]}'


async def test_a_refusal_is_raised_as_ours(api: FakeApi, transport: Transport) -> None:
    api.replies = [status(404, "NotFound", "not found")]

    with pytest.raises(Missing):
        await Client(transport).request("GET", "/apis/x", as_=SERVER)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'"text"'])
async def test_an_answer_that_is_no_object_is_no_answer(api: FakeApi, transport: Transport, body: bytes) -> None:
    api.replies = [Reply(200, body)]

    with pytest.raises(Unavailable):
        await Client(transport).request("GET", "/apis/x", as_=SERVER)
    with pytest.raises(Unavailable):
        await Client(transport).request("POST", "/apis/x", {}, as_=SERVER, asks=True)
    with pytest.raises(UnknownOutcome):
        await Client(transport).request("POST", "/apis/x", {}, as_=SERVER)


async def test_what_json_has_no_word_for_is_refused_unsent(api: FakeApi, transport: Transport) -> None:
    for value in (float("nan"), object()):
        with pytest.raises(Refused) as refusal:
            await Client(transport).request("POST", "/apis/x", {"a": value}, as_=SERVER)
        assert refusal.value.code == "invalid"
    assert api.seen == []


async def test_a_question_that_is_no_get_changes_nothing() -> None:
    wire = Scripted([(200, {})])

    await wire.client().request("POST", "/apis/x", {}, as_=SERVER, asks=True)
    await wire.client().request("POST", "/apis/x", {}, as_=SERVER)
    await wire.client().request("GET", "/apis/x", as_=SERVER)

    assert [call.changes for call in wire.calls] == [False, True, False]


async def test_a_collection_is_read_page_by_page() -> None:
    wire = Scripted(
        [
            (200, {"items": [{"n": 1}], "metadata": {"continue": "next"}}),
            (200, {"items": [{"n": 2}], "metadata": {}}),
        ]
    )

    found = await wire.client().list("/apis/x", selector="a=b")

    assert found == [{"n": 1}, {"n": 2}]
    assert [dict(call.query) for call in wire.calls] == [
        {"limit": "250", "labelSelector": "a=b"},
        {"limit": "250", "labelSelector": "a=b", "continue": "next"},
    ]


async def test_a_collection_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAGES", 3)
    wire = Scripted([(200, {"items": [], "metadata": {"continue": "again"}})])

    with pytest.raises(Unavailable):
        await wire.client().list("/apis/x")

    assert len(wire.calls) == 3


async def test_objects_too_large_for_one_answer_are_read_a_few_at_a_time() -> None:
    wire = Scripted(
        [
            (200, {"items": [{"n": 1}], "metadata": {"continue": "next"}}),
            TooLong("x"),
            TooLong("x"),
            (200, {"items": [{"n": 2}], "metadata": {"continue": "last"}}),
            (200, {"items": [{"n": 3}], "metadata": {}}),
        ]
    )

    assert await wire.client().list("/apis/x") == [{"n": 1}, {"n": 2}, {"n": 3}]
    asked = [(call.query["limit"], call.query.get("continue")) for call in wire.calls]
    assert asked == [("250", None), ("250", "next"), ("25", "next"), ("2", "next"), ("2", "last")]


async def test_an_object_that_is_too_large_alone_is_not_asked_for_again_and_again() -> None:
    wire = Scripted([TooLong("x")])

    with pytest.raises(Unavailable):
        await wire.client().list("/apis/x")

    assert [call.query["limit"] for call in wire.calls] == ["250", "25", "2", "1"]


@pytest.mark.parametrize("page", [{}, {"items": []}, {"items": [], "metadata": None}, {"items": 1, "metadata": {}}])
async def test_a_page_that_is_none_is_no_answer(page: dict[str, object]) -> None:
    with pytest.raises(Unavailable):
        await Scripted([(200, page)]).client().list("/apis/x")


NOT_YET = (429, {"kind": "Status", "reason": "TooManyRequests", "message": "storage is (re)initializing"})


async def test_a_collection_that_is_not_ready_yet_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOT_YET_SECONDS", 0)
    wire = Scripted([NOT_YET, NOT_YET, (200, {"items": [{"n": 1}], "metadata": {}})])

    assert await wire.client().list("/apis/x") == [{"n": 1}]


async def test_one_that_does_not_become_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOT_YET_SECONDS", 0)
    wire = Scripted([NOT_YET])

    with pytest.raises(Unavailable):
        await wire.client().list("/apis/x")

    assert len(wire.calls) == module.NOT_YET_TIMES + 1

"""Whose a token is, for every kind of token that a cluster knows. The real ones: `test_api_server.py`."""

import asyncio
import json
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.identity import (
    MOST_FAMILIAR,
    MOST_WAITING,
    REVIEWS_AT_A_TIME,
    KubernetesTokens,
)
from mcp_agentspawn.adapters.kubernetes.principals import Call
from mcp_agentspawn.adapters.kubernetes.transport import Answer
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ports import Account
from tests.adapters.kubernetes.fake_api import Scripted, Unstreamed

NAME = "system:serviceaccount:agents:orchestrator"
LISTED = ["agents/orchestrator"]
CREDENTIAL_ID = {"authentication.kubernetes.io/credential-id": ["JTI=1"]}
NO: dict[str, Any] = {"authenticated": False, "error": "token my-token is wrong"}


def yes(name: str = NAME, audiences: list[str] | None = None, **user: Any) -> dict[str, Any]:
    return {"authenticated": True, "user": {"username": name, "uid": "1", **user}, "audiences": audiences}


def reviewing(*statuses: dict[str, Any]) -> Scripted:
    return Scripted([(201, {"status": status}) for status in statuses])


async def test_a_token_of_our_audience_is_accepted_and_asked_about_once() -> None:
    wire = reviewing(yes(audiences=["agentspawn"], extra=CREDENTIAL_ID))

    assert await KubernetesTokens(wire.client(), LISTED).caller("my-token") == Account("agents", "orchestrator", "1")

    (call,) = wire.calls
    assert json.loads(call.body or b"")["spec"] == {"token": "my-token", "audiences": ["agentspawn"]}
    assert not call.changes


@pytest.mark.parametrize("audiences", [None, [], ["https://kubernetes.default.svc"]])
async def test_a_review_that_does_not_confirm_the_audience_confirms_nothing(audiences: list[str] | None) -> None:
    wire = reviewing(yes(audiences=audiences))

    assert await KubernetesTokens(wire.client(), LISTED).caller("my-token") is None
    assert len(wire.calls) == 1


async def test_a_legacy_token_of_a_listed_account_is_accepted_at_the_second_question() -> None:
    wire = reviewing(NO, yes(audiences=["https://kubernetes.default.svc"]))

    assert await KubernetesTokens(wire.client(), LISTED).caller("my-token") == Account("agents", "orchestrator", "1")
    assert json.loads(wire.calls[1].body or b"")["spec"] == {"token": "my-token"}


@pytest.mark.parametrize(
    "second",
    [
        NO,
        {},
        yes(extra=CREDENTIAL_ID),
        yes(extra={"authentication.kubernetes.io/pod-name": ["x"]}),
        yes("system:serviceaccount:agents:other"),
        yes("system:serviceaccount:other:orchestrator"),
    ],
    ids=["invalid", "empty", "bound", "bound to a pod", "another account", "another namespace"],
)
async def test_what_is_no_legacy_token_of_a_listed_account_is_nobodys(second: dict[str, Any]) -> None:
    assert await KubernetesTokens(reviewing(NO, second).client(), LISTED).caller("my-token") is None


async def test_legacy_tokens_are_not_even_asked_about_when_nobody_is_listed() -> None:
    wire = reviewing(NO, yes())

    assert await KubernetesTokens(wire.client()).caller("my-token") is None
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "system:node:one",
        "system:admin",
        "oidc:system:serviceaccount:agents:orchestrator",
        "system:serviceaccount:agents",
        "system:serviceaccount::orchestrator",
        "system:serviceaccount:agents:",
        "",
    ],
)
async def test_whoever_is_no_service_account_is_nobody(name: str) -> None:
    ours = reviewing(yes(name, audiences=["agentspawn"]))
    legacy = reviewing(NO, yes(name))

    assert await KubernetesTokens(ours.client(), LISTED).caller("my-token") is None
    assert await KubernetesTokens(legacy.client(), LISTED).caller("my-token") is None


async def test_an_account_without_a_uid_is_nobody() -> None:
    wire = reviewing(yes(audiences=["agentspawn"], uid=""))

    assert await KubernetesTokens(wire.client(), LISTED).caller("my-token") is None


@pytest.mark.parametrize("status", [yes(audiences=["agentspawn"]), NO])
async def test_an_answer_is_good_for_ten_seconds_and_no_more(status: dict[str, Any]) -> None:
    time = [0.0]
    wire = reviewing(status)
    tokens = KubernetesTokens(wire.client(), clock=lambda: time[0])

    for moment, reviews in ((0.0, 1), (9.9, 1), (10.0, 2)):
        time[0] = moment
        await tokens.caller("my-token")
        assert len(wire.calls) == reviews


async def test_the_same_token_at_the_same_moment_is_reviewed_once() -> None:
    wire = reviewing(yes(audiences=["agentspawn"]))
    tokens = KubernetesTokens(wire.client())

    said = await asyncio.gather(*(tokens.caller("my-token") for _ in range(20)))

    assert said == [Account("agents", "orchestrator", "1")] * 20
    assert len(wire.calls) == 1


async def test_a_review_that_failed_is_not_remembered_as_a_no() -> None:
    wire = Scripted([Unavailable("down"), (201, {"status": yes(audiences=["agentspawn"])})])
    tokens = KubernetesTokens(wire.client())

    with pytest.raises(Unavailable):
        await tokens.caller("my-token")
    assert await tokens.caller("my-token") is not None


async def test_an_answer_that_is_no_review_is_no_answer() -> None:
    for status in ({"authenticated": True}, {"authenticated": True, "user": None}):
        with pytest.raises(Unavailable):
            await KubernetesTokens(reviewing(status).client()).caller("my-token")


async def test_the_token_is_kept_nowhere() -> None:
    tokens = KubernetesTokens(reviewing(yes(audiences=["agentspawn"])).client())

    await tokens.caller("my-token")

    assert "my-token" not in repr(vars(tokens._answers))
    assert len(tokens._answers._known) == 1


@pytest.mark.parametrize("token", ["", "x" * 16_385, "a\nb", "ä", "\x00"])
async def test_what_can_be_no_token_is_not_asked_about(token: str) -> None:
    wire = reviewing(yes(audiences=["agentspawn"]))

    assert await KubernetesTokens(wire.client(), LISTED).caller(token) is None
    assert wire.calls == []


class Holding(Unstreamed):
    """An API server that holds back every review of a made-up token until it is told."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.held = 0

    async def send(self, call: Call) -> Answer:
        status = yes(audiences=["agentspawn"])
        if b"made-up" in (call.body or b""):
            self.held += 1
            await self.may_answer.wait()
            status = NO
        return Answer(201, json.dumps({"status": status}).encode(), retry_after=False)


async def test_made_up_tokens_keep_nobody_waiting_whose_token_was_good_before() -> None:
    wire, now = Holding(), [0.0]
    tokens = KubernetesTokens(Client(wire), clock=lambda: now[0])
    good = await tokens.caller("good")
    flood = [asyncio.create_task(tokens.caller(f"made-up-{number}")) for number in range(400)]
    await asyncio.sleep(0)
    now[0] = 60
    async with asyncio.timeout(5):
        again = await tokens.caller("good")
    held = wire.held
    wire.may_answer.set()
    said = await asyncio.gather(*flood, return_exceptions=True)

    assert good == again == Account("agents", "orchestrator", "1")
    assert held == REVIEWS_AT_A_TIME
    assert said.count(None) == REVIEWS_AT_A_TIME + MOST_WAITING
    assert all(isinstance(answer, Unavailable) for answer in said if answer is not None)
    assert await tokens.caller("newcomer") == good


async def test_good_tokens_are_remembered_in_bounds_and_a_revoked_one_no_longer() -> None:
    statuses = [yes(audiences=["agentspawn"])] * (MOST_FAMILIAR + 1) + [NO]
    now = [0.0]
    tokens = KubernetesTokens(reviewing(*statuses).client(), clock=lambda: now[0])
    for number in range(MOST_FAMILIAR + 1):
        await tokens.caller(f"token-{number}")
    assert len(tokens._familiar) == MOST_FAMILIAR
    now[0] = 60

    assert await tokens.caller(f"token-{MOST_FAMILIAR}") is None
    assert len(tokens._familiar) == MOST_FAMILIAR - 1

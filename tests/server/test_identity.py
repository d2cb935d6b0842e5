"""Who calls, over real HTTP: every form of credential, good and bad, on every method."""

import asyncio
import random
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx
import pytest

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.ports import Account
from mcp_agentspawn.operations.answers import Answer
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.identity import CALLER, Identity, reply
from mcp_agentspawn.server.subagents import Subagents
from mcp_agentspawn.server.tools import TOOLS
from tests.builders import ROOT, bench
from tests.server.edges import (
    ERAS,
    LEGACY,
    FakeTokens,
    RunningEdge,
    a_call,
    client,
    codes,
    message,
    post,
    probe,
    serving,
)

INITIALIZE = message(
    "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "test", "version": "1"}
)
META = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
REQUESTS = [message(), INITIALIZE, a_call("list_templates")]


async def whoami(services: Services, caller: Caller) -> Answer:
    """Say who calls."""
    await asyncio.sleep(random.random() / 100)  # noqa: S311 - only mixes the order
    return Answer(next_step=caller.root.name)


async def raw(edge: RunningEdge, headers: list[tuple[str, str]], body: Any = None) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(edge.url, json=body or message(), headers=[*LEGACY.items(), *headers])


@pytest.mark.parametrize("body", REQUESTS, ids=lambda body: body["method"])
@pytest.mark.parametrize(
    "headers",
    [
        [("X-Agentspawn-Token", "wrong")],
        [("X-Agentspawn-Token", "")],
        [("Authorization", "Bearer wrong")],
        [("Authorization", "Bearer")],
        [("Authorization", "")],
        [("Authorization", "Basic GOOD")],
        [("Authorization", "GOOD")],
        [("Authorization", "Bearer GOOD GOOD")],
        [("Authorization", "Bearer GOOD"), ("X-Agentspawn-Token", "GOOD")],
        [("Authorization", "Bearer GOOD"), ("Authorization", "Bearer GOOD")],
        [("X-Agentspawn-Token", "GOOD"), ("X-Agentspawn-Token", "GOOD")],
        [("X-Agentspawn-Token", "GOOD, GOOD")],
        [("X-Agentspawn-Token", "GOOD\u00e9")],
        [("X-Agentspawn-Token", "x" * (16 * 1024 + 1))],
    ],
    ids=lambda headers: str(headers)[:60],
)
async def test_a_bad_credential_is_unauthorized_on_any_request(
    edge: RunningEdge, body: Any, headers: list[tuple[str, str]]
) -> None:
    shown = [(name, value.replace("GOOD", edge.token)) for name, value in headers]
    sent = [(name.encode(), value.encode("latin-1")) for name, value in [*LEGACY.items(), *shown]]
    async with httpx.AsyncClient() as http:
        response = await http.post(edge.url, json=body, headers=sent)

    assert response.status_code == 401
    metadata = f'resource_metadata="{edge.base}/.well-known/oauth-protected-resource/mcp"'
    assert metadata in response.headers["www-authenticate"]
    assert response.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("X-Agentspawn-Token", "{}"),
        ("x-agentspawn-token", "{}"),
        ("Authorization", "Bearer {}"),
        ("authorization", "bearer {}"),
        ("AUTHORIZATION", "BEARER   {}"),
    ],
)
async def test_a_good_credential_is_known_in_each_of_its_forms(edge: RunningEdge, name: str, form: str) -> None:
    response = await raw(edge, [(name, form.format(edge.token))], a_call("list_templates"))

    assert response.json()["result"]["structuredContent"]["outcome"] == "allowed"


@pytest.mark.parametrize("era", ERAS)
async def test_without_a_credential_one_can_look_but_not_call(edge: RunningEdge, era: str) -> None:
    async with client(edge, era, token=None) as session:
        listed = await session.list_tools()
        answered = [await session.call_tool(tool.name, {}) for tool in listed.tools]

    assert len(listed.tools) == len(TOOLS)
    for answer in answered:
        assert answer.is_error
        assert answer.structured_content is not None
        assert codes(answer.structured_content) == ["identity.missing"]


async def test_an_account_that_is_no_root_is_refused(edge: RunningEdge) -> None:
    token = edge.bench.world.tokens.issue("agents", "somebody")
    listed = await post(edge, message(), x_agentspawn_token=token)
    answered = await post(edge, a_call("list_templates"), x_agentspawn_token=token)

    assert len(listed.json()["result"]["tools"]) == len(TOOLS)
    assert codes(answered.json()["result"]["structuredContent"]) == ["identity.unknown_root"]


async def test_the_same_account_name_in_another_namespace_is_nobody(edge: RunningEdge) -> None:
    token = edge.bench.world.tokens.issue("subagents", "orchestrator")
    answered = await post(edge, a_call("list_templates"), x_agentspawn_token=token)

    assert codes(answered.json()["result"]["structuredContent"]) == ["identity.unknown_root"]


@pytest.mark.parametrize("error", [Unavailable("no answer"), TimeoutError()], ids=["unavailable", "timeout"])
async def test_a_verifier_that_can_not_answer_is_no_verdict(error: Exception) -> None:
    tokens = FakeTokens(error)
    async with serving(tokens=tokens) as edge:
        response = await post(edge, message(), x_agentspawn_token="abc")

    assert response.status_code == 503
    assert tokens.asked == ["abc"]


async def test_a_malformed_credential_is_never_sent_on_to_be_verified() -> None:
    tokens = FakeTokens(Account("agents", "orchestrator", "uid"))
    async with serving(tokens=tokens) as edge:
        refused = [await raw(edge, [("Authorization", value)]) for value in ("Basic abc", "Bearer a b", "Bearer")]

    assert [response.status_code for response in refused] == [401, 401, 401]
    assert tokens.asked == []


async def test_what_lies_behind_never_sees_the_credential() -> None:
    seen: dict[str, Any] = {}

    async def behind(scope: Any, _receive: Any, send: Any) -> None:
        seen.update(scope)
        await reply(send, HTTPStatus.OK, {})

    tokens = FakeTokens(Account("agents", "orchestrator", "uid"))
    identity = Identity(behind, tokens, Subagents(bench().services), "https://a.example.com")
    transport = httpx.ASGITransport(identity)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as http:
        await http.post("/", headers={"X-Agentspawn-Token": "shown", "X-Other": "kept"})

    assert seen[CALLER] == Caller(ROOT)
    assert seen[CALLER].account == "uid"
    assert (b"x-other", b"kept") in seen["headers"]
    assert "shown" not in str(seen)


async def test_nobody_can_name_a_caller_but_by_a_credential(edge: RunningEdge) -> None:
    body = a_call("list_templates")
    body["params"]["_meta"] = {"caller": "agents/orchestrator", "agentspawn.caller": "agents/orchestrator"}
    named = {"x_forwarded_user": "agents/orchestrator", "impersonate_user": "x", "agentspawn_caller": "x"}
    answered = await post(edge, body, **named)

    assert codes(answered.json()["result"]["structuredContent"]) == ["identity.missing"]


async def test_the_metadata_says_where_tokens_come_from(edge: RunningEdge) -> None:
    async with httpx.AsyncClient() as http:
        documents = [
            (await http.get(edge.base + path)).json()
            for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource")
        ]

    assert documents[0] == documents[1]
    assert documents[0]["resource"] == edge.url
    assert documents[0]["authorization_servers"] == ["https://issuer.example.com"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_thousand_concurrent_callers_are_each_themselves(era: str) -> None:
    roots = [Root("agents", f"root-{number}", "subagents") for number in range(10)]
    over = bench()
    over = type(over)(**(vars(over) | {"services": with_roots(over.services, roots)}))
    tokens = {root.name: over.world.tokens.issue("agents", root.account) for root in roots}
    asking = list(tokens) * 100
    random.Random(7).shuffle(asking)  # noqa: S311 - only mixes the order
    async with serving([probe(whoami)], over=over) as edge, aiohttp.ClientSession() as http:
        said = await asyncio.gather(*(ask(http, edge, era, tokens[name]) for name in asking))

    assert said == asking
    assert len(said) == 1000


def with_roots(services: Services, roots: list[Root]) -> Services:
    return Services(**{name: getattr(services, name) for name in Services.__slots__ if name != "roots"}, roots=roots)


def whoami_in(era: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The call of one era, as bytes on the wire have it: a body and its headers."""
    body = a_call("whoami")
    if era == "legacy":
        return body, LEGACY
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in META.items()}
    body["params"]["_meta"] = meta
    return body, LEGACY | {"mcp-protocol-version": era, "mcp-method": "tools/call", "mcp-name": "whoami"}


async def ask(http: aiohttp.ClientSession, edge: RunningEdge, era: str, token: str) -> str:
    body, headers = whoami_in(era)
    async with http.post(edge.url, json=body, headers=headers | {"authorization": f"Bearer {token}"}) as response:
        said: str = (await response.json())["result"]["structuredContent"]["next_step"]
        return said


async def trace(services: Services, caller: Caller) -> Answer:
    """Say in which trace the call came."""
    return Answer(next_step=caller.trace)


GOOD_TRACE, OTHER_TRACE = f"00-{'1' * 32}-{'2' * 16}-01", f"00-{'3' * 32}-{'4' * 16}-00"


@pytest.mark.parametrize(
    ("header", "meta", "told"),
    [
        (GOOD_TRACE, None, GOOD_TRACE),
        (None, GOOD_TRACE, GOOD_TRACE),
        (GOOD_TRACE, OTHER_TRACE, GOOD_TRACE),
        (None, None, ""),
        (f"00-{'0' * 32}-{'2' * 16}-01", None, ""),
        (f"00-{'1' * 32}-{'0' * 16}-01", None, ""),
        (f"01-{'1' * 32}-{'2' * 16}-01-x", None, ""),
        ("hunter2", 5, ""),
    ],
)
async def test_the_trace_of_a_call_is_known_and_nothing_else_passes_for_one(
    header: str | None, meta: object, told: str
) -> None:
    body = a_call("trace")
    body["params"]["_meta"] = {"traceparent": meta} if meta else {}
    async with serving([probe(trace)]) as edge, httpx.AsyncClient() as http:
        headers = LEGACY | {"authorization": f"Bearer {edge.token}"} | ({"traceparent": header} if header else {})
        answer = (await http.post(edge.url, json=body, headers=headers)).json()

    assert answer["result"]["structuredContent"]["next_step"] == told

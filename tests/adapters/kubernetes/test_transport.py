"""What leaves for the API server, as it is on the wire, and what never does."""

import asyncio
import json
import traceback
from collections.abc import Iterable
from typing import Any

import aiohttp
import pytest

from mcp_agentspawn.adapters.kubernetes import transport as module
from mcp_agentspawn.adapters.kubernetes.credential_secrets import secret_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER, AsCanary, AsRoot, Call, Gate, Principal
from mcp_agentspawn.adapters.kubernetes.resources import ACCOUNTS, AGENTS, PODS, PROPOSALS, SECRETS
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from mcp_agentspawn.core.errors import ConfigError, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Root
from tests.adapters.kubernetes.fake_api import ROOT, TOKEN, FakeApi, Reply, credentials, status

AGENTS_HERE = AGENTS.collection("subagents")
ONE = AGENTS.item("subagents", "sub-a")
STRANGER = Root("agents", "stranger", "subagents")
CREATE = Call("POST", AGENTS_HERE, AsRoot(ROOT, "sub-a"), b"{}", {"fieldValidation": "Strict"}, changes=True)


def own(method: str = "GET", path: str = PROPOSALS.collection("agentspawn-system"), **more: object) -> Call:
    return Call(method, path, SERVER, **more)  # type: ignore[arg-type] # the tests say which


async def test_a_create_carries_the_virtual_user_and_the_proposal_and_nothing_else(
    api: FakeApi, transport: Transport
) -> None:
    await transport.send(CREATE)

    (seen,) = api.seen
    assert seen.line == f"POST {AGENTS_HERE}?fieldValidation=Strict HTTP/1.1"
    assert sorted(seen.headers) == sorted(
        [
            ("Host", api.url.removeprefix("http://")),
            ("Accept", "application/json"),
            ("User-Agent", "mcp-agentspawn"),
            ("Authorization", f"Bearer {TOKEN}"),
            ("Content-Type", "application/json"),
            ("Content-Length", "2"),
            ("Impersonate-User", "agentspawn:agents:orchestrator"),
            ("Impersonate-Extra-agentspawn.dev%2Fproposal", "sub-a"),
        ]
    )


async def test_a_delete_is_made_as_the_root_too(api: FakeApi, transport: Transport) -> None:
    await transport.send(Call("DELETE", ONE, AsRoot(ROOT, "sub-a"), b"{}", changes=True))

    assert api.seen[0].named("impersonate-") == [
        ("Impersonate-Extra-agentspawn.dev%2Fproposal", "sub-a"),
        ("Impersonate-User", "agentspawn:agents:orchestrator"),
    ]


async def test_the_canary_without_a_proposal_carries_no_extra(api: FakeApi, transport: Transport) -> None:
    await transport.send(Call("POST", AGENTS_HERE, AsCanary("subagents"), b"{}", {"dryRun": "All"}))

    assert api.seen[0].named("impersonate-") == [("Impersonate-User", "agentspawn:agentspawn-system:canary")]


async def test_the_server_itself_impersonates_nobody(api: FakeApi, transport: Transport) -> None:
    await transport.send(own())

    assert sorted(name for name, _ in api.seen[0].headers) == ["Accept", "Authorization", "Host", "User-Agent"]


async def test_metadata_alone_is_asked_for_by_its_media_type(api: FakeApi, transport: Transport) -> None:
    await transport.send(own(partial=True))

    assert api.seen[0].named("accept") == [("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")]


REFUSED: dict[str, tuple[str, str, Principal | None]] = {
    "nobody": ("POST", AGENTS_HERE, None),
    "a user by name": ("POST", AGENTS_HERE, "agentspawn:agents:orchestrator"),  # type: ignore[dict-item] # not a principal
    "a root that is not configured": ("POST", AGENTS_HERE, AsRoot(STRANGER, "sub-a")),
    "a configured root in another namespace": (
        "POST",
        AGENTS.collection("elsewhere"),
        AsRoot(Root("agents", "orchestrator", "elsewhere"), "sub-a"),
    ),
    "a root outside its home": ("POST", AGENTS.collection("elsewhere"), AsRoot(ROOT, "sub-a")),
    "a root that reads": ("GET", ONE, AsRoot(ROOT, "sub-a")),
    "a root that alters": ("PUT", ONE, AsRoot(ROOT, "sub-a")),
    "a root that patches": ("PATCH", ONE, AsRoot(ROOT, "sub-a")),
    "a root that deletes all": ("DELETE", AGENTS_HERE, AsRoot(ROOT, "sub-a")),
    "a root that deletes another": ("DELETE", AGENTS.item("subagents", "sub-b"), AsRoot(ROOT, "sub-a")),
    "a root at another kind": ("POST", PROPOSALS.collection("subagents"), AsRoot(ROOT, "sub-a")),
    "a subresource": ("POST", f"{ONE}/status", AsRoot(ROOT, "sub-a")),
    "no proposal": ("POST", AGENTS_HERE, AsRoot(ROOT, "")),
    "a second header in the proposal": (
        "POST",
        AGENTS_HERE,
        AsRoot(ROOT, "sub-a\r\nImpersonate-Group: system:masters"),
    ),
    "a line end in the proposal": ("POST", AGENTS_HERE, AsRoot(ROOT, "sub-a\n")),
    "two proposals": ("POST", AGENTS_HERE, AsRoot(ROOT, "sub-a,sub-b")),
    "the server that creates": ("POST", AGENTS_HERE, SERVER),
    "the server that alters": ("PUT", ONE, SERVER),
    "the server that patches": ("PATCH", ONE, SERVER),
    "the canary, not dry": ("POST", AGENTS_HERE, AsCanary("subagents", "sub-canary")),
    "the canary that deletes": ("DELETE", ONE, AsCanary("subagents", "sub-a")),
    "the canary elsewhere": ("POST", AGENTS.collection("elsewhere"), AsCanary("elsewhere", "sub-canary")),
}


@pytest.mark.parametrize(("method", "path", "principal"), REFUSED.values(), ids=REFUSED.keys())
async def test_whoever_is_not_listed_for_it_is_refused_before_anything_is_sent(
    api: FakeApi, transport: Transport, method: str, path: str, principal: Principal
) -> None:
    with pytest.raises(Refused) as refusal:
        await transport.send(Call(method, path, principal, b"{}", changes=True))

    assert refusal.value.code == "forbidden.principal"
    assert api.seen == []


def secret(**changes: Any) -> bytes:
    return json.dumps(secret_of("subagents", "sub-a", "my-token") | changes).encode()


SECRETS_HERE = SECRETS.collection("subagents")
CREDENTIAL = SECRETS.item("subagents", "sub-a-agentspawn")
METADATA = {"name": "sub-a-agentspawn", "namespace": "subagents", "labels": {"agentspawn.dev/proposal": "sub-a"}}
NOT_ITS_OWN: dict[str, tuple[str, str, bytes]] = {
    "a list": ("GET", SECRETS_HERE, b""),
    "a list of all": ("GET", SECRETS.collection(), b""),
    "a credential that is read": ("GET", CREDENTIAL, b""),
    "a credential that is altered": ("PUT", CREDENTIAL, secret()),
    "a credential that is patched": ("PATCH", CREDENTIAL, secret()),
    "all that are removed": ("DELETE", SECRETS_HERE, b"{}"),
    "another that is removed": ("DELETE", SECRETS.item("subagents", "kagent-openai"), b"{}"),
    "nobody's that is removed": ("DELETE", f"{SECRETS_HERE}/-agentspawn", b"{}"),
    "a part of one": ("DELETE", f"{CREDENTIAL}/status", b"{}"),
    "one elsewhere": ("DELETE", SECRETS.item("agents", "sub-a-agentspawn"), b"{}"),
    "one made elsewhere": ("POST", SECRETS.collection("agents"), secret()),
    "of another type": ("POST", SECRETS_HERE, secret(type="kubernetes.io/service-account-token")),
    "with more data": ("POST", SECRETS_HERE, secret(data={"token": "eA==", "more": "eA=="})),
    "with other data": ("POST", SECRETS_HERE, secret(data={"password": "eA=="})),
    "with no text": ("POST", SECRETS_HERE, secret(data={"token": {}})),
    "with more text": ("POST", SECRETS_HERE, secret(stringData={"more": "x"})),
    "under another name": ("POST", SECRETS_HERE, secret(metadata=METADATA | {"name": "sub-b-agentspawn"})),
    "under a made-up name": ("POST", SECRETS_HERE, secret(metadata=METADATA | {"generateName": "sub-"})),
    "without a label": ("POST", SECRETS_HERE, secret(metadata=METADATA | {"labels": {}})),
    "with an owner": ("POST", SECRETS_HERE, secret(metadata=METADATA | {"ownerReferences": [{}]})),
    "another kind": ("POST", SECRETS_HERE, secret(kind="ConfigMap")),
    "nothing": ("POST", SECRETS_HERE, b""),
    "no object": ("POST", SECRETS_HERE, b"[]"),
    "an account that is made": ("POST", ACCOUNTS.collection("agents"), b"{}"),
    "accounts that are listed": ("GET", ACCOUNTS.collection("agents"), b""),
    "an account's token": ("POST", ACCOUNTS.item("agents", "orchestrator", "token"), b"{}"),
    "pods elsewhere": ("GET", PODS.collection("agents"), b""),
    "a pod": ("GET", PODS.item("subagents", "sub-a"), b""),
    "what a pod says": ("GET", PODS.item("subagents", "sub-a", "log"), b""),
    "a pod that is made": ("POST", PODS.collection("subagents"), b"{}"),
    "pods that are removed": ("DELETE", PODS.collection("subagents"), b"{}"),
    "a path of its own": ("GET", "//api/v1/namespaces/subagents/secrets", b""),
}


@pytest.mark.parametrize(("method", "path", "body"), NOT_ITS_OWN.values(), ids=NOT_ITS_OWN.keys())
async def test_of_secrets_the_server_makes_and_removes_credentials_and_nothing_else(
    api: FakeApi, transport: Transport, method: str, path: str, body: bytes
) -> None:
    with pytest.raises(Refused) as refusal:
        await transport.send(Call(method, path, SERVER, body, changes=True))

    assert refusal.value.code == "forbidden.principal"
    assert "my-token" not in "".join(traceback.format_exception(refusal.value))
    assert api.seen == []


async def test_a_credential_is_made_and_removed_where_roots_have_their_subagents(
    api: FakeApi, transport: Transport
) -> None:
    await transport.send(Call("POST", SECRETS_HERE, SERVER, secret(), changes=True))
    await transport.send(Call("DELETE", CREDENTIAL, SERVER, changes=True))
    await transport.send(Call("GET", ACCOUNTS.item("agents", "orchestrator"), SERVER))

    assert [seen.line.partition(" ")[0] for seen in api.seen] == ["POST", "DELETE", "GET"]


async def test_as_a_root_nobody_touches_a_credential(api: FakeApi, transport: Transport) -> None:
    for call in (
        Call("POST", SECRETS_HERE, AsRoot(ROOT, "sub-a"), secret(), changes=True),
        Call("DELETE", CREDENTIAL, AsRoot(ROOT, "sub-a-agentspawn"), changes=True),
    ):
        with pytest.raises(Refused):
            await transport.send(call)

    assert api.seen == []


def test_a_call_that_is_shown_does_not_show_what_it_carries() -> None:
    assert "my-token" not in repr(Call("POST", SECRETS_HERE, SERVER, b"my-token"))


async def test_the_canary_sings_only_where_subagents_live(api: FakeApi, transport: Transport) -> None:
    elsewhere = Call("POST", AGENTS.collection("elsewhere"), AsCanary("elsewhere"), b"{}", {"dryRun": "All"})

    with pytest.raises(Refused):
        await transport.send(elsewhere)

    assert api.seen == []


SMUGGLED = {
    "a user": {"Impersonate-User": "system:admin"},
    "a user in other letters": {"iMPERSONATE-uSER": "system:admin"},
    "a group": {"Impersonate-Group": "system:masters"},
    "a uid": {"impersonate-uid": "1"},
    "another extra": {"Impersonate-Extra-agentspawn.dev%2Fother": "x"},
    "the extra once more": {"Impersonate-Extra-agentspawn.dev%2fproposal": "sub-b"},
    "connection": {"Connection": "Impersonate-User"},
    "connection in other letters": {"cONNECTION": "authorization"},
    "a cookie": {"Cookie": "a=b"},
    "another host": {"X-Forwarded-Host": "elsewhere"},
    "another authorization": {"authorization": "Bearer stolen"},
    "a chunked body": {"Transfer-Encoding": "chunked"},
}


@pytest.mark.parametrize("extra", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("call", [CREATE, own()], ids=["as a root", "as the server"])
async def test_a_header_that_was_smuggled_in_stops_the_request_at_the_last_step(
    api: FakeApi, transport: Transport, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], call: Call
) -> None:
    written = aiohttp.ClientRequest.update_auto_headers

    def faulty(request: aiohttp.ClientRequest, skipped: Iterable[str] | None) -> None:
        written(request, skipped)
        request.headers.extend(extra)

    monkeypatch.setattr(aiohttp.ClientRequest, "update_auto_headers", faulty)

    with pytest.raises(Refused) as refusal:
        await transport.send(call)

    assert refusal.value.code == "forbidden.headers"
    assert api.seen == []


async def test_a_user_that_was_swapped_after_the_decision_stops_the_request(
    api: FakeApi, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = module._Seal

    def swapped(decided: dict[str, str], *, changes: bool) -> object:
        return seal({**decided, "Impersonate-User": "agentspawn:agents:somebody"}, changes=changes)

    monkeypatch.setattr(module, "_Seal", swapped)

    with pytest.raises(Refused) as refusal:
        await transport.send(CREATE)

    assert refusal.value.code == "forbidden.headers"
    assert api.seen == []


def test_a_root_whose_names_are_no_kubernetes_names_is_never_configured() -> None:
    with pytest.raises(ConfigError) as error:
        Gate([Root("agents", "a\r\nb", "subagents"), Root("A:B", "x", "subagents"), Root("agents", "x", "../y"), ROOT])

    assert len(error.value.problems) == 3


async def test_redirects_are_not_followed(api: FakeApi, transport: Transport) -> None:
    api.replies = [Reply(307, headers={"Location": f"{api.url}/elsewhere"})]

    answer = await transport.send(own())

    assert answer.status == 307
    assert len(api.seen) == 1


@pytest.mark.parametrize(("call", "error"), [(CREATE, UnknownOutcome), (own(), Unavailable)], ids=["write", "read"])
async def test_no_answer_in_time_is_unknown_for_a_write_only(
    api: FakeApi, transport: Transport, call: Call, error: type[Exception]
) -> None:
    api.replies = [Reply(hang=True)]
    quick = Call(call.method, call.path, call.principal, call.body, call.query, call.changes, timeout_seconds=0.2)

    with pytest.raises(error):
        await transport.send(quick)


async def test_a_cut_connection_leaves_a_write_unknown_and_sends_it_once(api: FakeApi, transport: Transport) -> None:
    for call in (CREATE, Call("DELETE", ONE, SERVER, b"{}", changes=True), own("PUT", body=b"{}", changes=True)):
        api.seen.clear()
        api.replies = [Reply(), Reply(cut=True)]
        await transport.send(own())  # so that there is a kept connection to be cut

        with pytest.raises(UnknownOutcome):
            await transport.send(call)

        assert len(api.seen) == 2


async def test_a_cut_connection_leaves_a_read_unavailable(api: FakeApi, transport: Transport) -> None:
    api.replies = [Reply(cut=True)]

    with pytest.raises(Unavailable):
        await transport.send(own())


async def test_without_a_connection_nothing_was_sent_and_nothing_changed() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()

    async with Transport(credentials(f"http://127.0.0.1:{port}"), Gate([ROOT])) as transport:
        with pytest.raises(Unavailable):
            await transport.send(CREATE)


@pytest.mark.parametrize(("call", "error"), [(CREATE, UnknownOutcome), (own(), Unavailable)], ids=["write", "read"])
async def test_a_body_without_end_is_not_read(
    api: FakeApi, transport: Transport, monkeypatch: pytest.MonkeyPatch, call: Call, error: type[Exception]
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    api.replies = [Reply(body=b" " * 1001)]

    with pytest.raises(error):
        await transport.send(call)


async def test_connections_are_kept(api: FakeApi, transport: Transport) -> None:
    connections = set()
    serve = api._one

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        connections.add(writer)
        return await serve(reader, writer)

    api._one = counting  # type: ignore[method-assign] # to count
    for _ in range(5):
        await transport.send(own())

    assert len(connections) == 1


async def test_a_stream_carries_what_a_request_carries_and_comes_bit_by_bit(api: FakeApi, transport: Transport) -> None:
    api.replies = [Reply(200, b"one\ntwo\n")]

    async with transport.stream(own(path=PODS.collection("subagents"), query={"watch": "true"})) as stream:
        said = b"".join([chunk async for chunk in stream.chunks])

    assert (stream.status, said) == (200, b"one\ntwo\n")
    assert api.seen[0].line == "GET /api/v1/namespaces/subagents/pods?watch=true HTTP/1.1"
    assert sorted(name for name, _ in api.seen[0].headers) == ["Accept", "Authorization", "Host", "User-Agent"]


async def test_a_stream_that_is_refused_says_why(api: FakeApi, transport: Transport) -> None:
    api.replies = [status(410, "Expired", "too old")]

    async with transport.stream(own()) as stream:
        said = stream

    assert (said.status, json.loads(said.body)["message"]) == (410, "too old")


@pytest.mark.parametrize(
    "reply", [Reply(hang=True), Reply(cut=True), Reply(headers={"Content-Length": "9"}, cut=False)]
)
async def test_a_stream_that_falls_silent_ends(api: FakeApi, transport: Transport, reply: Reply) -> None:
    api.replies = [reply]

    async def listen() -> None:
        async with transport.stream(own(timeout_seconds=0.2)) as stream:
            async for _ in stream.chunks:
                pass

    with pytest.raises(Unavailable):
        await listen()


async def test_nobody_streams_who_may_not_ask(api: FakeApi, transport: Transport) -> None:
    with pytest.raises(Refused):
        async with transport.stream(own(path=SECRETS.collection("subagents"))):
            pass

    assert api.seen == []

"""A credential is in no error, in no chain of errors and in no log, whatever the API server answers."""

import logging
import traceback
from base64 import b64encode

import pytest

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.keyring import KubernetesKeyring
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from tests.adapters.kubernetes.fake_api import FakeApi, Reply, Scripted, status

CANARY = "agentspawn/agents/orchestrator/sub-a/canary-of-a-token"
WRITTEN = b64encode(CANARY.encode()).decode()
ECHO = f'Secret "x" is invalid: {CANARY} and {WRITTEN}: User "u" cannot create'
FAILING: dict[str, tuple[Reply, type[Exception]]] = {
    "no right": (status(403, "Forbidden", ECHO), Refused),
    "a policy": (status(403, "Forbidden", f"ValidatingAdmissionPolicy 'x' denied: {ECHO}"), Refused),
    "invalid": (status(422, "Invalid", ECHO), Refused),
    "no JSON": (Reply(400, ECHO.encode()), Refused),
    "a namespace that is not there": (status(404, "NotFound", ECHO), Refused),
    "a conflict of quotas": (status(409, "Conflict", ECHO), Unavailable),
    "broken": (status(500, "InternalError", ECHO), UnknownOutcome),
    "an answer that can not be read": (Reply(201, ECHO.encode()), UnknownOutcome),
    "an answer that is no object": (Reply(201, f'["{ECHO}"]'.encode()), UnknownOutcome),
    "a cut connection": (Reply(cut=True), UnknownOutcome),
}


@pytest.mark.parametrize(("answer", "kind"), FAILING.values(), ids=FAILING.keys())
async def test_what_the_api_server_says_of_a_credential_is_not_passed_on(
    api: FakeApi, transport: Transport, caplog: pytest.LogCaptureFixture, answer: Reply, kind: type[Exception]
) -> None:
    api.replies = [answer]

    with caplog.at_level(logging.DEBUG), pytest.raises(kind) as failure:
        await KubernetesKeyring(Client(transport)).put("subagents", "sub-a", CANARY)

    assert WRITTEN.encode() in api.seen[0].body
    assert (failure.value.__cause__, failure.value.__context__) == (None, None)
    said = "".join(traceback.format_exception(failure.value)) + repr(failure.value) + caplog.text
    for secret in (CANARY, WRITTEN, "canary-of"):
        assert secret not in said


async def test_a_refusal_keeps_its_code(api: FakeApi, transport: Transport) -> None:
    codes = []
    for answer in (FAILING["no right"][0], FAILING["a policy"][0], FAILING["a namespace that is not there"][0]):
        api.replies = [answer]
        with pytest.raises(Refused) as refusal:
            await KubernetesKeyring(Client(transport)).put("subagents", "sub-a", CANARY)
        codes.append(refusal.value.code)

    assert codes == ["forbidden.rbac", "forbidden.policy", "missing"]


async def test_of_an_answer_the_metadata_alone_is_asked_for(api: FakeApi, transport: Transport) -> None:
    await KubernetesKeyring(Client(transport)).put("subagents", "sub-a", CANARY)

    (accepted,) = api.seen[0].named("accept")
    assert "PartialObjectMetadata" in accepted[1]


@pytest.mark.parametrize("home", ["", "a/b", "..", "A"])
async def test_what_is_no_namespace_is_refused_unsent(api: FakeApi, transport: Transport, home: str) -> None:
    with pytest.raises(Refused):
        await KubernetesKeyring(Client(transport)).put(home, "sub-a", CANARY)

    assert api.seen == []


@pytest.mark.parametrize(("code", "kind"), [(403, Refused), (409, Unavailable), (503, UnknownOutcome)])
async def test_what_is_not_removed_is_not_said_to_be(code: int, kind: type[Exception]) -> None:
    wire = Scripted([(code, {"kind": "Status", "reason": "x", "message": ECHO})])

    with pytest.raises(kind) as failure:
        await KubernetesKeyring(wire.client()).remove("subagents", "sub-a")

    assert CANARY not in "".join(traceback.format_exception(failure.value))

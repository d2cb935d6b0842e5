"""Answers of the API server, as it words them (collected from 1.36), and what becomes of them."""

import json

import aiohttp
import pytest

from mcp_agentspawn.adapters.kubernetes.errors import ReadAgain, error_of, error_of_failure
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome, Upstream

POLICY = (
    "agents.kagent.dev \"sub-a\" is forbidden: ValidatingAdmissionPolicy 'agentspawn-lock' with binding "
    "'agentspawn-lock' denied request: a subagent is never altered"
)
QUOTA = (
    'agents.kagent.dev "sub-a" is forbidden: exceeded quota: agentspawn, requested: count/agents.kagent.dev=1, '
    "used: count/agents.kagent.dev=40, limited: count/agents.kagent.dev=40"
)
UNCOUNTED = 'agents.kagent.dev "sub-a" is forbidden: status unknown for quota: agentspawn, resources: count/agents'
RBAC = 'agents.kagent.dev is forbidden: User "agentspawn:agents:x" cannot create resource "agents" in API group'
IMPERSONATION = (
    'users.authentication.k8s.io "x" is forbidden: User "system:serviceaccount:agentspawn-system:agentspawn" '
    'cannot impersonate:user-info resource "users"'
)
BUSY_QUOTA = 'Operation cannot be fulfilled on resourcequotas "agentspawn": the object has been modified'
ENDING = 'agents.kagent.dev "sub-a" is forbidden: unable to create new content in namespace x: it is being terminated'
STRICT = 'Agent in version "v1alpha2" cannot be handled as a Agent: strict decoding error: unknown field "spec.x"'


def body(reason: str, message: str) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": message}).encode()


def said(method: str, status: int, answer: bytes, *, retry_after: bool = False) -> Upstream:
    return error_of(method, status, answer, changes=method != "GET", retry_after=retry_after)


@pytest.mark.parametrize(
    ("status", "reason", "message", "code"),
    [
        (401, "Unauthorized", "Unauthorized", "forbidden.credential"),
        (403, "Forbidden", RBAC, "forbidden.rbac"),
        (403, "Forbidden", IMPERSONATION, "forbidden.rbac"),
        (403, "Forbidden", QUOTA, "forbidden.quota"),
        (403, "Forbidden", UNCOUNTED, "forbidden.quota"),
        (403, "Forbidden", POLICY, "forbidden.policy"),
        (403, "Forbidden", ENDING, "forbidden"),
        (422, "Invalid", POLICY, "forbidden.policy"),
        (422, "Invalid", 'Agent "sub-a" is invalid: spec.type: Required value', "invalid"),
        (400, "BadRequest", STRICT, "invalid"),
        (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", "invalid"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_definite_no_is_refused_with_a_code(method: str, status: int, reason: str, message: str, code: str) -> None:
    error = said(method, status, body(reason, message))

    assert isinstance(error, Refused)
    assert error.code == code
    assert message.startswith(error.message[:60])


def test_a_full_namespace_does_not_say_how_much_its_tenants_hold() -> None:
    error = said("POST", 403, body("Forbidden", QUOTA))

    assert isinstance(error, Refused)
    assert error.message.endswith("exceeded quota: agentspawn")
    assert "40" not in error.message


@pytest.mark.parametrize(
    ("method", "status", "reason", "message", "kind"),
    [
        ("GET", 404, "NotFound", 'agents.kagent.dev "sub-a" not found', Missing),
        ("PUT", 404, "NotFound", 'spawnledgers.agentspawn.dev "a.b" not found', Missing),
        ("POST", 409, "AlreadyExists", 'agents.kagent.dev "sub-a" already exists', Conflict),
        ("POST", 409, "Conflict", BUSY_QUOTA, Unavailable),
        ("PUT", 409, "Conflict", "the object has been modified", Conflict),
        ("DELETE", 409, "Conflict", "the UID in the precondition does not match", Conflict),
        ("GET", 410, "Expired", "The provided continue parameter is too old", ReadAgain),
    ],
)
def test_what_is_not_there_and_what_has_changed(
    method: str, status: int, reason: str, message: str, kind: type[Upstream]
) -> None:
    error = said(method, status, body(reason, message))

    assert type(error) is kind
    assert str(error) == message


@pytest.mark.parametrize("status", [307, 418, 429, 500, 502, 503, 504])
def test_an_answer_that_says_nothing_certain_leaves_a_write_unknown(status: int) -> None:
    assert type(said("GET", status, b"")) is Unavailable
    assert type(said("POST", status, b"")) is UnknownOutcome
    assert type(said("PUT", status, b"")) is UnknownOutcome
    assert type(said("DELETE", status, b"")) is UnknownOutcome


def test_being_told_to_come_back_later_is_a_definite_no() -> None:
    assert type(said("POST", 429, b"", retry_after=True)) is Unavailable
    assert type(said("POST", 503, b"", retry_after=True)) is UnknownOutcome


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (TimeoutError(), UnknownOutcome),
        (aiohttp.ServerDisconnectedError(), UnknownOutcome),
        (aiohttp.ClientOSError(104, "reset"), UnknownOutcome),
        (aiohttp.ClientPayloadError(), UnknownOutcome),
        (aiohttp.ConnectionTimeoutError(), Unavailable),
        (aiohttp.ClientConnectorError(None, OSError(111, "refused")), Unavailable),  # type: ignore[arg-type] # no key
    ],
)
def test_no_answer_leaves_a_write_unknown_unless_it_was_never_sent(failure: Exception, kind: type[Upstream]) -> None:
    assert type(error_of_failure(failure, changes=True)) is kind
    assert type(error_of_failure(failure, changes=False)) is Unavailable


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('spec.a: Invalid value: "my prompt": is wrong', "spec.a: Invalid value: is wrong"),
        ('spec.a: Invalid value: "say \\"hi\\": now": is wrong', "spec.a: Invalid value: is wrong"),
        ('spec.a: Unsupported value: "rust": supported values: "python", "go"', "python"),
        ("spec.a: Invalid value: 12.5: is wrong", "spec.a: Invalid value: is wrong"),
        ('spec.a: Invalid value: {"my":"prompt"}: is wrong', "spec.a: Invalid value"),
        ('spec.a: Invalid value: map[string]interface {}{"my":"prompt"}: is wrong', "spec.a: Invalid value"),
        ('spec.a[1]: Duplicate value: "my prompt"', "spec.a[1]: Duplicate value"),
    ],
)
def test_values_that_the_server_quotes_are_left_out(message: str, shown: str) -> None:
    error = said("POST", 422, body("Invalid", message))

    assert shown in str(error)
    for secret in ("prompt", "hi", "rust", "12.5"):
        assert secret not in str(error)


def test_texts_are_short_and_on_one_line() -> None:
    error = said("POST", 403, body("Forbidden", "a\nb\x1b[31m" + "x" * 1000))

    assert len(str(error)) == 300
    assert str(error).startswith("a b ")
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>token: secret-token</html>",
        b'{"kind": "Agent", "message": "secret-token"}',
        b'["secret-token"]',
        b'"secret-token"',
        b"\xff\xfe secret-token",
        b"",
    ],
)
@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 500])
def test_only_a_status_is_read(answer: bytes, status: int) -> None:
    error = said("PUT", status, answer)

    assert "secret-token" not in str(error)
    assert str(status) in str(error)

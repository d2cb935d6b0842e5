"""Who calls: a credential from a header becomes a caller, or the request ends here."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.names import CREDENTIAL_PREFIX
from mcp_agentspawn.core.ports import Account, Tokens
from mcp_agentspawn.operations.answers import Refusal
from mcp_agentspawn.server.results import refusal
from mcp_agentspawn.server.subagents import Subagents

CALLER: Final = "agentspawn.caller"
"""The key in the ASGI scope under which the caller, or why there is none, travels to the tools."""
TOKEN_HEADER = b"x-agentspawn-token"
CREDENTIAL_HEADERS = frozenset({TOKEN_HEADER, b"authorization"})
MOST_TOKEN_BYTES = 16 * 1024
TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]+\Z")
BEARER = re.compile(rb"bearer +(.*)\Z", re.IGNORECASE | re.DOTALL)
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who may look at the list of tools but call none: an account that is no root, or (`name` empty) nobody known."""

    name: str = ""

    @property
    def refusal(self) -> Refusal:
        """What it hears of a call."""
        return UNKNOWN_ROOT if self.name else MISSING


Who = Caller | Stranger
ANONYMOUS: Final = Stranger()

MISSING = refusal(
    "denied",
    "identity.missing",
    "This call carries no credential.",
    next_step="Have the operator give this client a token, in the header X-Agentspawn-Token or Authorization: Bearer.",
)
UNKNOWN_ROOT = refusal(
    "denied",
    "identity.unknown_root",
    "This service account may not spawn agents here.",
    next_step="Ask the operator to onboard this service account as a root.",
)


class BadCredential(Exception):
    """What was shown is no credential: given twice, empty, over-long, of another scheme, or nobody's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """ASGI middleware: no credential is anonymous, a bad one is 401 on any request, and no answer about it is 503.

    Credentials are taken out of the request here, so that nothing behind it can log or pass them on.
    """

    app: ASGIApp
    tokens: Tokens
    subagents: Subagents
    metadata_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the caller in the scope and go on, or answer at once."""
        try:
            token = credential(scope["headers"])
            who = ANONYMOUS if token is None else await self._who(token)
        except BadCredential:
            return await self._unauthorized(send)
        except (Upstream, TimeoutError):
            return await reply(send, HTTPStatus.SERVICE_UNAVAILABLE, {"error": "temporarily_unavailable"})
        others = [(name, value) for name, value in scope["headers"] if name.lower() not in CREDENTIAL_HEADERS]
        if isinstance(who, Caller):
            who = replace(who, trace=trace_of(others))
        return await self.app({**scope, "headers": others, CALLER: who}, receive, send)

    async def _who(self, token: str) -> Who:
        """Whose it is. What we made ourselves is never sent on to be reviewed. Raises BadCredential."""
        ours = token.startswith(CREDENTIAL_PREFIX)
        who = await self.subagents.caller(token) if ours else self._root(await self.tokens.caller(token))
        if who is None:
            raise BadCredential
        return who

    def _root(self, account: Account | None) -> Who | None:
        if account is None:
            return None
        name = f"{account.namespace}/{account.name}"
        root = next((root for root in self.subagents.services.roots if root.name == name), None)
        return Caller(root, account=account.uid) if root else Stranger(name)

    async def _unauthorized(self, send: Send) -> None:
        """RFC 9728: say where to read how to get a credential."""
        challenge = f'Bearer error="invalid_token", resource_metadata="{self.metadata_url}"'
        body = {"error": "invalid_token", "error_description": "The credential is not valid here."}
        await reply(send, HTTPStatus.UNAUTHORIZED, body, [(b"www-authenticate", challenge.encode())])


def credential(headers: Headers) -> str | None:
    """The one credential of a request; None when it shows none. Raises BadCredential."""
    shown = [(name.lower(), value) for name, value in headers if name.lower() in CREDENTIAL_HEADERS]
    if not shown:
        return None
    if len(shown) > 1:
        raise BadCredential
    name, value = shown[0]
    if name != TOKEN_HEADER:
        value = _bearer(value)
    if len(value) > MOST_TOKEN_BYTES or not TOKEN.match(value):
        raise BadCredential
    return value.decode("ascii")


def trace_of(headers: Headers) -> str:
    """The trace context of a request; `""` for none, or for what can not be one."""
    shown = [value for name, value in headers if name.lower() == b"traceparent"]
    return as_trace(shown[0].decode("latin-1")) if len(shown) == 1 else ""


def as_trace(text: object) -> str:
    """A `traceparent` (W3C Trace Context, version 00) as it was sent; `""` for anything else."""
    return text if isinstance(text, str) and TRACEPARENT.match(text) else ""


def _bearer(value: bytes) -> bytes:
    match = BEARER.match(value)
    if match is None:
        raise BadCredential
    return match[1]


async def reply(send: Send, status: HTTPStatus, body: Mapping[str, Any], headers: Headers = ()) -> None:
    """Answer a request with JSON."""
    content = json.dumps(body).encode()
    lines = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": lines})
    await send({"type": "http.response.body", "body": content})

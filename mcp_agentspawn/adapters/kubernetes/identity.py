"""Whose a credential is, by TokenReview: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/.

Accepted are tokens of audience `agentspawn`, which are worthless at the API server, and legacy Secret tokens of listed
accounts. Tokens bound to the API server's audience are not: every pod has one.
"""

import time
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import TOKEN_REVIEWS
from mcp_agentspawn.core.names import AUDIENCE
from mcp_agentspawn.core.ports import Account

KNOWN_SECONDS = 10.0
MOST_ANSWERS = 4096
MOST_CHARACTERS = 16_384
ACCOUNT_PREFIX = "system:serviceaccount:"
BOUND_PREFIX = "authentication.kubernetes.io/"


class KubernetesTokens:
    """Reviews tokens; an answer is remembered for 10 seconds under the token's hash, the token nowhere."""

    def __init__(
        self, client: Client, legacy_accounts: Collection[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`legacy_accounts` (`namespace/name`) may come with the token of a Secret; by default nobody may."""
        self._client = client
        self._legacy_accounts = frozenset(legacy_accounts)
        self._answers = Answers[bytes, Account | None](KNOWN_SECONDS, MOST_ANSWERS, clock)

    async def caller(self, token: str) -> Account | None:
        """See `core.ports.Tokens.caller`."""
        if not token or len(token) > MOST_CHARACTERS or not (token.isascii() and token.isprintable()):
            return None
        return await self._answers.get(sha256(token.encode()).digest(), lambda: self._judge(token))

    async def _judge(self, token: str) -> Account | None:
        ours = await self._review(token, {"audiences": [AUDIENCE]})
        if ours is not None:
            # An API server that knows no audiences leaves this empty and has checked none.
            return _account(ours) if AUDIENCE in (ours.get("audiences") or ()) else None
        if not self._legacy_accounts:
            return None
        legacy = await self._review(token, {})
        if legacy is None or _is_bound(legacy):
            return None
        account = _account(legacy)
        return account if account and f"{account.namespace}/{account.name}" in self._legacy_accounts else None

    async def _review(self, token: str, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The status of an authenticated token, `None` for any other."""
        review = TOKEN_REVIEWS.object({}, spec={"token": token, **asked})
        answer = await self._client.request("POST", TOKEN_REVIEWS.collection(), review, as_=SERVER, asks=True)
        return read(_authenticated, answer)


def _authenticated(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    status: Mapping[str, Any] = answer["status"]
    if status.get("authenticated") is not True:
        return None
    return {**status, "user": dict(status["user"])}


def _is_bound(status: Mapping[str, Any]) -> bool:
    """Whether it is a token of the TokenRequest API: those have an id, legacy ones say nothing more of themselves."""
    return any(key.startswith(BOUND_PREFIX) for key in status["user"].get("extra") or {})


def _account(status: Mapping[str, Any]) -> Account | None:
    """The service account of a status; people and nodes are nobody here."""
    user = status["user"]
    prefix, found, rest = user.get("username", "").partition(ACCOUNT_PREFIX)
    namespace, colon, name = rest.partition(":")
    if prefix or not (found and namespace and colon and name and user.get("uid")):
        return None
    return Account(namespace, name, user["uid"])

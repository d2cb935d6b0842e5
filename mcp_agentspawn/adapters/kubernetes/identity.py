"""Whose a credential is, by TokenReview: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/.

Accepted are tokens of audience `agentspawn`, which are worthless at the API server, and legacy Secret tokens of listed
accounts. Tokens bound to the API server's audience are not: every pod has one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import SELF_REVIEWS, TOKEN_REVIEWS
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.familiar import Familiar
from mcp_agentspawn.core.names import AUDIENCE
from mcp_agentspawn.core.ports import Account

KNOWN_SECONDS = 10.0
MOST_ANSWERS = 4096
MOST_FAMILIAR = 1024
MOST_CHARACTERS = 16_384
REVIEWS_AT_A_TIME = 8
MOST_WAITING = 256
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
        self._familiar = Familiar(MOST_FAMILIAR)
        self._lanes = {known: _Lane(REVIEWS_AT_A_TIME, MOST_WAITING) for known in (False, True)}

    async def caller(self, token: str) -> Account | None:
        """See `core.ports.Tokens.caller`."""
        if not token or len(token) > MOST_CHARACTERS or not (token.isascii() and token.isprintable()):
            return None
        digest = sha256(token.encode()).digest()
        return await self._answers.get(digest, lambda: self._judge_in_lane(digest, token))

    async def _judge_in_lane(self, digest: bytes, token: str) -> Account | None:
        """Whoever makes tokens up keeps neither those waiting whose token was good before, nor any other request."""
        async with self._lanes[digest in self._familiar].place():
            account = await self._judge(token)
        self._familiar.note(digest, good=account is not None)
        return account

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


async def own_name(client: Client) -> str:
    """The user name of whoever this client's requests are made as."""
    review = SELF_REVIEWS.object({})
    answer = await client.request("POST", SELF_REVIEWS.collection(), review, as_=SERVER, asks=True)
    return read(lambda answer: str(answer["status"]["userInfo"]["username"]), answer)


class _Lane:
    """So many reviews at a time, and so many more that wait."""

    def __init__(self, at_a_time: int, most_waiting: int) -> None:
        self._free = asyncio.Semaphore(at_a_time)
        self._left = at_a_time + most_waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for one. Raises Unavailable when too many wait already."""
        if not self._left:
            raise Unavailable("Too many credentials are to be reviewed.")
        self._left -= 1
        try:
            async with self._free:
                yield
        finally:
            self._left += 1


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

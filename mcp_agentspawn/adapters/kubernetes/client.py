"""Requests in JSON, answers as objects, refusals as our errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from mcp_agentspawn.adapters.kubernetes.errors import NotYet, TooLong, error_of, lost, read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER, Call, Principal
from mcp_agentspawn.adapters.kubernetes.resources import PAGE
from mcp_agentspawn.adapters.kubernetes.transport import Answer, Stream
from mcp_agentspawn.core.errors import Refused, Unavailable

MOST_PAGES = 200
FEWER = 10
STRICT = {"fieldValidation": "Strict"}
"""What the API server does not know is refused, and not dropped unseen."""
SUCCESS = range(200, 300)
REQUEST_SECONDS = 5.0
NOT_YET_SECONDS = 1.0
NOT_YET_TIMES = 3


class Sends(Protocol):
    """What a client needs of a transport."""

    async def send(self, call: Call) -> Answer:
        """See `transport.Transport.send`."""
        ...

    def stream(self, call: Call) -> AbstractAsyncContextManager[Stream]:
        """See `transport.Transport.stream`."""
        ...


class Client:
    """One API server. Every request names whom it is made as; every failure is one of `core.errors.Upstream`."""

    def __init__(self, transport: Sends) -> None:
        self._transport = transport

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        as_: Principal,
        query: Mapping[str, str] | None = None,
        partial: bool = False,
        asks: bool = False,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """Send it and give the object that came back.

        `asks`: although it is no GET, it changes nothing (a dry run, a review), so a lost answer is Unavailable.
        """
        changes = method != "GET" and not asks
        call = Call(method, path, as_, _written(body), query or {}, changes, partial, timeout_seconds)
        answer = await self._transport.send(call)
        if answer.status not in SUCCESS:
            raise error_of(method, answer.status, answer.body, changes=changes, retry_after=answer.retry_after)
        found: Any = read(json.loads, answer.body, changes=changes)
        if not isinstance(found, dict):
            raise lost("The API server's answer is no object.", changes=changes)
        return found

    async def list(
        self, path: str, *, selector: str = "", fields: str = "", remembered: bool = False, page: int = PAGE
    ) -> list[dict[str, Any]]:
        """All objects of a collection, or those with these labels or fields, read as the server in pages.

        `remembered`: as the API server's watch cache has them, without waiting until that is sure to have all (100 ms).
        """
        selectors = {"labelSelector": selector, "fieldSelector": fields, "resourceVersion": "0" if remembered else ""}
        query = {"limit": str(page)} | {name: value for name, value in selectors.items() if value}
        return [item async for one in self.pages(path, query) for item in read(lambda one: list(one["items"]), one)]

    async def pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """A collection page by page, read as the server, with everything that a page says.

        One that is too long, since its objects are large, is asked for again with fewer of them, and so is the rest.
        """
        for _ in range(MOST_PAGES):
            try:
                page = await self._page(path, query)
            except TooLong:
                query = _of_fewer(query)
                continue
            yield page
            following = read(lambda answer: answer["metadata"].get("continue", ""), page)
            if not following:
                return
            query = {**query, "continue": following}
        raise Unavailable("There are more objects than can be listed.")

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read what comes bit by bit, as the server; a silence that is longer ends it with Unavailable."""
        async with self._transport.stream(
            Call("GET", path, SERVER, query=query, timeout_seconds=silence_seconds)
        ) as stream:
            if stream.status not in SUCCESS:
                raise error_of("GET", stream.status, stream.body, changes=False, retry_after=False)
            yield stream.chunks

    async def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        for _ in range(NOT_YET_TIMES):
            try:
                return await self.request("GET", path, as_=SERVER, query=query)
            except NotYet:
                await asyncio.sleep(NOT_YET_SECONDS)
        return await self.request("GET", path, as_=SERVER, query=query)


def _of_fewer(query: Mapping[str, str]) -> Mapping[str, str]:
    limit = int(query["limit"])
    if limit == 1:
        raise TooLong("An object is too long to be read.")
    return {**query, "limit": str(max(1, limit // FEWER))}


def _written(body: Mapping[str, Any] | None) -> bytes | None:
    try:
        return None if body is None else json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise Refused("invalid", "The object can not be written as JSON.") from error

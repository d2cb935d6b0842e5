"""Asks one registry for JSON: bounded in bytes and time, at its own host only, at addresses that are allowed."""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp
from aiohttp import ClientResponse
from yarl import URL

from mcp_agentspawn.adapters.registry.addresses import CheckedResolver, check, is_literal
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.failures import ReadingFailed, failure_of, failure_of_status
from mcp_agentspawn.adapters.registry.strict_json import parsed

MOST_ANSWER_BYTES = 16 * 1024 * 1024
MOST_REDIRECTS = 3
TIMEOUTS_OF_A_READING = 12
"""A whole reading may take so many times what one request may."""
MOST_CREDENTIAL_CHARACTERS = 16 * 1024
CREDENTIAL = re.compile(r"[!-~]+\Z", re.ASCII)
SUCCESS = 200
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "mcp-agentspawn"}


class Answer(NamedTuple):
    """What came back: where it sends us instead, or what it says."""

    location: str | None
    body: bytes


class Client:
    """One reading of one registry; an async context manager. Everything it raises is `ReadingFailed`.

    The credential is read when the reading begins, so that it can be replaced between two; it goes to the registry's
    own scheme, host and port only.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._base = URL(endpoint.url.rstrip("/"), encoded=True)
        self._bytes_left = endpoint.most_bytes

    async def __aenter__(self) -> Self:
        plain, private = self._base.scheme == "http", self.endpoint.private_addresses
        host = self._base.raw_host or ""
        if is_literal(host):
            check([host], private=private, plain=plain)
        self._headers = HEADERS | _authorization(self.endpoint.credential_file)
        trusted = True if plain else await asyncio.to_thread(_trust, self.endpoint.ca_file)
        self._deadline = asyncio.get_running_loop().time() + TIMEOUTS_OF_A_READING * self.endpoint.timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=CheckedResolver(private=private, plain=plain), use_dns_cache=False, ssl=trusted
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # none is asked for compressed, and packed bytes are no JSON
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: Sequence[str], query: Mapping[str, str]) -> Any:
        """The JSON at these path segments beneath the registry's address."""
        segments = "/".join(quote(segment, safe="") for segment in path)
        url = URL(f"{self._base}/{segments}", encoded=True).with_query(query)
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._ask(url)
            if answer.location is None:
                return _value(answer.body)
            url = _followed(url, answer.location)
        raise ReadingFailed("registry.redirected", "it redirects again and again")

    async def _ask(self, url: URL) -> Answer:
        try:
            async with self._session.get(
                url, headers=self._headers, allow_redirects=False, timeout=self._timeout()
            ) as response:
                if response.status in REDIRECTS:
                    return Answer(response.headers.get("Location", ""), b"")
                _check_head(response)
                return Answer(None, await self._body(response))
        except BROKEN as error:
            # What a registry sends may stand in the error's own text, so it is not kept.
            raise failure_of(error) from None

    def _timeout(self) -> aiohttp.ClientTimeout:
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise ReadingFailed("registry.timeout", "not read to the end in time")
        return aiohttp.ClientTimeout(total=min(left, self.endpoint.timeout))

    async def _body(self, response: ClientResponse) -> bytes:
        body, most = bytearray(), min(MOST_ANSWER_BYTES, self._bytes_left)
        _check_size(response.content_length or 0, most)
        async for chunk in response.content.iter_any():
            body += chunk
            _check_size(len(body), most)
        self._bytes_left -= len(body)
        return bytes(body)


def _authorization(file: str) -> dict[str, str]:
    if not file:
        return {}
    credential = _credential(Path(file))
    if not CREDENTIAL.match(credential) or len(credential) > MOST_CREDENTIAL_CHARACTERS:
        raise ReadingFailed("registry.credential", f"{file} can not be read, or holds no credential and nothing else")
    return {"Authorization": f"Bearer {credential}"}


def _credential(file: Path) -> str:
    """What a file holds; nothing when it can not be read, or would never end."""
    try:
        if not file.is_file():
            return ""
        with file.open(encoding="ascii") as stream:
            return stream.read(MOST_CREDENTIAL_CHARACTERS + 2).strip()
    except (OSError, ValueError):
        return ""


def _trust(ca_file: str) -> ssl.SSLContext:
    """Those who may vouch for the registry: the system's authorities, or the ones of the file alone."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError):
        raise ReadingFailed("registry.tls", "its ca_file can not be read or holds no certificate") from None


def _followed(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location))
        here = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
    except ValueError:
        raise ReadingFailed("registry.redirected", "it redirects to what is no address") from None
    if not location or not here or target.user is not None or target.password is not None:
        raise ReadingFailed("registry.redirected", "it redirects away from its own scheme, host and port")
    return target


def _check_head(response: ClientResponse) -> None:
    if response.status != SUCCESS:
        raise failure_of_status(response.status)
    kind = response.content_type
    if kind != "application/json" and not kind.endswith("+json"):
        raise ReadingFailed("registry.not_json", "an answer of another type than JSON; is the url right?")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ReadingFailed("registry.too_large", f"more than {most} bytes")


def _value(body: bytes) -> Any:
    try:
        return parsed(body)
    except ValueError:
        raise ReadingFailed("registry.not_json", "an answer that is no strict JSON") from None

"""Why a registry could not be read: a stable code and a sentence of ours, never a word of the registry's."""

import aiohttp

from mcp_agentspawn.core.errors import Unavailable

STATUS_CODES = {401: "registry.denied", 403: "registry.denied", 404: "registry.not_found", 429: "registry.slowed"}
FAILURES: tuple[tuple[type[BaseException], str, str], ...] = (
    (aiohttp.ClientSSLError, "registry.tls", "its certificate is not trusted here, or it does not speak TLS"),
    (aiohttp.InvalidURL, "registry.address", "its address is not written as one"),
    (TimeoutError, "registry.timeout", "no answer in time"),
    (aiohttp.ClientConnectorDNSError, "registry.unreachable", "its name is not known here"),
    (aiohttp.ClientConnectorError, "registry.unreachable", "nothing listens there, or it can not be reached from here"),
    (aiohttp.ClientPayloadError, "registry.cut_short", "the answer ended in the middle"),
    (aiohttp.ClientResponseError, "registry.unreachable", "what answers does not speak HTTP"),
)
"""The first that fits; all else is `registry.unreachable`."""


class ReadingFailed(Unavailable):
    """A registry was not read. `code` is a stable word; `detail` holds nothing that the registry said."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def failure_of(error: BaseException) -> ReadingFailed:
    """What an error of the connection means."""
    for kind, code, detail in FAILURES:
        if isinstance(error, kind):
            return ReadingFailed(code, detail)
    return ReadingFailed("registry.unreachable", "the connection was closed without an answer")


def failure_of_status(status: int) -> ReadingFailed:
    """What an answer that is no success means."""
    if status in STATUS_CODES:
        code = STATUS_CODES[status]
    elif 400 <= status < 500:  # noqa: PLR2004 - what HTTP calls the client's errors
        code = "registry.bad_request"
    else:
        code = "registry.server_error" if status >= 500 else "registry.dialect"  # noqa: PLR2004 - the server's
    hint = "; is its credential_file right?" if code == "registry.denied" else ""
    return ReadingFailed(code, f"HTTP status {status}{hint}")

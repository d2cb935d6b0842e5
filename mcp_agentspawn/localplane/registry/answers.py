"""What the stand-in says, before it is sent: bytes as Go writes them, errors as the registry words them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

TITLES: Mapping[int, str] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
JSON = "application/json"
PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


class Refused(Exception):
    """The registry says no: a status, a sentence, and for parameters what is wrong with which."""

    def __init__(self, status: int, detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a document, or the bytes that stand instead of it."""

    document: Any = None
    raw: bytes | None = None
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """What goes over the wire."""
        return written(self.document) if self.raw is None else self.raw

    def saying(self, raw: bytes) -> "Answer":
        """The same with other bytes."""
        return replace(self, raw=raw)


def written(document: Any) -> bytes:
    """Compact JSON with a newline behind it; keys stay in their order, as the registry's encoder leaves them."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n".replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode("utf-8", "surrogatepass")


def problem(refused: Refused) -> Answer:
    """An error as the registry says it."""
    document: dict[str, Any] = {
        "title": TITLES[refused.status],
        "status": refused.status,
        "detail": refused.detail,
    }
    if refused.errors:
        document["errors"] = [dict(error) for error in refused.errors]
    return Answer(document, status=refused.status, content_type=PROBLEM)


def unauthorized() -> Answer:
    """What builds with authentication say to strangers: no JSON."""
    return Answer(raw=b"Unauthorized", status=401, content_type=TEXT)


def page_of_the_site() -> Answer:
    """What any path outside of the API is answered with: the web interface, with status 200."""
    return Answer(raw=b"<!doctype html><html><body><div id=root></div></body></html>", content_type=HTML)

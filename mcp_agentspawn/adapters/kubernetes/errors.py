"""The one place where what the API server says, or does not say, becomes our errors.

Of an answer's body only a Kubernetes `Status` is read, and of that only reason and message; values that the API
server quotes from a request are left out.
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#http-status-codes
"""

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import aiohttp

from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome, Upstream

T = TypeVar("T")

MOST_CHARACTERS = 300
NOTHING_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
CODES = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.UNAUTHORIZED: "forbidden.credential",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "invalid",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
}
DENIALS = {
    "forbidden.policy": re.compile(r"ValidatingAdmissionPolicy '"),
    "forbidden.quota": re.compile(r"exceeded quota: |status unknown for quota: "),
    "forbidden.rbac": re.compile(r'User "[^"]*" cannot '),
}
# `field: Invalid value: "what was sent": why`. The value is Go-quoted, a number, or too complicated to cut out alone.
VALUE = re.compile(
    r'((?:Invalid|Unsupported|Duplicate) value): (?:(?:"(?:[^"\\]|\\.)*"|-?[\d.]+|true|false)(?=: |, |\]|$)|.*)',
    re.DOTALL,
)
# What all the tenants of a namespace have used together is none of theirs to know.
USED = re.compile(r"(exceeded quota: [^,]*),.*", re.DOTALL)


INITIALIZING = "storage is (re)initializing"


class NotYet(Unavailable):
    """The API server has just started, or a kind has just changed: a second later it answers."""


class TooLong(Unavailable):
    """More came than is ever read: of fewer objects it may be less."""


class ReadAgain(Unavailable):
    """What was seen before can not be gone on from: all has to be read again."""


class Status(NamedTuple):
    """What a Status object says."""

    reason: str = ""
    message: str = ""


def error_of(method: str, status: int, body: bytes, *, changes: bool, retry_after: bool) -> Upstream:
    """Translate an answer that is not a success. `changes`: the request was to change something."""
    said = _status_of(body)
    message = said.message or f"The API server answered {status}."
    if status in CODES:
        return Refused(_denial(said.message) or CODES[HTTPStatus(status)], message)
    if status == HTTPStatus.NOT_FOUND:
        return Missing(message)
    if status == HTTPStatus.CONFLICT:
        return _conflict(method, said, message)
    if status == HTTPStatus.GONE and not changes:
        return ReadAgain(message)
    turned_away = status == HTTPStatus.TOO_MANY_REQUESTS and retry_after
    if status == HTTPStatus.TOO_MANY_REQUESTS and not changes and INITIALIZING in message:
        return NotYet(message)
    return lost(message, changes=changes and not turned_away)


def error_of_failure(failure: Exception, *, changes: bool) -> Upstream:
    """Translate that there was no answer: what was not sent changed nothing, what was sent may have."""
    return lost(f"No answer from the API server ({type(failure).__name__}).", changes=changes and not unsent(failure))


def unsent(failure: Exception) -> bool:
    """Whether there was not even a connection."""
    return isinstance(failure, NOTHING_SENT)


def lost(message: str, *, changes: bool) -> Unavailable | UnknownOutcome:
    """The error for an answer that does not say what happened."""
    return UnknownOutcome(message) if changes else Unavailable(message)


def read(decode: Callable[[Any], T], answer: Any, *, changes: bool = False) -> T:
    """Decode an answer of the API server; one that is not as promised is no answer."""
    try:
        return decode(answer)
    except UNREADABLE as error:
        raise lost("The API server's answer can not be read.", changes=changes) from error


def _conflict(method: str, said: Status, message: str) -> Upstream:
    """On a create only AlreadyExists is about the object: admission of quotas says Conflict when it lost a race."""
    if method == "POST" and said.reason != "AlreadyExists":
        return Unavailable(message)
    return Conflict(message)


def _denial(message: str) -> str:
    return next((code for code, shape in DENIALS.items() if shape.search(message)), "")


def _status_of(body: bytes) -> Status:
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        return Status()
    if not isinstance(status, Mapping) or status.get("kind") != "Status":
        return Status()
    return Status(str(status.get("reason", "")), _without_values(str(status.get("message", ""))))


def _without_values(message: str) -> str:
    cut = USED.sub(r"\1", VALUE.sub(r"\1", message))
    return "".join(character if character.isprintable() else " " for character in cut)[:MOST_CHARACTERS]

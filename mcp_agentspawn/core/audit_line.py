"""One line of the audit log: bounded, canonical JSON (RFC 8785), and chained to the line before by its hash."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import rfc8785

from mcp_agentspawn.core.digest import MOST_INTEGER, hash_of
from mcp_agentspawn.core.moments import to_the_microsecond
from mcp_agentspawn.core.ports import Record

SEGMENT = "segment"
"""The event of the record with which every start of a writer begins."""
FIELDS = frozenset(
    {"sequence", "time", "writer", "event", "root", "caller", "subject", "outcome", "reasons", "details"}
    | {"previous", "hash"}
)
MOST_LINE_BYTES = 64 * 1024
"""No line is longer: the bounds below, at the four bytes that a character takes at most, stay under it."""
MOST_TEXT = 256
MOST_DETAILS = 16
MOST_DETAIL_NAME = 64
MOST_DETAIL = 512
MOST_REASONS = 32
MOST_REASON = 128
CUT = "…"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a line that is whole stands in the chain.

    `torn` is the hash by which a segment names the torn lines before it; `None`: it names none.
    """

    sequence: int
    hash: str
    previous: str
    writer: str
    event: str
    torn: str | None


class NotWhole(ValueError):
    """This is no line as it was written: not a record at all (`unreadable`), or one that was altered (`edited`)."""

    def __init__(self, code: Literal["unreadable", "edited"]) -> None:
        super().__init__(code)
        self.code = code


def described(record: Record, at: datetime) -> dict[str, Any]:
    """What a line says beside its place in the chain. What is too long is cut and ends with `…`."""
    reasons = [_text(code, MOST_REASON) for code in record.reasons[:MOST_REASONS]]
    return {
        "time": to_the_microsecond(at),
        "event": _text(record.event),
        "root": _text(record.root),
        "caller": _text(record.caller),
        "subject": _text(record.subject),
        "outcome": _text(record.outcome),
        "reasons": [*reasons[:-1], CUT] if len(record.reasons) > MOST_REASONS else reasons,
        "details": _details(record.details),
    }


def sealed(body: Mapping[str, Any], writer: str, sequence: int, previous: str) -> tuple[bytes, str]:
    """The line, with its end, at its place in the chain; and its hash."""
    placed = {**body, "writer": writer, "sequence": sequence, "previous": previous}
    hash_ = hash_of(rfc8785.dumps(placed))
    return rfc8785.dumps({**placed, "hash": hash_}) + b"\n", hash_


def read(line: bytes) -> Entry:
    """Read a line, without its end, and check it against its own hash. Raises `NotWhole`."""
    placed = _parsed(line)
    hash_ = placed.pop("hash")
    try:
        whole = hash_of(rfc8785.dumps(placed)) == hash_ and rfc8785.dumps({**placed, "hash": hash_}) == line
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise NotWhole("edited")
    torn = placed["details"].get("torn") if placed["event"] == SEGMENT else None
    return Entry(placed["sequence"], hash_, placed["previous"], placed["writer"], placed["event"], torn)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise NotWhole("unreadable") from None
    if not isinstance(value, dict) or value.keys() != FIELDS:
        raise NotWhole("unreadable")
    texts = all(isinstance(value[name], str) for name in ("hash", "previous", "writer", "event"))
    if not texts or type(value["sequence"]) is not int or not isinstance(value["details"], dict):
        raise NotWhole("edited")
    return value


def _details(details: Mapping[str, str | int]) -> dict[str, str | int]:
    kept = list(details.items())[:MOST_DETAILS]
    return {_text(name, MOST_DETAIL_NAME): _detail(value) for name, value in kept}


def _detail(value: str | int) -> str | int:
    if isinstance(value, int) and abs(value) <= MOST_INTEGER:
        return value
    return _text(str(value), MOST_DETAIL)


def _text(text: str, most: int = MOST_TEXT) -> str:
    """Whoever reads the log with `cat` shall see what is there: unseen characters are written as Python escapes."""
    shown = text[: most + 1]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)
    return shown if len(shown) <= most else shown[: most - 1] + CUT

"""Where the next page begins, as each dialect writes it down."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from mcp_agentspawn.localplane.registry.answers import Refused
from mcp_agentspawn.localplane.registry.published import Entry, moment

Dialect = Literal["v0.4", "v0.3", "inventory"]
Place = tuple[str, str, str, datetime]
BEFORE_ALL = "0001-01-01T00:00:00+00:00"


def behind(entry: Entry) -> str:
    """The cursor of dialect v0.4 for what comes after an entry."""
    return _encoded({"namespace": entry.namespace, "name": entry.name, "tag": entry.tag, "updatedAt": entry.updated_at})


def place(cursor: str) -> Place:
    """Where a cursor of dialect v0.4 points; Refused when it is none."""
    if not cursor:
        return "", "", "", moment(BEFORE_ALL)
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(told["namespace"]), str(told["name"]), str(told["tag"]), moment(told["updatedAt"])
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise Refused(400, "invalid cursor") from error


def beginning(dialect: Dialect, number: int) -> str:
    """A cursor that is well formed, differs for each number, and leads back to the first page."""
    if dialect == "v0.4":
        return _encoded({"namespace": "", "name": "", "tag": str(number), "updatedAt": BEFORE_ALL})
    return f"!{number}:"


def next_of(document: Any) -> str:
    """The cursor in an answer, or empty."""
    held = document.get("metadata", {}) if "agents" in document else document
    return str(held.get("nextCursor", ""))


def leading_to(document: Any, cursor: str) -> dict[str, Any]:
    """The answer with this cursor in it, where its dialect has it."""
    if "agents" not in document:
        return {**document, "nextCursor": cursor}
    return {**document, "metadata": {"nextCursor": cursor, **_without_cursor(document.get("metadata", {}))}}


def _without_cursor(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "nextCursor"}


def _encoded(told: Mapping[str, str]) -> str:
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

"""A stranger's values as ours: of the right kind, bounded, and with nothing in them that can not be seen."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mcp_agentspawn.core.registry import (
    MOST_DESCRIPTION_CHARACTERS,
    MOST_INSTRUCTIONS_CHARACTERS,
    MOST_LABEL_CHARACTERS,
    MOST_LABELS,
    MOST_SKILLS,
    MOST_TITLE_CHARACTERS,
)
from mcp_agentspawn.core.text import written_out

MOST_IMAGE_CHARACTERS = 512
MOST_PROTOCOL_CHARACTERS = 32
CUT = "…"
LONG_AGO = datetime.min.replace(tzinfo=UTC)
LINES = re.compile(r"[ \t\r\n]+")
IMAGE = re.compile(r"[!-~]*\Z", re.ASCII)


class Unreadable(Exception):
    """One item of a listing is not what it should be; the others are not touched by that."""


def mapping(value: Any) -> Mapping[str, Any]:
    """An object; absent is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable
    return value


def items(value: Any) -> list[Any]:
    """A list; absent is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable
    return value


def text(value: Any) -> str:
    """A text as it is; absent is an empty one."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable
    return value


def fitting(pattern: re.Pattern[str], value: Any) -> str:
    """A text of this form."""
    found = text(value)
    if not pattern.match(found):
        raise Unreadable
    return found


def plain(value: Any, most: int) -> str:
    """A text on one line that can be read by people: what is unseen is written out, what is too long is cut."""
    line = written_out(LINES.sub(" ", text(value)[: 2 * most]).strip())
    return line if len(line) <= most else line[: most - 1] + CUT


def title_of(value: Any) -> str:
    """What something is called."""
    return plain(value, MOST_TITLE_CHARACTERS)


def description_of(value: Any) -> str:
    """What something says of itself."""
    return plain(value, MOST_DESCRIPTION_CHARACTERS)


def instructions_of(value: Any) -> str:
    """Instructions are never altered, so too long ones can not be read."""
    found = text(value)
    if len(found) > MOST_INSTRUCTIONS_CHARACTERS:
        raise Unreadable
    return found


def image_of(value: Any) -> str:
    """The reference of an image."""
    found = fitting(IMAGE, value)
    if len(found) > MOST_IMAGE_CHARACTERS:
        raise Unreadable
    return found


def labels_of(value: Any) -> dict[str, str]:
    """Labels, sorted. One that is too long is left out: cut, it could be another one."""
    pairs = [(written_out(key), written_out(text(word))) for key, word in sorted(mapping(value).items())]
    fit = [pair for pair in pairs if max(map(len, pair)) <= MOST_LABEL_CHARACTERS]
    return dict(fit[:MOST_LABELS])


def summary(name: Any, description: Any) -> str:
    """Something named and described, on one line."""
    return plain(": ".join(filter(None, (text(name), text(description)))), MOST_TITLE_CHARACTERS)


def skills_of(summaries: Iterable[str]) -> tuple[str, ...]:
    """The first of them, each once."""
    return tuple(dict.fromkeys(filter(None, summaries)))[:MOST_SKILLS]


def moment_of(value: Any) -> datetime:
    """A moment that can be compared; long ago when none is written there."""
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return LONG_AGO

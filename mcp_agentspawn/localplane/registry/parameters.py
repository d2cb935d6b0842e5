"""Query parameters as the registry reads them: the first of a name counts, unknown ones are ignored without a word."""

import re
from collections.abc import Mapping
from typing import Any

from mcp_agentspawn.localplane.registry.answers import Refused

Query = Mapping[str, str]
YES, NO = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}


def integer(query: Query, name: str, default: int) -> int:
    """A whole number; absent or empty it is the default."""
    text = query.get(name, "")
    if text and not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise invalid("invalid integer", name, text)
    return int(text) if text else default


def between(query: Query, name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds; 422 outside, as dialects v0.3 and inventory have it."""
    number = integer(query, name, default)
    if number < least:
        raise invalid(f"expected number >= {least}", name, number)
    if number > most:
        raise invalid(f"expected number <= {most}", name, number)
    return number


def boolean(query: Query, name: str) -> bool:
    """Yes or no as Go reads it; absent it is no."""
    text = query.get(name, "")
    if text and text not in YES | NO:
        raise invalid("invalid boolean", name, text)
    return text in YES


def selector(query: Query) -> dict[str, str]:
    """The labels that an entry must have: `key=value,key2=value2`."""
    found = {}
    for part in query.get("labels", "").split(","):
        key, equals, value = part.strip().partition("=")
        if part and not (key and equals):
            raise Refused(400, f'invalid labels selector: label "{part}" must be key=value')
        found.update({key: value} if part else {})
    return found


def invalid(message: str, name: str, value: Any) -> Refused:
    """What the registry says to a parameter of the wrong type or size."""
    return Refused(422, "validation failed", [{"message": message, "location": f"query.{name}", "value": value}])

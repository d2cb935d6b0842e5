"""Agents' JSON, made fit for the protocol's library: strict, bounded in depth and pieces, and whole characters only."""

import re
from typing import Any

from mcp_agentspawn.adapters.a2a.failures import Failed
from mcp_agentspawn.adapters.registry.strict_json import parsed

MOST_DEPTH = 64
MOST_PIECES = 100_000
"""Of values and keys. An answer with more is no answer to people, and would take gigabytes and minutes to read."""
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
PIECE = re.compile(rb"[,\[{]")


class Unreadable(ValueError):
    """What an agent sent is not what the protocol says."""


def sound(body: bytes) -> Any:
    """The value of a JSON text. Raises `ValueError`, and `Failed` when it has too many pieces."""
    if len(PIECE.findall(STRING.sub(b"", body))) > MOST_PIECES:
        raise Failed("too_large")
    return _whole(parsed(body), MOST_DEPTH)


def _whole(value: Any, depth: int) -> Any:
    """The same with a replacement for each half of a character: JSON can say one, and no library can send it on."""
    if depth == 0:
        raise Unreadable("nested too deep")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_whole(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_text(key): _whole(item, depth - 1) for key, item in value.items()}
    return value


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

"""Agents' JSON, made fit for the protocol's library: strict, bounded in depth and pieces, and whole characters only."""

from typing import Any

from mcp_agentspawn.adapters.a2a.failures import Failed
from mcp_agentspawn.adapters.registry.strict_json import parsed

MOST_DEPTH = 64
MOST_PIECES = 50_000
"""Of values and keys. An answer with more is no answer to people, and would take gigabytes and minutes to read."""
QUOTES_OF_A_PIECE = 4
"""Of a key and its value."""


class Unreadable(ValueError):
    """What an agent sent is not what the protocol says."""


def sound(body: bytes) -> Any:
    """The value of a JSON text. Raises `ValueError`, and `Failed` when it has too many pieces."""
    if _is_crowded(body):
        raise Failed("too_large")
    return _whole(parsed(body), MOST_DEPTH)


def _is_crowded(body: bytes) -> bool:
    """Whether a JSON text has too many pieces, found without making them; what is no JSON may be taken for any."""
    without_escapes = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if without_escapes.count(b'"') > QUOTES_OF_A_PIECE * MOST_PIECES:
        return True
    outside_strings = b"".join(without_escapes.split(b'"')[::2])
    return sum(map(outside_strings.count, (b",", b"[", b"{"))) > MOST_PIECES


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

"""The parts of a text in which something may be, found in one pass, so that only these are looked at closely."""

from collections.abc import Iterator
from typing import Any

REACH = 400
"""Bytes on either side: a phrase, or the rest of what an encoding is part of."""
OVERLAP = 64
"""Bytes that are searched again, in case that a place stands across an end."""


def around(pattern: Any, text: bytes) -> bytes:
    """The parts of a text that are near to where a pattern of RE2 stands; places close together make one part."""
    return b"".join(_parts(pattern, text))


def _parts(pattern: Any, text: bytes) -> Iterator[bytes]:
    end = 0
    while found := pattern.search(text, max(0, end - OVERLAP)):
        begin = max(end, found.start() - REACH)
        yield b"\n" if begin > end else b""
        end = max(end, found.start()) + REACH
        yield text[begin:end]

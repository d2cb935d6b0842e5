"""The parts of a text in which something may be, found in one quick pass, so that only these are looked at closely."""

from collections.abc import Iterator
from typing import Any

REACH = 200
"""Bytes on either side, at least: a phrase, or the rest of what an encoding is part of."""


def around(pattern: Any, text: bytes) -> bytes:
    """The parts of a text that are near to where a pattern of RE2 stands; places close together make one part."""
    return b"".join(_parts(pattern, text))


def _parts(pattern: Any, text: bytes) -> Iterator[bytes]:
    """Twice the reach behind a place, and on from its middle: so each place has its reach, and each step is as long."""
    end = 0
    while found := pattern.search(text, max(0, end - REACH)):
        begin = max(end, found.start() - REACH)
        yield b"\n" if begin > end else b""
        end = found.start() + 2 * REACH
        yield text[begin:end]


def members(characters: bytes) -> bytes:
    """A table for `runs`: what belongs to a run of these characters, and what does not."""
    return bytes(ord("x") if byte in characters else ord(" ") for byte in range(256))


def runs(table: bytes, least: int, text: bytes) -> Iterator[bytes]:
    """The whole runs of a table's characters that are at least so long."""
    marked = text.translate(table) + b" "
    begin = marked.find(b"x" * least)
    while begin >= 0:
        end = marked.find(b" ", begin)
        yield text[begin:end]
        begin = marked.find(b"x" * least, end)

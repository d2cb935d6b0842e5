"""The parts of a text in which something may be, found in one quick pass, so that only these are looked at closely."""

from collections.abc import Iterator
from typing import Any

REACH = 200
"""Bytes on either side, at least: a phrase, or the rest of what an encoding is part of."""
MOST_STEP = 32 * REACH


def around(pattern: Any, text: bytes) -> bytes:
    """The parts of a text that are near to where a pattern of RE2 stands; places close together make one part."""
    return b"".join(_parts(pattern, text))


def _parts(pattern: Any, text: bytes) -> Iterator[bytes]:
    """Twice the reach behind a place, and on from its middle: so each place has its reach.

    Where places are dense each step is twice as long as the one before: it takes some that it need not.
    """
    end, step = 0, REACH
    while found := pattern.search(text, max(0, end - REACH)):
        begin = max(end, found.start() - REACH)
        step = REACH if begin > end else min(2 * step, MOST_STEP)
        yield b"\n" if begin > end else b""
        end = found.start() + REACH + step
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

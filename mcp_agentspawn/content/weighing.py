"""Candidates for a secret, weighed: a rule's pattern finds them, what they are made of decides."""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from typing import Any

import re2

from mcp_agentspawn.content.rules import rules
from mcp_agentspawn.content.vicinity import members, runs

LEAST_VALUE, LEAST_TOKEN, MOST_TOKEN = 8, 32, 128
LEAST_DISTINCT = 6
LEAST_OF_EACH = 3
MOST_CANDIDATES = 64
"""More assigned secrets than anybody has in one text are refused without a look at each, which bounds the work."""
DIGITS, UPPER, LOWER = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
HEXADECIMAL = b"0123456789abcdefABCDEFx"
BETWEEN_WORDS = b"_-"
OF_TOKEN = members(bytes(range(ord("!"), 256)))
AROUND = b"\"'`(),;.:!?[]{}"
PLACEHOLDER_BEGINS = (b"$", b"{", b"<", b"%", b"*", b"(", b"[", b"/", b"./", b"~")
PLACEHOLDER_HOLDS = (
    b"${",
    b"{{",
    b"***",
    b"...",
    b"environ",
    b"getenv",
    b".env",
    b"your",
    b"changeme",
    b"xxxx",
    b"://",
)
PUBLIC = (b"AAAA", b"MII", b"MCow")
"""How public keys and certificates begin."""


def _assigned(text: bytes) -> bool:
    """Whether anything is assigned to a name of a secret that looks like one: not a word, not a placeholder."""
    found = [
        candidate.group(1) for candidate in islice(_pattern("credential.assigned").finditer(text), MOST_CANDIDATES)
    ]
    return len(found) == MOST_CANDIDATES or any(map(is_secret, found))


@cache
def _pattern(rule: str) -> Any:
    return re2.compile(rules()[rule].pattern)


def is_secret(value: bytes) -> bool:
    """Whether a value that is assigned to a name of a secret looks like one."""
    small = value.lower()
    if len(value) < LEAST_VALUE or small.startswith(PLACEHOLDER_BEGINS):
        return False
    if any(mark in small for mark in PLACEHOLDER_HOLDS):
        return False
    return len(set(value)) >= LEAST_DISTINCT and bool(_count(value, DIGITS)) and bool(_count(small, LOWER))


def _random(text: bytes) -> bool:
    """Whether there is a long token of small and capital letters and digits that no known kind of name explains."""
    return any(is_random(run.strip(AROUND)) for run in runs(OF_TOKEN, LEAST_TOKEN, text))


def is_random(token: bytes) -> bool:
    """Whether this is a long token that no known kind of name explains."""
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or not token.isascii() or token.startswith(PUBLIC):
        return False
    counts: list[int] = []
    for kind in (DIGITS, UPPER, LOWER):  # most words have no digits, so that one look is enough
        counts.append(_count(token, kind))
        if counts[-1] < LEAST_OF_EACH:
            return False
    whole = sum(counts) + _count(token, BETWEEN_WORDS) == len(token)
    return whole and _count(token, HEXADECIMAL) < len(token)


def _count(token: bytes, kind: bytes) -> int:
    return len(token) - len(token.translate(None, kind))


WEIGHING: Mapping[str, Callable[[bytes], bool]] = {"credential.assigned": _assigned, "credential.random": _random}


def outweighs(rule: str, text: bytes) -> bool:
    """Whether what this rule's pattern found in a text is a secret; always so for a rule that is not weighed."""
    return rule not in WEIGHING or WEIGHING[rule](text)

"""Every value of a manifest with its path, so that nothing in it goes unseen; and every text, to look for odd ones."""

import json
import re
from collections.abc import Iterator
from typing import Any

from mcp_agentspawn.cli.escaping import behind_gutter, block, quoted

PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
LINE_END = "\n"


def manifest_lines(manifest: str) -> Iterator[str]:
    """A manifest, which is JSON, a line for each value; texts of many lines stand below their path."""
    for path, value in _leaves("", json.loads(manifest)):
        if isinstance(value, str) and "\n" in value:
            yield from behind_gutter([f"{path} = a text of {value.count(LINE_END) + 1} lines:"], "  ")
            yield from block(value, "      ")
        else:
            yield from behind_gutter([f"{path} = {_written(value)}"], "  ")


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Everything in a JSON value that holds nothing itself, by its path; the path is escaped."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            step = f".{key}" if PLAIN_KEY.match(key) else f"[{quoted(key)}]"
            yield from _leaves((path + step).removeprefix("."), part)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _leaves(f"{path}[{number}]", part)
    else:
        yield path, value


def _written(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def texts(value: Any) -> Iterator[str]:
    """Every key and every text in a JSON value."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value

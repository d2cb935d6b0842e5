"""What was read of a registry, as a file: one entry a line, in the order of the reading."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from mcp_agentspawn.core.registry import RegistryEntry

FIELDS = tuple(field.name for field in fields(RegistryEntry))
WEIGHED = "suspected_by"
"""What the content guard found; all other fields are what was served."""
LISTS = ("skills", "tool_servers", "other_tags", WEIGHED)
HASH_CHARACTERS = 32


def write_snapshot(folder: Path, registry: str, entries: Iterable[RegistryEntry]) -> Path:
    """Write the entries of a registry, all at once. The file is named by its content: the same twice is one file."""
    fresh = folder / f"{registry}.{os.getpid()}.new"
    content = sha256()
    with fresh.open("wb") as file:
        for entry in entries:
            line = json.dumps(_record(entry)).encode() + b"\n"
            content.update(line)
            file.write(line)
    return fresh.replace(folder / f"{registry}.{content.hexdigest()[:HASH_CHARACTERS]}.jsonl")


def read_snapshot(file: Path) -> Iterator[RegistryEntry]:
    """The entries in a file, one by one."""
    with file.open("rb") as lines:
        for line in lines:
            record = json.loads(line)
            yield RegistryEntry(**record | {name: tuple(record[name]) for name in LISTS})


def known_suspicions(file: Path | None) -> dict[bytes, tuple[str, ...]]:
    """What the content guard found in the entries of a file, by what was served; nothing when there is no file."""
    if file is None:
        return {}
    return {served(entry): entry.suspected_by for entry in read_snapshot(file)}


def served(entry: RegistryEntry) -> bytes:
    """A hash of all of an entry that was served: what the content guard would see again."""
    record = _record(entry)
    del record[WEIGHED]
    return sha256(json.dumps(record, sort_keys=True).encode()).digest()


def _record(entry: RegistryEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in FIELDS} | {"labels": dict(entry.labels)}

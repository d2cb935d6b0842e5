"""What was read of a registry, as a file: one entry a line, in the order of the reading."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from mcp_agentspawn.adapters.index import records
from mcp_agentspawn.core.registry import RegistryEntry

HASH_CHARACTERS = 32


def write_snapshot(folder: Path, registry: str, entries: Iterable[RegistryEntry]) -> Path:
    """Write the entries of a registry, all at once. The file is named by its content: the same twice is one file."""
    fresh = folder / f"{registry}.{os.getpid()}.new"
    content = sha256()
    with fresh.open("wb") as file:
        for entry in entries:
            line = records.written(entry) + b"\n"
            content.update(line)
            file.write(line)
    return fresh.replace(folder / f"{registry}.{content.hexdigest()[:HASH_CHARACTERS]}.jsonl")


def read_snapshot(file: Path) -> Iterator[RegistryEntry]:
    """The entries in a file, one by one."""
    with file.open("rb") as lines:
        yield from map(records.read, lines)


def known_suspicions(file: Path | None) -> dict[bytes, tuple[str, ...]]:
    """What the content guard found in the entries of a file, by what was served; nothing when there is no file."""
    if file is None:
        return {}
    return {served(entry): entry.suspected_by for entry in read_snapshot(file)}


def served(entry: RegistryEntry) -> bytes:
    """A hash of all of an entry that was served: what the content guard would see again."""
    return sha256(records.written(replace(entry, suspected_by=()))).digest()

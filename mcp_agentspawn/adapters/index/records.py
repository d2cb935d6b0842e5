"""An entry as JSON: as it is kept in a file of what was read, and beside its keys in an index."""

import json
from dataclasses import fields
from typing import Any

from mcp_agentspawn.core.registry import RegistryEntry

NAMES = tuple(field.name for field in fields(RegistryEntry))


def written(entry: RegistryEntry) -> bytes:
    """All of an entry, on one line."""
    return json.dumps({name: getattr(entry, name) for name in NAMES}, default=dict).encode()


def read(record: bytes | str) -> RegistryEntry:
    """The entry that was written."""
    told: dict[str, Any] = json.loads(record)
    return RegistryEntry(**{name: _as_it_was(value) for name, value in told.items()})


def _as_it_was(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

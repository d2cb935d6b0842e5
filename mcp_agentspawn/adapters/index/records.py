"""How an entry is kept beside its keys."""

import json
from dataclasses import fields
from typing import Any

from mcp_agentspawn.core.registry import RegistryEntry

NAMES = tuple(field.name for field in fields(RegistryEntry))


def written(entry: RegistryEntry) -> str:
    """All of an entry as JSON."""
    return json.dumps({name: getattr(entry, name) for name in NAMES}, ensure_ascii=False, default=dict)


def read(text: str) -> RegistryEntry:
    """The entry that was written."""
    told: dict[str, Any] = json.loads(text)
    return RegistryEntry(**{name: _as_it_was(value) for name, value in told.items()})


def _as_it_was(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

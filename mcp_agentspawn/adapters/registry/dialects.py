"""Which of its three dialects a registry speaks, told from its answers, and what they say in ours."""

from typing import Any

from mcp_agentspawn.adapters.registry import envelopes, older
from mcp_agentspawn.adapters.registry.envelopes import Companions
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.items import Dialect, Version


def dialect_of(page: Any) -> Dialect:
    """The dialect of a listing's first page. Raises `ReadingFailed`."""
    if isinstance(page, dict) and isinstance(page.get("items"), list):
        return "v0.4"
    if isinstance(page, dict) and isinstance(page.get("agents"), list):
        return "inventory" if any(map(older.is_inventory, page["agents"])) else "v0.3"
    raise ReadingFailed("registry.dialect", "an answer that lists no agents")


def items_of(page: Any, dialect: Dialect) -> list[Any]:
    """What a page lists. Raises `ReadingFailed` for one of another dialect than the first."""
    found = page.get("items" if dialect == "v0.4" else "agents") if isinstance(page, dict) else None
    if not isinstance(found, list):
        raise ReadingFailed("registry.dialect", "a page that lists no agents")
    return found


def version_of(registry: str, item: Any, dialect: Dialect, companions: Companions) -> Version | None:
    """One item in neutral words; `None` when it is gone. Raises `Unreadable`."""
    if dialect == "v0.4":
        return envelopes.version_of(registry, item, companions)
    return older.version_of(registry, item, inventory=dialect == "inventory")

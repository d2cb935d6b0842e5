"""The twin of registries: entries that can be set, found by the very index of the real ones."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.registry import Handle, Page, Query, RegistryEntry, Standing, View

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class MemoryRegistries:
    """All that `entries` holds is known; a registry in `away` answers nothing."""

    def __init__(self) -> None:
        self.entries: list[RegistryEntry] = []
        self.away: set[str] = set()

    async def find(self, view: View, query: Query) -> Page:
        """See `core.registry.Registries.find`."""
        index = Index.of(entry for entry in self.entries if view.holds(entry))
        index.set_blueprints(view.blueprints)
        try:
            return index.find(view.routes, query)
        finally:
            index.close()

    async def read(self, handle: Handle) -> RegistryEntry | None:
        """See `core.registry.Registries.read`."""
        if handle.registry in self.away:
            raise Unavailable(f"Registry {handle.registry} is away.")
        named = (handle.registry, handle.namespace, handle.name, handle.tag)
        return next((one for one in self.entries if (one.registry, one.namespace, one.name, one.tag) == named), None)

    def standings(self) -> Sequence[Standing]:
        """See `core.registry.Registries.standings`."""
        names = sorted({entry.registry for entry in self.entries} | self.away)
        return [Standing(name, "stale" if name in self.away else "fresh", NOON) for name in names]

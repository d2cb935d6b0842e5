"""The twin of registries: entries that can be set, found by the very index of the real ones."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.registry import LATEST, Handle, Page, Query, RegistryEntry, Standing, View

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class MemoryRegistries:
    """All that `entries` holds is known; a registry in `away` is not reached, and its entries are found all the same.

    What stands behind was written later. A registry is there from its first entry on, and stays when it has none any
    more.
    """

    def __init__(self) -> None:
        self.entries: list[RegistryEntry] = []
        self.away: set[str] = set()
        self._names: set[str] = set()

    async def find(self, view: View, query: Query) -> Page:
        """See `core.registry.Registries.find`."""
        self._notice()
        best_last = sorted(self.entries, key=lambda entry: entry.tag == LATEST)
        index = Index.of(filter(view.holds, reversed(best_last)))
        index.set_blueprints(view.blueprints)
        try:
            return index.find(view.routes, query)
        finally:
            index.close()

    async def read(self, handle: Handle) -> RegistryEntry | None:
        """See `core.registry.Registries.read`."""
        self._notice()
        if handle.registry in self.away or handle.registry not in self._names:
            raise Unavailable(f"Registry {handle.registry} is away, or there is none.")
        named = (handle.registry, handle.namespace, handle.name, handle.tag)
        return next((one for one in self.entries if (one.registry, one.namespace, one.name, one.tag) == named), None)

    def standings(self) -> Sequence[Standing]:
        """See `core.registry.Registries.standings`."""
        self._notice()
        return [self._standing(name) for name in sorted(self._names)]

    def _standing(self, name: str) -> Standing:
        if name in self.away:
            return Standing(name, "stale", NOON, ("registry.unreachable",))
        return Standing(name, "fresh", NOON)

    def _notice(self) -> None:
        self._names |= {entry.registry for entry in self.entries} | self.away

"""Audits that keep nothing, for whoever changes nothing that lasts."""

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Record


class ForLooking:
    """Refuses every record: whoever looks only has none to write, and without a record nothing is changed."""

    async def write(self, record: Record) -> Head:
        """See `core.ports.Audit.write`."""
        raise Unavailable(f"Only looking was asked for, and {record.event} is more than that.")


class ForThrowingAway:
    """Takes every record and forgets it, for a world that is thrown away with it."""

    def __init__(self) -> None:
        self._written = 0

    async def write(self, record: Record) -> Head:  # noqa: ARG002 - it is forgotten
        """See `core.ports.Audit.write`."""
        self._written += 1
        return Head("nobody", self._written, "")

"""Ports for whoever looks only: nothing is changed through them, and nothing is kept."""

from collections.abc import Sequence
from typing import NoReturn

from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import Manifest, Root, Subagent
from mcp_agentspawn.core.ports import Agents, Record

IMPERSONATION = "cannot impersonate"
"""How the API server says that whoever asks, and not the root, may not do it."""


class AuditForLooking:
    """Refuses every record: whoever looks only has none to write, and without a record nothing is changed."""

    async def write(self, record: Record) -> Head:
        """See `core.ports.Audit.write`."""
        raise Unavailable(f"Only looking was asked for, and {record.event} is more than that.")


class ForgetfulAudit:
    """Takes every record and forgets it, for a world that is thrown away with it."""

    def __init__(self) -> None:
        self._written = 0

    async def write(self, record: Record) -> Head:  # noqa: ARG002 - it is forgotten
        """See `core.ports.Audit.write`."""
        self._written += 1
        return Head("nobody", self._written, "")


class AgentsForLooking:
    """Agents as an operator sees them. That the operator may not act as a root says nothing about the root."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def trial(self, root: Root, proposal: str, manifest: Manifest) -> Manifest:
        """See `core.ports.Agents.trial`. Raises `Unavailable` where whoever asks may not act as the root."""
        try:
            return await self._agents.trial(root, proposal, manifest)
        except Refused as refusal:
            if IMPERSONATION in refusal.message:
                raise Unavailable(refusal.message) from refusal
            raise

    async def get(self, home: str, id_: str) -> Subagent | None:
        """See `core.ports.Agents.get`."""
        return await self._agents.get(home, id_)

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        """See `core.ports.Agents.of_root`."""
        return await self._agents.of_root(root)

    async def of_home(self, home: str) -> Sequence[Subagent]:
        """See `core.ports.Agents.of_home`."""
        return await self._agents.of_home(home)

    async def create(self, root: Root, proposal: str, manifest: Manifest) -> Subagent:  # noqa: ARG002 - refused
        """See `core.ports.Agents.create`."""
        _refuse()

    async def trial_delete(self, root: Root, id_: str, uid: str) -> None:  # noqa: ARG002 - refused
        """See `core.ports.Agents.trial_delete`."""
        _refuse()

    async def delete(self, root: Root, id_: str, uid: str) -> bool:  # noqa: ARG002 - refused
        """See `core.ports.Agents.delete`."""
        _refuse()

    async def expire(self, home: str, id_: str, uid: str) -> bool:  # noqa: ARG002 - refused
        """See `core.ports.Agents.expire`."""
        _refuse()


def _refuse() -> NoReturn:
    raise Refused("forbidden.looking", "Only looking was asked for.")

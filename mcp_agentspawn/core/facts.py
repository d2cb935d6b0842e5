"""What guards may ask. They see the world through these alone, and can change nothing by them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Ancestor, Approval, Caller, Manifest
from mcp_agentspawn.core.ports import Violation
from mcp_agentspawn.core.switches import Switches


class Facts(Protocol):
    """A read-only view on the ports."""

    @property
    def now(self) -> datetime:
        """The moment of this judgement."""
        ...

    async def may_use(self, caller: Caller, template: str) -> bool:
        """See `Access.may_use`."""
        ...

    async def models(self, caller: Caller, *, fresh: bool = False) -> frozenset[str]:
        """See `Inventory.models`."""
        ...

    async def tools(self, caller: Caller, *, fresh: bool = False) -> Mapping[str, frozenset[str]]:
        """See `Inventory.tools`."""
        ...

    async def violations(self, manifest: Manifest) -> Sequence[Violation]:
        """See `Inventory.violations`."""
        ...

    async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
        """See `Ledgers.look`, pruned to now and to what a person reset."""
        ...

    async def switches(self) -> Switches:
        """See `Switchboard.current`."""
        ...

    async def ancestors(self, caller: Caller) -> Sequence[Ancestor]:
        """The caller's subagent and those above it, nearest first, fresh; none for a root.

        The sequence is cut short where a proposal is missing, and after more generations than there may be.
        """
        ...

    async def approvals(self, proposal: str, *, fresh: bool = True) -> Sequence[Approval]:
        """See `Approvals.of`."""
        ...

    async def trial(self, caller: Caller, proposal: str, manifest: Manifest) -> Manifest:
        """See `Agents.trial`."""
        ...

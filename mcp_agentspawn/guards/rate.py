"""Too many changes in this window, for this caller?"""

from datetime import datetime

from pydantic import Field

from mcp_agentspawn.core.guard import LedgerGuard, Step, verdict_of
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.verdict import Reason, Verdict


class ChangeRate(LedgerGuard):
    """Changes are new proposals and applies; retiring never counts. 0 allows none."""

    changes_per_minute: int = Field(default=10, ge=0, le=10_000)

    def judge(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Verdict:  # noqa: ARG002 - pruned
        """Deny when the window is full."""
        recent = [change for change in ledger.changes if change.caller == caller.agent]
        if len(recent) < self.changes_per_minute:
            return verdict_of([])
        message = f"{self.changes_per_minute} changes a minute are allowed. Wait a minute and try again."
        return verdict_of([Reason("rate.changes_per_minute", message)])

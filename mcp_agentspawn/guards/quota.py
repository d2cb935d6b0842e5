"""Open proposals, live per parent and per root, and spawned in 24 hours per root: is there room?"""

from datetime import datetime

from pydantic import Field

from mcp_agentspawn.core.guard import LedgerGuard, Step, verdict_of
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.verdict import Reason, Verdict


class Quota(LedgerGuard):
    """Ceilings; 0 allows none. A proposal takes an open place, an apply takes a live and a daily one."""

    open_proposals: int = Field(default=5, ge=0, le=1_000)
    live_per_parent: int = Field(default=3, ge=0, le=500)
    live_per_root: int = Field(default=10, ge=0, le=500)
    spawned_per_root_per_day: int = Field(default=30, ge=0, le=1_000)

    def judge(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Verdict:  # noqa: ARG002 - pruned
        """Deny for every ceiling that this step would pass."""
        return verdict_of(self._open(ledger) if step == "propose" else self._live(caller, ledger))

    def _open(self, ledger: Ledger) -> list[Reason]:
        if len(ledger.open) < self.open_proposals:
            return []
        message = f"{self.open_proposals} open proposals are allowed. Apply or withdraw one first."
        return [Reason("quota.open_proposals", message)]

    def _live(self, caller: Caller, ledger: Ledger) -> list[Reason]:
        own = sum(live.parent == caller.agent for live in ledger.live.values())
        ceilings = (
            (
                "live_per_parent",
                own,
                self.live_per_parent,
                "live subagents of one parent are allowed. Retire one first.",
            ),
            ("live_per_root", len(ledger.live), self.live_per_root, "live subagents are allowed. Retire one first."),
            (
                "spawned_per_root_per_day",
                len(ledger.used),
                self.spawned_per_root_per_day,
                "spawns in 24 hours are allowed.",
            ),
        )
        return [Reason(f"quota.{name}", f"{most} {text}") for name, held, most, text in ceilings if held >= most]

"""Open proposals, live per parent and per root, and spawned in 24 hours per root: is there room?"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from mcp_agentspawn.core.guard import LedgerGuard, SharedCeiling, Step, held_of_tree, verdict_of
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.verdict import Reason, Verdict


class Quota(LedgerGuard):
    """Ceilings; 0 allows none. A proposal takes an open place, an apply takes a live and a daily one.

    `open_proposals` are those of one caller, `open_per_root` (`None`: twice as many) those of a root with all its
    subagents, of which the root keeps its own share. What is said of a parent holds for the root itself, too;
    `spawned_per_parent_per_day` of `None` is the root's.
    """

    shares: ClassVar[Mapping[str, tuple[str, int]]] = {
        "open_per_root": ("open_proposals", 2),
        "spawned_per_parent_per_day": ("spawned_per_root_per_day", 1),
    }

    open_proposals: int = Field(default=5, ge=0, le=1_000)
    open_per_root: SharedCeiling = None
    live_per_parent: int = Field(default=3, ge=0, le=500)
    live_per_root: int = Field(default=10, ge=0, le=500)
    spawned_per_parent_per_day: SharedCeiling = None
    spawned_per_root_per_day: int = Field(default=30, ge=0, le=1_000)

    def judge(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Verdict:  # noqa: ARG002 - pruned
        """Deny for every ceiling that this step would pass."""
        counts = self.held(caller, ledger)
        held = {name: counts[name] for name in (OF_PROPOSE if step == "propose" else OF_APPLY)}
        return verdict_of(
            [Reason(f"quota.{name}", f"{self.ceiling(name)} {MEANING[name]}") for name in self.passed(held)]
        )

    def held(self, caller: Caller, ledger: Ledger) -> Mapping[str, int]:
        """What counts against each ceiling; `ledger` is pruned to now."""
        by_caller = Counter(entry.parent for entry in ledger.open.values())
        return {
            "open_proposals": by_caller[caller.agent],
            "open_per_root": held_of_tree(caller, by_caller, self.open_proposals),
            "live_per_parent": sum(live.parent == caller.agent for live in ledger.live.values()),
            "live_per_root": len(ledger.live),
            "spawned_per_parent_per_day": sum(use.parent == caller.agent for use in ledger.used.values()),
            "spawned_per_root_per_day": len(ledger.used),
        }


OF_PROPOSE = ("open_proposals", "open_per_root")
OF_APPLY = ("live_per_parent", "live_per_root", "spawned_per_parent_per_day", "spawned_per_root_per_day")
MEANING = {
    "open_proposals": "open proposals are allowed. Apply or withdraw one first.",
    "open_per_root": "open proposals are allowed in the whole tree. Apply or withdraw one first.",
    "live_per_parent": "live subagents of one parent are allowed. Retire one first.",
    "live_per_root": "live subagents are allowed. Retire one first.",
    "spawned_per_parent_per_day": "spawns of one parent in 24 hours are allowed.",
    "spawned_per_root_per_day": "spawns in 24 hours are allowed.",
}

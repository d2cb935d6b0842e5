"""Too many changes in this window, for this caller or for its whole tree?"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from mcp_agentspawn.core.guard import LedgerGuard, SharedCeiling, Step, held_of_tree, verdict_of
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.verdict import Reason, Verdict


class ChangeRate(LedgerGuard):
    """Changes are new proposals and applies; retiring never counts. 0 allows none.

    `changes_per_minute` are those of one caller, `changes_per_minute_per_root` (`None`: twice as many) those of a root
    with all its subagents, of which the root keeps its own share.
    """

    shares: ClassVar[Mapping[str, tuple[str, int]]] = {"changes_per_minute_per_root": ("changes_per_minute", 2)}

    changes_per_minute: int = Field(default=10, ge=0, le=10_000)
    changes_per_minute_per_root: SharedCeiling = None

    def judge(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Verdict:  # noqa: ARG002 - pruned
        """Deny when a window is full."""
        return verdict_of([_reason(name, self.ceiling(name)) for name in self.passed(self.held(caller, ledger))])

    def held(self, caller: Caller, ledger: Ledger) -> Mapping[str, int]:
        """What counts against each ceiling; `ledger` is pruned to now."""
        by_caller = Counter(change.caller for change in ledger.changes)
        return {
            "changes_per_minute": by_caller[caller.agent],
            "changes_per_minute_per_root": held_of_tree(caller, by_caller, self.changes_per_minute),
        }


def _reason(name: str, most: int) -> Reason:
    where = " in the whole tree" if name.endswith("per_root") else ""
    return Reason(f"rate.{name}", f"{most} changes a minute are allowed{where}. Wait a minute and try again.")

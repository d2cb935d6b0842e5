"""What people denied before: whoever was denied can ask again in other words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_agentspawn.cli.people import moment
from mcp_agentspawn.core.decisions import NO_PEOPLE
from mcp_agentspawn.core.model import Approval, Proposal
from mcp_agentspawn.core.render import proposal_id

REMEMBERED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Denial:
    """A person's denial of another proposal for the same template; `gone`: nobody can say any more whose that was."""

    by: str
    at: datetime
    proposal: str
    reason: str
    gone: bool

    def __str__(self) -> str:
        """On one line. Nothing in it is escaped."""
        whose = ", which is gone: perhaps another root's" if self.gone else ""
        return f"{self.by}, {moment(self.at)}: {self.proposal}{whose}"


def denials_before(
    proposal: Proposal, proposals: Iterable[Proposal], approvals: Iterable[Approval], now: datetime
) -> Sequence[Denial]:
    """Denials of other proposals of this root for this template within a day, newest first.

    Those of proposals that are gone, too: their names still say which template they were for.
    """
    stored = {other.uid: other for other in proposals}
    found = [
        Denial(approval.decider, approval.decided_at, approval.proposal, approval.reason, gone=other is None)
        for approval in approvals
        if approval.decision == "deny" and not approval.decider.startswith(NO_PEOPLE)
        if approval.decided_at is not None and now - approval.decided_at <= REMEMBERED_FOR
        if _is_like(proposal, approval, other := stored.get(approval.proposal_uid))
    ]
    return sorted(found, key=lambda denial: (denial.at, denial.proposal), reverse=True)


def _is_like(proposal: Proposal, approval: Approval, other: Proposal | None) -> bool:
    if other is None:
        _, _, suffix = approval.proposal.rpartition("-")
        return approval.proposal == proposal_id(proposal.request.template, suffix) != proposal.id
    of_this = (other.root, other.request.template) == (proposal.root, proposal.request.template)
    return of_this and other.uid != proposal.uid

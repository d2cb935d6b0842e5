"""Which decisions of people count for a proposal."""

from collections.abc import Iterable, Sequence

from mcp_agentspawn.core.model import Approval, Proposal

NO_PEOPLE = ("system:", "agentspawn:")
"""How the names of users begin who are service accounts, nodes or roots."""


def counted(proposal: Proposal, decisions: Iterable[Approval]) -> Sequence[Approval]:
    """Those of people on this very object and these very bytes, made in time."""
    return [
        approval
        for approval in decisions
        if (approval.proposal, approval.proposal_uid, approval.digest) == (proposal.id, proposal.uid, proposal.digest)
        and not approval.decider.startswith(NO_PEOPLE)
        and approval.decided_at is not None
        and approval.decided_at <= proposal.expires_at
    ]


def approvers(decisions: Iterable[Approval]) -> frozenset[str]:
    """The different people among those who approved."""
    return frozenset(approval.decider for approval in decisions if approval.decision == "approve")


def is_denied(decisions: Iterable[Approval]) -> bool:
    """Whether one of them is a denial: one is enough."""
    return any(approval.decision == "deny" for approval in decisions)

"""Where a proposal stands: is it what it says it is, is it open, and who has decided what?"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from mcp_agentspawn.core.digest import canonical, proposal_digest
from mcp_agentspawn.core.model import Approval, Proposal
from mcp_agentspawn.core.risk import PEOPLE
from mcp_agentspawn.guards.approval import NO_PEOPLE

State = Literal["open", "expired", "lapsed", "applied"]


def broken(proposal: Proposal) -> str:
    """What is wrong with its bytes; `""` when its digest is that of its manifest and grant, which is canonical JSON."""
    found = proposal_digest(proposal.manifest, proposal.grant)
    if found != proposal.digest:
        return f"its digest says {proposal.digest}, but what is stored has {found}"
    try:
        rewritten = canonical(json.loads(proposal.manifest))
    except (ValueError, RecursionError):
        return "its manifest can not be read"
    return (
        "" if rewritten == proposal.manifest else "its manifest is not canonical, so it may read in more than one way"
    )


def state_of(proposal: Proposal, now: datetime) -> State:
    """Whether people can still decide on it, or what became of it."""
    if proposal.phase == "proposed":
        return "open" if now < proposal.expires_at else "expired"
    return "lapsed" if proposal.phase == "lapsed" else "applied"


def objection(approval: Approval, proposal: Proposal) -> str:
    """Why this decision does not count; `""` when it does. The guard `approval` counts by the same rules."""
    if approval.proposal_uid != proposal.uid:
        return "it is about an earlier proposal of this name"
    if approval.digest != proposal.digest:
        return "it is about another digest"
    if approval.decider.startswith(NO_PEOPLE):
        return "this is no person"
    if approval.decided_at is None or approval.decided_at > proposal.expires_at:
        return "it came too late"
    return ""


def counting(proposal: Proposal, decisions: Sequence[Approval]) -> list[Approval]:
    """The decisions that count."""
    return [approval for approval in decisions if not objection(approval, proposal)]


def tally(proposal: Proposal, decisions: Sequence[Approval]) -> str:
    """How far it has come, in a few words."""
    counted = counting(proposal, decisions)
    if any(approval.decision == "deny" for approval in counted):
        return "denied"
    needed = PEOPLE[proposal.risk]
    given = len({approval.decider for approval in counted})
    return f"{given} of {needed} approvals" if needed else "nobody has to approve"

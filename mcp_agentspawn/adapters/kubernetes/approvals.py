"""Decisions of people on proposals as SubagentApproval objects."""

from collections.abc import Mapping
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.decisions import KubernetesDecisions
from mcp_agentspawn.adapters.kubernetes.objects import time_of
from mcp_agentspawn.adapters.kubernetes.resources import APPROVALS
from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE

DECISIONS = frozenset({"approve", "deny"})


class KubernetesApprovals(KubernetesDecisions[Approval]):
    """SubagentApprovals (`core.ports.Approvals`)."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, APPROVALS, "proposal", object_of, approval_of)


def object_of(approval: Approval) -> dict[str, Any]:
    """Write a new decision as an object."""
    spec = {
        "proposal": approval.proposal,
        "proposalUid": approval.proposal_uid,
        "digest": approval.digest,
        "decision": approval.decision,
        "decider": approval.decider,
        "reason": approval.reason,
    }
    return APPROVALS.object({"name": approval.name, "namespace": SYSTEM_NAMESPACE}, spec=spec)


def approval_of(stored: Mapping[str, Any]) -> Approval:
    """Read a stored decision."""
    metadata, spec = stored["metadata"], stored["spec"]
    if spec["decision"] not in DECISIONS:
        raise ValueError("no decision")
    return Approval(
        name=metadata["name"],
        proposal=spec["proposal"],
        proposal_uid=spec["proposalUid"],
        digest=spec["digest"],
        decision=spec["decision"],
        decider=spec["decider"],
        reason=spec["reason"],
        decided_at=time_of(metadata["creationTimestamp"]),
    )

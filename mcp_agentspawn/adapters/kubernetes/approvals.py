"""Decisions of people as SubagentApproval objects: found by their proposal, never changed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.objects import time_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import APPROVALS
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.core.names import LABEL, SYSTEM_NAMESPACE

ALL = APPROVALS.collection(SYSTEM_NAMESPACE)
STRICT = {"fieldValidation": "Strict"}
DECISIONS = frozenset({"approve", "deny"})


class KubernetesApprovals:
    """SubagentApprovals in the server's own namespace, always read fresh."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def of(self, proposal: str, *, fresh: bool = True) -> Sequence[Approval]:
        """See `core.ports.Approvals.of`."""
        if re.fullmatch(LABEL, proposal) is None:  # no proposal's id, and not to be read as another selector
            return []
        found = await self._list(f"spec.proposal={proposal}", remembered=not fresh)
        return [approval for approval in found if approval.proposal == proposal]

    async def all(self) -> Sequence[Approval]:
        """See `core.ports.Approvals.all`."""
        return await self._list("", remembered=False)

    async def create(self, approval: Approval) -> Approval:
        """See `core.ports.Approvals.create`."""
        answer = await self._client.request("POST", ALL, object_of(approval), as_=SERVER, query=STRICT)
        return read(approval_of, answer, changes=True)

    async def delete(self, approval: Approval) -> None:
        """See `core.ports.Approvals.delete`."""
        try:
            await self._client.request("DELETE", APPROVALS.item(SYSTEM_NAMESPACE, approval.name), as_=SERVER)
        except Missing:
            return

    async def _list(self, fields: str, *, remembered: bool) -> list[Approval]:
        found = await self._client.list(ALL, fields=fields, remembered=remembered)
        return read(lambda items: [approval_of(item) for item in items if not _is_leaving(item)], found)


def _is_leaving(stored: Mapping[str, Any]) -> bool:
    """Whether its decider has taken it back, although it is still listed."""
    return "deletionTimestamp" in stored["metadata"]


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

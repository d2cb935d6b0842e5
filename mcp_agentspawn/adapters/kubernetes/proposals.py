"""Proposals as SubagentProposal objects: the spec is written once, the phase lives in the status."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.collection import KubernetesCollection
from mcp_agentspawn.adapters.kubernetes.objects import text_of, time_of
from mcp_agentspawn.adapters.kubernetes.resources import PROPOSALS
from mcp_agentspawn.core.digest import grant_document, hash_of
from mcp_agentspawn.core.model import Crashing, Grant, Phase, Proposal, Request, RestsOn, Root, Step, grown
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE, TREE
from mcp_agentspawn.core.ports import Clock

CRASHING = "Crashing"


class KubernetesProposals(KubernetesCollection[Proposal]):
    """SubagentProposals (`core.ports.Proposals`)."""

    def __init__(self, client: Client, clock: Clock) -> None:
        super().__init__(client, PROPOSALS, object_of, proposal_of)
        self._clock = clock

    async def of_root(self, root: Root) -> Sequence[Proposal]:
        """See `core.ports.Proposals.of_root`."""
        found = await self._selected(f"{TREE}={root.label}")
        return [proposal for proposal in found if proposal.root == root.name]

    async def mark(self, proposal: Proposal, phase: Phase, *, agent_uid: str = "", reason: str = "") -> Proposal:
        """See `core.ports.Proposals.mark`."""
        history = grown(proposal, phase, reason, self._clock.now())
        uid = agent_uid or proposal.agent_uid
        return await self._changed(replace(proposal, phase=phase, agent_uid=uid, history=history))

    async def note_crashes(self, proposal: Proposal, times: int) -> Proposal:
        """See `core.ports.Proposals.note_crashes`."""
        since = proposal.crashing.since if proposal.crashing else self._clock.now()
        return await self._changed(replace(proposal, crashing=Crashing(times, since)))

    async def _changed(self, proposal: Proposal) -> Proposal:
        return await self._put(proposal, _status(proposal) | {"changedAt": text_of(self._clock.now())})


def object_of(proposal: Proposal) -> dict[str, Any]:
    """Write a new proposal as an object."""
    label = Root.named(proposal.root, proposal.home).label
    metadata = {"name": proposal.id, "namespace": SYSTEM_NAMESPACE, "labels": {TREE: label}}
    return PROPOSALS.object(metadata, spec=_spec(proposal))


def proposal_of(stored: Mapping[str, Any]) -> Proposal:
    """Read a stored proposal."""
    metadata, spec, status = stored["metadata"], stored["spec"], stored.get("status") or {}
    return Proposal(
        id=metadata["name"],
        root=spec["root"],
        parent=spec.get("parent", ""),
        home=spec["namespace"],
        request=_request(spec),
        template_hash=spec["templateHash"],
        request_digest=spec["requestDigest"],
        digest=spec["digest"],
        risk=spec["risk"],
        expires_at=time_of(spec["expiresAt"]),
        manifest=spec["manifest"],
        grant=_grant(spec["grant"]),
        rests_on=_rests_on(spec["restsOn"]),
        phase=status.get("phase", "proposed"),
        agent_uid=status.get("agentUid", ""),
        created_at=time_of(metadata["creationTimestamp"]),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        history=tuple(_step(step) for step in status.get("history", ())),
        crashing=_crashing(status),
        fingerprint=hash_of(spec["manifest"].encode()),
    )


def _spec(proposal: Proposal) -> dict[str, Any]:
    request, rests_on = proposal.request, proposal.rests_on
    return {
        "root": proposal.root,
        "parent": proposal.parent,
        "namespace": proposal.home,
        "template": request.template,
        "templateHash": proposal.template_hash,
        "purpose": request.purpose,
        "parameters": dict(request.parameters),
        "tools": list(request.tools),
        "model": request.model,
        "lifetimeSeconds": _seconds(request.lifetime),
        "requestDigest": proposal.request_digest,
        "digest": proposal.digest,
        "risk": proposal.risk,
        "expiresAt": text_of(proposal.expires_at),
        "manifest": proposal.manifest,
        "grant": grant_document(proposal.grant),
        "restsOn": {"policy": rests_on.policy, "crd": rests_on.crd, "parent": rests_on.parent},
    } | ({"registryEntry": request.entry} if request.entry else {})


def _status(proposal: Proposal) -> dict[str, Any]:
    status = {
        "phase": proposal.phase,
        "agentUid": proposal.agent_uid,
        "reason": proposal.history[-1].reason if proposal.history else "",
        "history": [_step_document(step) for step in proposal.history],
    }
    return status | (_crashing_document(proposal.crashing) if proposal.crashing else {})


def _crashing_document(crashing: Crashing) -> dict[str, Any]:
    """The number for programs, and a condition for whoever waits for one."""
    condition = {
        "type": CRASHING,
        "status": "True",
        "reason": "CrashedAgainAndAgain",
        "message": f"It has crashed {crashing.times} times.",
        "lastTransitionTime": text_of(crashing.since),
    }
    return {"crashes": crashing.times, "conditions": [condition]}


def _crashing(status: Mapping[str, Any]) -> Crashing | None:
    found = (one for one in status.get("conditions", ()) if one["type"] == CRASHING)
    return next((Crashing(status["crashes"], time_of(one["lastTransitionTime"])) for one in found), None)


def _request(spec: Mapping[str, Any]) -> Request:
    return Request(
        template=spec["template"],
        purpose=spec["purpose"],
        parameters=spec.get("parameters", {}),
        tools=tuple(spec.get("tools", ())),
        model=spec["model"],
        lifetime=timedelta(seconds=spec["lifetimeSeconds"]),
        entry=spec.get("registryEntry", ""),
    )


def _grant(grant: Mapping[str, Any]) -> Grant:
    return Grant(
        tools=tuple(grant["tools"]),
        models=tuple(grant["models"]),
        lifetime=timedelta(seconds=grant["lifetimeSeconds"]),
        depth=grant["depth"],
        ask_first=tuple(grant["askFirst"]),
        parameters=grant["parameters"],
        single_task=grant.get("singleTask", False),
    )


def _rests_on(said: Mapping[str, str]) -> RestsOn:
    return RestsOn(policy=said["policy"], crd=said["crd"], parent=said["parent"])


def _step_document(step: Step) -> dict[str, Any]:
    return {"phase": step.phase, "at": text_of(step.at), "reason": step.reason}


def _step(step: Mapping[str, Any]) -> Step:
    return Step(step["phase"], time_of(step["at"]), step["reason"])


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())

"""Proposals as SubagentProposal objects: the spec is written once, the phase lives in the status."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.objects import text_of, time_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import PROPOSALS
from mcp_agentspawn.core.digest import grant_document, hash_of
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.model import Crashing, Grant, Phase, Proposal, Request, RestsOn, Root, Step, grown
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE, TREE
from mcp_agentspawn.core.ports import Clock

ALL = PROPOSALS.collection(SYSTEM_NAMESPACE)
CRASHING = "Crashing"


class KubernetesProposals:
    """SubagentProposals in the server's own namespace."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def create(self, proposal: Proposal) -> Proposal:
        """See `core.ports.Proposals.create`."""
        answer = await self._client.request("POST", ALL, object_of(proposal), as_=SERVER, query=STRICT)
        return read(proposal_of, answer, changes=True)

    async def get(self, id_: str) -> Proposal | None:
        """See `core.ports.Proposals.get`."""
        try:
            return read(proposal_of, await self._client.request("GET", _path(id_), as_=SERVER))
        except Missing:
            return None

    async def of_root(self, root: Root) -> Sequence[Proposal]:
        """See `core.ports.Proposals.of_root`."""
        found = await self._list(f"{TREE}={root.label}")
        return [proposal for proposal in found if proposal.root == root.name]

    async def all(self) -> Sequence[Proposal]:
        """See `core.ports.Proposals.all`."""
        return await self._list("")

    async def mark(self, proposal: Proposal, phase: Phase, *, agent_uid: str = "", reason: str = "") -> Proposal:
        """See `core.ports.Proposals.mark`."""
        history = grown(proposal, phase, reason, self._clock.now())
        uid = agent_uid or proposal.agent_uid
        return await self._put(replace(proposal, phase=phase, agent_uid=uid, history=history))

    async def note_crashes(self, proposal: Proposal, times: int) -> Proposal:
        """See `core.ports.Proposals.note_crashes`."""
        since = proposal.crashing.since if proposal.crashing else self._clock.now()
        return await self._put(replace(proposal, crashing=Crashing(times, since)))

    async def delete(self, proposal: Proposal) -> None:
        """See `core.ports.Proposals.delete`."""
        options = {"preconditions": {"resourceVersion": proposal.version}}
        try:
            await self._client.request("DELETE", _path(proposal.id), options, as_=SERVER)
        except Missing:
            return

    async def _put(self, proposal: Proposal) -> Proposal:
        # Of a PUT to /status the API server takes nothing but the status and the version to be compared.
        status = _status(proposal) | {"changedAt": text_of(self._clock.now())}
        marked = PROPOSALS.object({**_named(proposal.id), "resourceVersion": proposal.version}, status=status)
        answer = await self._client.request("PUT", _path(proposal.id, "status"), marked, as_=SERVER, query=STRICT)
        return read(proposal_of, answer, changes=True)

    async def _list(self, selector: str) -> list[Proposal]:
        found = await self._client.list(ALL, selector=selector)
        return read(lambda items: [proposal_of(item) for item in items], found)


def object_of(proposal: Proposal) -> dict[str, Any]:
    """Write a new proposal as an object."""
    label = Root.named(proposal.root, proposal.home).label
    return PROPOSALS.object({**_named(proposal.id), "labels": {TREE: label}}, spec=_spec(proposal))


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


def _named(id_: str) -> dict[str, Any]:
    return {"name": id_, "namespace": SYSTEM_NAMESPACE}


def _path(id_: str, subresource: str = "") -> str:
    return PROPOSALS.item(SYSTEM_NAMESPACE, id_, subresource)

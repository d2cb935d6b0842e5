"""How stored things look in an answer."""

import json
from typing import Any

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Phase, Proposal, Subagent
from mcp_agentspawn.core.moments import to_the_second
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Allowance, Applied, Proposed

A2A_PORT = 8080


def phase_of(proposal: Proposal, agent: Subagent | None, *, reserved: bool = False) -> Phase:
    """The phase as it is now, which may be further than what was last written down."""
    if agent is not None:
        return "retiring" if agent.deleting else "ready" if agent.ready else "starting"
    if proposal.phase == "proposed":
        return "creating" if reserved else "proposed"
    return proposal.phase if proposal.phase == "lapsed" else "retired"


def proposed(proposal: Proposal) -> Proposed:
    """The answer that hands a proposal out."""
    apply_it = f"Read the manifest, then call apply_subagent with proposal {proposal.id} and this digest."
    return Proposed(
        next_step=apply_it
        if proposal.phase == "proposed"
        else f"It was applied: call get_subagent with {proposal.id}.",
        proposal=proposal.id,
        digest=proposal.digest,
        risk=proposal.risk,
        phase=proposal.phase,
        proposal_expires_at=to_the_second(proposal.expires_at),
        manifest=json.loads(proposal.manifest),
    )


def applied(agent: Subagent) -> Applied:
    """The answer that hands an agent out."""
    return Applied(
        next_step=f"Wait until get_subagent says that {agent.id} is ready; retire it when its work is done.",
        agent=agent.id,
        uid=agent.uid,
        phase="ready" if agent.ready else "starting",
        a2a_url=a2a_url(agent),
        agent_expires_at=to_the_second(agent.expires_at),
    )


def a2a_url(agent: Subagent) -> str:
    """Where kagent serves the agent's A2A endpoint inside the cluster."""
    return f"http://{agent.id}.{agent.home}:{A2A_PORT}/"


def entry(proposal: Proposal, agent: Subagent | None, ledger: Ledger) -> dict[str, Any]:
    """The fields of an `Entry`, for one proposal and its agent, if it has one."""
    phase = phase_of(proposal, agent, reserved=proposal.id in ledger.live)
    fields: dict[str, Any] = {
        "agent": proposal.id,
        "phase": phase,
        "template": proposal.request.template,
        "purpose": proposal.request.purpose,
        "parent": proposal.parent,
        "model": proposal.request.model,
        "tools": proposal.request.tools,
        "digest": proposal.digest,
    }
    if agent is not None:
        fields |= {"uid": agent.uid, "a2a_url": a2a_url(agent), "agent_expires_at": to_the_second(agent.expires_at)}
    elif phase == "proposed":
        fields |= {"proposal_expires_at": to_the_second(proposal.expires_at)}
    return fields


def allowance(policy: Policy, caller: Caller, ledger: Ledger) -> Allowance:
    """What is left of the caller's limits; `ledger` is pruned to now."""
    changes = sum(change.caller == caller.agent for change in ledger.changes)
    own = sum(live.parent == caller.agent for live in ledger.live.values())
    quota = policy.quota
    return Allowance(
        changes_this_minute=_left(policy.rate.changes_per_minute, changes),
        open_proposals=_left(quota.open_proposals, len(ledger.open)),
        live_subagents=min(_left(quota.live_per_parent, own), _left(quota.live_per_root, len(ledger.live))),
        spawns_today=_left(quota.spawned_per_root_per_day, len(ledger.used)),
    )


def _left(most: int, held: int) -> int:
    return max(0, most - held)

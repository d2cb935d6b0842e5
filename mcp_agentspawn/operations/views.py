"""How stored things look in an answer."""

import json
from collections.abc import Mapping
from typing import Any

from mcp_agentspawn.core.guard import LedgerGuard
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Phase, Proposal, Subagent
from mcp_agentspawn.core.moments import to_the_second
from mcp_agentspawn.core.risk import PEOPLE, people_in_words
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Allowance, Applied, Pending, PhaseStep, Proposed

A2A_PORT = 8080


def phase_of(proposal: Proposal, agent: Subagent | None, *, reserved: bool = False) -> Phase:
    """The phase as it is now, which may be further than what was last written down."""
    if agent is not None:
        return _of_standing(proposal, agent)
    if proposal.phase == "proposed":
        return "creating" if reserved else "proposed"
    return proposal.phase if proposal.phase == "lapsed" else "retired"


def _of_standing(proposal: Proposal, agent: Subagent) -> Phase:
    """One is ready when kagent says so and it has answered as what was approved."""
    if agent.deleting or proposal.phase == "retiring":
        return "retiring"
    if proposal.phase == "quarantined":
        return "quarantined"
    return "ready" if agent.ready and proposal.phase == "ready" else "starting"


def proposed(proposal: Proposal) -> Proposed:
    """The answer that hands a proposal out; `pending_approval` when people are asked before it can be applied."""
    asks = proposal.phase == "proposed" and PEOPLE[proposal.risk] > 0
    return Proposed(
        outcome="pending_approval" if asks else "allowed",
        reasons=(_asked(proposal),) if asks else (),
        next_step=_next_step(proposal, asks=asks),
        proposal=proposal.id,
        digest=proposal.digest,
        risk=proposal.risk,
        phase=proposal.phase,
        proposal_expires_at=to_the_second(proposal.expires_at),
        manifest=json.loads(proposal.manifest),
    )


def pending(proposal: Proposal, reasons: tuple[Reason, ...]) -> Pending:
    """The answer while people are waited for."""
    return Pending(
        outcome="pending_approval",
        reasons=reasons,
        next_step=_next_step(proposal, asks=True),
        proposal=proposal.id,
        digest=proposal.digest,
        risk=proposal.risk,
        phase=proposal.phase,
        proposal_expires_at=to_the_second(proposal.expires_at),
    )


def _asked(proposal: Proposal) -> Reason:
    return Reason("approval.waiting", f"{people_in_words(PEOPLE[proposal.risk])} must approve this subagent.")


def _next_step(proposal: Proposal, *, asks: bool) -> str:
    if asks:
        who = f"Tell your user that people must approve {proposal.id} (agentspawn show, agentspawn approve)"
        return f"{who}; then call apply_subagent with this digest and wait_seconds, until it is decided."
    if proposal.phase == "proposed":
        return f"Read the manifest, then call apply_subagent with proposal {proposal.id} and this digest."
    return f"It was applied: call get_subagent with {proposal.id}."


def applied(proposal: Proposal, agent: Subagent) -> Applied:
    """The answer that hands an agent out."""
    return Applied(
        next_step=f"Wait until get_subagent says that {agent.id} is ready; retire it when its work is done.",
        agent=agent.id,
        uid=agent.uid,
        phase=phase_of(proposal, agent),
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
        "registry_entry": proposal.request.entry,
    }
    if agent is not None:
        fields |= {"uid": agent.uid, "a2a_url": a2a_url(agent), "agent_expires_at": to_the_second(agent.expires_at)}
    elif phase == "proposed":
        fields |= {"proposal_expires_at": to_the_second(proposal.expires_at)}
    return fields


def history(proposal: Proposal) -> tuple[PhaseStep, ...]:
    """What it came to, oldest first."""
    return tuple(
        PhaseStep(phase=step.phase, at=to_the_second(step.at), reason=step.reason) for step in proposal.history
    )


def allowance(policy: Policy, caller: Caller, ledger: Ledger) -> Allowance:
    """What is left of the caller's limits; `ledger` is pruned to now."""
    made, held = policy.rate.held(caller, ledger), policy.quota.held(caller, ledger)
    return Allowance(
        changes_this_minute=_left(policy.rate, made, "changes_per_minute", "changes_per_minute_per_root"),
        open_proposals=_left(policy.quota, held, "open_proposals", "open_per_root"),
        live_subagents=_left(policy.quota, held, "live_per_parent", "live_per_root"),
        spawns_today=_left(policy.quota, held, "spawned_per_parent_per_day", "spawned_per_root_per_day"),
    )


def _left(guard: LedgerGuard, held: Mapping[str, int], *ceilings: str) -> int:
    """What the tightest of these ceilings leaves."""
    return max(0, min(guard.ceiling(name) - held[name] for name in ceilings))

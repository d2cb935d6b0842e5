"""What is said of a request that stands already: its open proposal, or its subagent and whether that is free to work.

Nothing is changed by it.
"""

from collections.abc import Mapping
from dataclasses import replace

from mcp_agentspawn.core.expiry import stands
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Phase, Proposal, Subagent
from mcp_agentspawn.core.moments import to_the_second
from mcp_agentspawn.core.risk import PEOPLE, people_in_words
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Proposed, Refusal
from mcp_agentspawn.operations.refusing import refuse
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.operations.views import phase_of, proposed

QUARANTINED = Reason(
    "agent.quarantined",
    "Your subagent of this very request is in quarantine. Until a person retires it, or time does, there is no other.",
)
ASKED = Reason("approval.waiting", f"{people_in_words(PEOPLE['medium'])} must approve this subagent.")
ASK_ANEW = "Nobody was asked when it was proposed: call retire_subagent with {id}, then propose the same again."
IDLE = "It is there, ready and idle: call delegate_task with agent {id}."
BUSY = (
    "It is there, and at work: wait with get_task until its tasks have ended, then call delegate_task with agent {id}; "
    "or propose one for another purpose."
)
LEAVING = "It is on its way out: propose the same again in a few seconds."
STARTING = "It was applied: call get_subagent with {id} until it is ready, then delegate_task."
STEPS: Mapping[Phase, str] = {"creating": STARTING, "starting": STARTING}


async def handed_out(services: Services, caller: Caller, policy: Policy, stored: Proposal) -> Proposed | Refusal:
    """What this request, whose proposal has not come to its end, is worth to its caller now."""
    ledger = await services.ledgers.look(caller.root.name)
    reserved = stored.id in ledger.live
    if stored.phase == "proposed" and not reserved:
        return _open(policy, stored, ledger)
    agent = await services.agents.get(stored.home, stored.id)
    own = agent if agent is not None and stored.agent_uid in {"", agent.uid} else None
    phase = phase_of(stored, own, reserved=reserved)
    if phase == "quarantined":
        return await refuse(services, caller, "propose_subagent", (QUARANTINED,), subject=stored.id)
    if own is None and phase != "creating":
        services.later.wanted.set()
    return await _standing(services, stored, own, phase)


def _open(policy: Policy, stored: Proposal, ledger: Ledger) -> Proposed:
    """An open proposal, and what is on record that asks for a person; it may be so only since it was proposed."""
    answer, doubts = proposed(stored), policy.approval.doubts(stored.request, ledger.outcomes)
    if answer.outcome == "pending_approval" or not doubts:
        return replace(answer, reasons=(*answer.reasons, *doubts))
    reasons = (ASKED, *doubts)
    return replace(answer, outcome="pending_approval", reasons=reasons, next_step=ASK_ANEW.format(id=stored.id))


async def _standing(services: Services, stored: Proposal, agent: Subagent | None, phase: Phase) -> Proposed:
    free = phase == "ready" and stands(services.clock.now(), agent)
    step = await _step(services, stored) if free else STEPS.get(phase, LEAVING)
    return replace(
        proposed(stored),
        outcome="allowed",
        reasons=(),
        next_step=step.format(id=stored.id),
        phase=phase,
        agent=agent.id if agent else "",
        agent_expires_at=to_the_second(agent.expires_at) if agent else "",
    )


async def _step(services: Services, stored: Proposal) -> str:
    """What to do with one that is ready."""
    tasks = await services.tasks.of_agent(stored.id)
    if stored.grant.single_task and any(task.ended for task in tasks):
        return LEAVING
    return IDLE if all(task.ended for task in tasks) else BUSY

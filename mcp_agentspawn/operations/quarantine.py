"""Cut a subagent off and keep it as evidence: a person, or time, retires it.

The proposal is marked first: from then on it gets no more work and spawns nothing. Every step after that can be done
once more, and one in quarantine that is not cut off yet is taken through them again. That it is counted in the outcome
history comes before it is cut off; where the ledger fails, once more right after that, and then no more.
"""

from mcp_agentspawn.core.errors import Refused, Upstream
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import FINAL_PHASES, Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.outcomes import record_quarantine
from mcp_agentspawn.operations.services import Services

INCOMPLETE = "cordon.incomplete"
WHY = {
    "card": "Its card is not what was approved.",
    "crashes": "It crashed again and again.",
    "drift": "It is no longer what was approved.",
}


async def quarantine(services: Services, agent: Subagent, proposal: Proposal, reason: str, head: Head) -> Proposal:
    """Put it into quarantine for this reason, and return its proposal. Raises `Conflict` when that has changed."""
    marked = await services.proposals.mark(proposal, "quarantined", agent_uid=agent.uid, reason=reason)
    message = f"{WHY.get(reason, reason)} It is cut off, gets no more work and stays as evidence."
    announce(services, agent, "Quarantined", message, warning=True)
    await isolate(services, agent, marked, head)
    return marked


async def isolate(services: Services, agent: Subagent, proposal: Proposal, head: Head) -> None:
    """Take one that is in quarantine through all that follows from it; once more is the same.

    That it can not be counted in the outcome history must not keep it connected.
    """
    is_counted = await _count(services, proposal, head)
    try:
        await services.cordon.cut_off(agent)
    except Refused as refusal:
        if refusal.code != INCOMPLETE:
            raise
        await _tell_holes(services, agent, proposal, refusal.message)
    current = await services.proposals.get(proposal.id)
    if current is None or current.phase in FINAL_PHASES:  # retired meanwhile, so nobody else lifts it
        await services.cordon.lift(agent.home, agent.id)
    if not is_counted:
        await _count(services, proposal, head)


async def _count(services: Services, proposal: Proposal, head: Head) -> bool:
    try:
        await record_quarantine(services, proposal, head)
    except Upstream:
        return False
    return True


async def _tell_holes(services: Services, agent: Subagent, proposal: Proposal, message: str) -> None:
    details = {"uid": agent.uid}
    record = Record("agent.connected", proposal.root, "", agent.id, reasons=(INCOMPLETE,), details=details)
    await services.audit.write(record)
    announce(services, agent, "CordonIncomplete", message, warning=True)

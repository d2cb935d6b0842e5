"""Retire a subagent, or withdraw an open proposal. The slot is free only when the Agent is gone."""

import asyncio

from mcp_agentspawn.core.errors import Conflict, Missing, Refused
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.text import hidden_characters
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.operations import places
from mcp_agentspawn.operations.answers import Refusal, Retired
from mcp_agentspawn.operations.refusing import refuse
from mcp_agentspawn.operations.services import Services

GONE_WITHIN_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.05
MOST_REASON_CHARACTERS = 200

UNKNOWN = Reason("agent.unknown", "You have no such subagent.", "agent")


async def retire(services: Services, caller: Caller, agent: str, reason: str = "") -> Retired | Refusal:
    """Remove an own subagent; what is gone already stays gone, and says so."""
    standing = await services.agents.get(caller.root.home, agent)
    if standing is not None and standing.virtual_user == caller.root.virtual_user:
        return await _delete(services, caller, standing, reason)
    stored = await services.proposals.get(agent)
    if stored is None or stored.root != caller.root.name:
        return await refuse(services, caller, "retire_subagent", (UNKNOWN,))
    if stored.phase in FINAL_PHASES:
        return Retired(agent=agent, phase=stored.phase, retired=(agent,), next_step="Nothing is left to do.")
    if stored.phase == "proposed":
        return await _withdraw(services, caller, stored, reason)
    head = await services.audit.write(_record("retire.intent", caller, agent, uid=stored.agent_uid))
    return await _freed(services, caller, agent, reason, head, stored.grant.depth)


async def _withdraw(services: Services, caller: Caller, stored: Proposal, reason: str) -> Retired | Refusal:
    head = await services.audit.write(_record("retire.intent", caller, stored.id))
    try:
        await services.proposals.mark(stored, "lapsed", reason=_shown(reason) or "withdrawn")
    except (Conflict, Missing):
        return await retire(services, caller, stored.id, reason)
    # The mark is the fence: an apply that is on its way finds it and takes its own Agent back.
    standing = await services.agents.get(stored.home, stored.id)
    if standing is not None:
        return await _delete(services, caller, standing, reason)
    await places.close(services, caller.root.name, stored.id, head)
    services.later.start(services.audit.write(_record("retire.outcome", caller, stored.id, outcome="lapsed")))
    return Retired(agent=stored.id, phase="lapsed", retired=(stored.id,), next_step="The proposal is withdrawn.")


async def _delete(services: Services, caller: Caller, agent: Subagent, reason: str) -> Retired | Refusal:
    head = await services.audit.write(_record("retire.intent", caller, agent.id, uid=agent.uid))
    try:
        gone = await services.agents.delete(caller.root, agent.id, agent.uid)
    except Refused as refusal:
        said = Reason(f"access.{refusal.code}", refusal.message)
        return await refuse(services, caller, "retire_subagent", (said,), subject=agent.id)
    if gone or await _is_gone(services, agent):
        return await _freed(services, caller, agent.id, reason, head, agent.depth)
    await services.audit.write(_record("retire.outcome", caller, agent.id, outcome="retiring"))
    again = "It is on its way out and still counts. Call retire_subagent again in a few seconds."
    return Retired(agent=agent.id, phase="retiring", not_yet=(agent.id,), next_step=again)


async def _is_gone(services: Services, agent: Subagent) -> bool:
    deadline = asyncio.get_running_loop().time() + GONE_WITHIN_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        standing = await services.agents.get(agent.home, agent.id)
        if standing is None or standing.uid != agent.uid:
            return True
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return False


async def _freed(services: Services, caller: Caller, id_: str, reason: str, head: Head, depth: int) -> Retired:
    await places.release(services, caller.root, id_, head, depth=depth)
    services.later.start(services.audit.write(_record("retire.outcome", caller, id_, outcome="retired")))
    services.later.start(_mark(services, id_, reason))
    return Retired(agent=id_, phase="retired", retired=(id_,), next_step="It is gone, and its place is free.")


async def _mark(services: Services, id_: str, reason: str) -> None:
    stored = await services.proposals.get(id_)
    if stored is not None and stored.phase not in FINAL_PHASES:
        await services.proposals.mark(stored, "retired", agent_uid=stored.agent_uid, reason=_shown(reason))


def _shown(reason: str) -> str:
    return "" if hidden_characters(reason) else reason[:MOST_REASON_CHARACTERS]


def _record(event: str, caller: Caller, id_: str, *, outcome: str = "", uid: str = "") -> Record:
    details = {"uid": uid} if uid else {}
    return Record(event, caller.root.name, caller.agent, id_, outcome=outcome, details=details)

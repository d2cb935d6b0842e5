"""Does an agent that has started say that it is what was approved? Only then it is ready."""

import json
from typing import Literal

from mcp_agentspawn.core.delegation import Address, Card
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Upstream
from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.quarantine import quarantine
from mcp_agentspawn.operations.services import Services

Greeting = Literal["same", "other", "silent"]
"""What came of asking an agent for its card: `silent` when it did not answer, or not with anything that is a card."""


async def ask_card(services: Services, agent: Subagent, proposal: Proposal) -> Greeting:
    """Ask the agent for its card, and hold it to what was approved: its name, and the ids of its skills.

    What an image says of itself is its author's, so that it is enough that it answers. What was approved by a server
    that made other manifests can not be read any more: such an agent is silent.
    """
    try:
        expected = services.kind.card(services.kind.read(json.loads(proposal.manifest)))
        card = await services.remote_agents.card(Address(agent.home, agent.id, agent.uid, agent.virtual_user))
    except Upstream:
        return "silent"
    return "same" if expected is None or _same(card, expected) else "other"


async def greet(services: Services, agent: Subagent, proposal: Proposal) -> Proposal:
    """The proposal as it is once its agent was greeted: `ready` when its card is what was approved.

    One with another card goes into quarantine; one that is silent stays as it was. Raises `Upstream` kinds.
    """
    greeting = await ask_card(services, agent, proposal)
    if greeting == "silent":
        return proposal
    try:
        if greeting == "same":
            return await welcome(services, agent, proposal)
        return await expose(services, agent, proposal)
    except (Conflict, Missing, Refused):  # somebody else was first, or it has ended meanwhile
        return await services.proposals.get(proposal.id) or proposal


async def welcome(services: Services, agent: Subagent, proposal: Proposal) -> Proposal:
    """Let it be ready, and say so. Raises `Conflict` when somebody else was first."""
    await services.audit.write(_record("handshake.intent", agent, proposal))
    marked = await services.proposals.mark(proposal, "ready", agent_uid=agent.uid, reason="card")
    await services.audit.write(_record("handshake.outcome", agent, proposal, "ready"))
    announce(services, agent, "Ready", "It answered with the card that was approved.")
    return marked


async def expose(services: Services, agent: Subagent, proposal: Proposal) -> Proposal:
    """Put one that says that it is another one into quarantine. Raises `Conflict` when somebody else was first."""
    head = await services.audit.write(_record("handshake.intent", agent, proposal))
    marked = await quarantine(services, agent, proposal, "card", head)
    await services.audit.write(_record("handshake.outcome", agent, proposal, "quarantined"))
    return marked


def _same(card: Card, expected: Card) -> bool:
    return card.name == expected.name and sorted(card.skills) == sorted(expected.skills)


def _record(event: str, agent: Subagent, proposal: Proposal, outcome: str = "") -> Record:
    return Record(event, proposal.root, "", agent.id, outcome=outcome, details={"uid": agent.uid})

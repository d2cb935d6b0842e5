"""Does an agent that has started say that it is what was approved?"""

from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.operations.services import Services


async def greet(services: Services, agent: Subagent, proposal: Proposal) -> Proposal:  # noqa: ARG001 - nothing is compared yet
    """The proposal as it is after its agent was greeted: `ready` when its card is what was approved."""
    return proposal

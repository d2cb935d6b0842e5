"""People who look at a subagent with the cluster's own tools are told what becomes of it, as well as it can be done."""

from contextlib import suppress

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Subagent
from mcp_agentspawn.operations.services import Services


def announce(services: Services, agent: Subagent, reason: str, message: str, *, warning: bool = False) -> None:
    """Tell it without waiting; that it could not be told changes nothing. The audit has it all."""
    services.later.start(_tell(services, agent, reason, message, warning=warning))


async def _tell(services: Services, agent: Subagent, reason: str, message: str, *, warning: bool) -> None:
    with suppress(Upstream):
        await services.announcements.tell(agent, reason, message, warning=warning)

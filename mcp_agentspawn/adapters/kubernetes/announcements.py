"""What became of a subagent, as Events beside its Agent.

Of events.k8s.io and not of the first group, in which the server writes nothing but the credentials of subagents.
"""

import secrets
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import STRICT, Client
from mcp_agentspawn.adapters.kubernetes.objects import text_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS, EVENTS
from mcp_agentspawn.core.model import Subagent
from mcp_agentspawn.core.ports import Clock

MOST_NOTE_BYTES = 1024
MOST_INSTANCE = 128
CONTROLLER = "agentspawn"
ACTION = "LookAfter"


class KubernetesAnnouncements:
    """Events in the agents' namespaces; how long they stay is the cluster's to say."""

    def __init__(self, client: Client, clock: Clock, process: str) -> None:
        """`process` says which replica tells."""
        self._client = client
        self._clock = clock
        self._instance = process[:MOST_INSTANCE]

    async def tell(self, agent: Subagent, reason: str, message: str, *, warning: bool = False) -> None:
        """See `core.watching.Announcements.tell`. A message that is too long is cut."""
        body = EVENTS.object(
            {"name": f"{agent.id}.{secrets.token_hex(8)}", "namespace": agent.home},
            eventTime=text_of(self._clock.now()),
            type="Warning" if warning else "Normal",
            reason=reason,
            action=ACTION,
            note=message.encode()[:MOST_NOTE_BYTES].decode(errors="ignore"),
            reportingController=CONTROLLER,
            reportingInstance=self._instance,
            regarding=_reference(agent),
        )
        await self._client.request("POST", EVENTS.collection(agent.home), body, as_=SERVER, query=STRICT)


def _reference(agent: Subagent) -> dict[str, Any]:
    return {
        "apiVersion": AGENTS.served_as,
        "kind": AGENTS.kind,
        "namespace": agent.home,
        "name": agent.id,
        "uid": agent.uid,
    }

"""What the reconciler asks of the world, in this process only."""

from collections.abc import Mapping

from mcp_agentspawn.core.model import Subagent


class MemoryLeadership:
    """One process, which leads as long as `leads` says so."""

    def __init__(self) -> None:
        self.leads = True
        self.problem = ""
        self.releases = 0

    async def held(self) -> bool:
        """See `core.watching.Leadership.held`."""
        return self.leads

    async def release(self) -> None:
        """See `core.watching.Leadership.release`."""
        self.releases += 1


class MemoryAnnouncements:
    """What was told of each agent, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    async def tell(self, agent: Subagent, reason: str, message: str, *, warning: bool = False) -> None:  # noqa: ARG002 - how it looks is the cluster's
        """See `core.watching.Announcements.tell`."""
        self.told.append((agent.id, reason, message))


class MemoryCordon:
    """The agents that are cut off, by namespace and id."""

    def __init__(self) -> None:
        self._cut_off: dict[tuple[str, str], str] = {}

    async def cut_off(self, agent: Subagent) -> None:
        """See `core.watching.Cordon.cut_off`."""
        self._cut_off[agent.home, agent.id] = agent.uid

    async def lift(self, home: str, agent: str) -> None:
        """See `core.watching.Cordon.lift`."""
        self._cut_off.pop((home, agent), None)

    async def standing(self, home: str) -> Mapping[str, str]:
        """See `core.watching.Cordon.standing`."""
        return {agent: uid for (where, agent), uid in self._cut_off.items() if where == home}

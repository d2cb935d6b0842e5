"""How often the pods of agents have crashed, also those that are gone.

What was before this process began is in a pod's own count, for as long as that pod is there.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from mcp_agentspawn.adapters.kubernetes.records import Pod


@dataclass
class _Tally:
    """Of one agent: its crashes, and how often each container of each pod that is there was started again."""

    crashes: int = 0
    restarts: dict[str, dict[str, int]] = field(default_factory=dict)


class Crashes:
    """Counts by agent, kept from the first restart that is seen until the agent is forgotten."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)

    def of(self, agent: str) -> int:
        """How often it did."""
        return self._tallies[agent].crashes if agent in self._tallies else 0

    def count(self, pod: Pod) -> bool:
        """Count what is new of a pod, and tell whether that was a crash; an end without an error is none."""
        tally = self._tallies[pod.agent]
        known, before = tally.restarts.setdefault(pod.uid, {}), tally.crashes
        for container in pod.containers:
            more = container.restarts - known.get(container.name, 0)
            if more > 0:
                known[container.name] = container.restarts
                tally.crashes += more if container.failed else 0
        return tally.crashes > before

    def gone(self, pod: Pod, *, wanted: bool) -> None:
        """The pod is gone; its crashes stay counted while the agent is `wanted`."""
        tally = self._tallies[pod.agent]
        tally.restarts.pop(pod.uid, None)
        if not (tally.restarts or (wanted and tally.crashes)):
            del self._tallies[pod.agent]

    def forget(self, agent: str) -> None:
        """The agent is gone, and what comes by this name is another."""
        self._tallies.pop(agent, None)

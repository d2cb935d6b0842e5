"""Are the agents that are ready still what was approved, and do they still answer?"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.handshake import ask_card, expose
from mcp_agentspawn.operations.services import Services

EVERY = timedelta(minutes=5)
JITTER = 0.2
MOST_A_SECOND = 10
MOST_AT_ONCE = 64
MISSES = 3


@dataclass(slots=True)
class _Pulse:
    agent: Subagent
    at: datetime
    misses: int = 0


class Heartbeats:
    """Asks agents that are ready for their cards, every few minutes, a few at a time; nothing rests on its memory."""

    def __init__(self, services: Services, chance: Callable[[], float] = random.random) -> None:
        """`chance` is any number from 0 to 1: those that began together do not stay together."""
        self._services = services
        self._chance = chance
        self._pulses: dict[str, _Pulse] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._beat_at: datetime | None = None

    def know(self, now: datetime, worlds: Iterable[Seen]) -> None:
        """Those in these worlds are all that there are; of one that is new, any moment of the next minutes will do."""
        ready = [
            agent for seen in worlds for agent in seen.agents.values() if _is_ready(agent, seen.proposals.get(agent.id))
        ]
        self._pulses = {
            agent.uid: self._pulses.get(agent.uid) or _Pulse(agent, now + EVERY * self._chance()) for agent in ready
        }

    def beat(self, now: datetime) -> None:
        """Begin to ask those whose time has come, as many as the time since the last call allows."""
        seconds = (now - self._beat_at).total_seconds() if self._beat_at else 1.0
        room = min(int(MOST_A_SECOND * min(seconds, 2.0)), MOST_AT_ONCE - len(self._asking))
        if room <= 0:
            return
        self._beat_at = now
        due = [pulse for pulse in self._pulses.values() if pulse.at <= now and pulse.agent.uid not in self._asking]
        for pulse in sorted(due, key=lambda pulse: pulse.at)[:room]:
            pulse.at = now + EVERY * (1 + JITTER * (2 * self._chance() - 1))
            self._asking[pulse.agent.uid] = asyncio.create_task(self._ask(pulse))

    def asking(self) -> Collection[asyncio.Task[None]]:
        """What is being asked now."""
        return list(self._asking.values())

    async def settle(self) -> None:
        """Wait until all that were asked have answered, or have not."""
        while self._asking:
            await asyncio.wait(self._asking.values())

    async def _ask(self, pulse: _Pulse) -> None:
        agent = pulse.agent
        try:
            proposal = await self._services.proposals.get(agent.id)
            if proposal is None or proposal.phase != "ready":
                return
            greeting = await ask_card(self._services, agent, proposal)
            pulse.misses = pulse.misses + 1 if greeting == "silent" else 0
            if greeting == "other":
                await expose(self._services, agent, proposal)
            elif pulse.misses == MISSES:
                await self._tell_silence(agent, proposal)
        except Upstream:
            return  # it is asked again in a few minutes
        finally:
            del self._asking[agent.uid]

    async def _tell_silence(self, agent: Subagent, proposal: Proposal) -> None:
        details: dict[str, str | int] = {"uid": agent.uid, "misses": MISSES}
        await self._services.audit.write(
            Record("agent.unresponsive", proposal.root, "", agent.id, outcome="left", details=details)
        )
        announce(self._services, agent, "Unresponsive", "It has not answered for its card three times.", warning=True)


def _is_ready(agent: Subagent, proposal: Proposal | None) -> bool:
    return agent.ready and not agent.deleting and proposal is not None and proposal.phase == "ready"

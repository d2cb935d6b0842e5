"""Is an agent still what was approved, although it reads otherwise? A later schema fills in defaults of its own.

The API server fills in the defaults of the schema that it serves now, also of objects that were stored before. So an
agent that differs by them alone counts as what was approved; nobody has altered it.
"""

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.expiry import Seen, has_differed
from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.operations.services import Services


class Likeness:
    """What one process has found out of agents that differ; another one begins anew, and nothing rests on it."""

    def __init__(self) -> None:
        self._alike: dict[str, str] = {}
        """By uid, the fingerprint of each agent that differs by defaults alone."""

    def applied(self, seen: Seen) -> Seen:
        """The same, where each agent that is known to be what was approved bears the fingerprint of that."""
        alike = {
            agent.id: replace(agent, fingerprint=seen.proposals[agent.id].fingerprint)
            for agent in seen.agents.values()
            if agent.id in seen.proposals and self._alike.get(agent.uid) == agent.fingerprint
        }
        return replace(seen, agents={**seen.agents, **alike}) if alike else seen

    async def find_out(self, services: Services, seen: Seen, ids: Iterable[str]) -> Collection[str]:
        """Learn of these agents, as they were read afresh; returns those of which it can not be said now."""
        known = (id_ for id_ in ids if id_ in seen.agents and id_ in seen.proposals)
        pairs = {id_: (seen.agents[id_], seen.proposals[id_]) for id_ in known}
        differing = {id_: pair for id_, pair in pairs.items() if has_differed(*pair)}
        said = await asyncio.gather(*(self._ask(services, *pair) for pair in differing.values()))
        return {id_ for id_, is_said in zip(differing, said, strict=True) if not is_said}

    def keep(self, worlds: Iterable[Seen]) -> None:
        """Forget all but the agents in these worlds."""
        uids = {agent.uid for seen in worlds for agent in seen.agents.values()}
        self._alike = {uid: fingerprint for uid, fingerprint in self._alike.items() if uid in uids}

    async def _ask(self, services: Services, agent: Subagent, proposal: Proposal) -> bool:
        try:
            alike = await differs_by_defaults(services, agent, proposal)
        except Upstream:
            return False
        self._alike.pop(agent.uid, None)
        if alike:
            self._alike[agent.uid] = agent.fingerprint
        return True


async def differs_by_defaults(services: Services, agent: Subagent, proposal: Proposal) -> bool:
    """Whether it differs only by what another schema adds to what was approved."""
    if not holds(agent.manifest, json.loads(proposal.manifest)):
        return False
    return await services.inventory.schema_hash() != proposal.rests_on.crd


def holds(whole: object, part: object) -> bool:
    """Whether all of the part is in the whole, with the same values; lists have the same length."""
    if isinstance(whole, Mapping) and isinstance(part, Mapping):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return type(whole) is type(part) and whole == part

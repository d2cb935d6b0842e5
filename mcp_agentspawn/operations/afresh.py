"""Read again what is about to be acted on, and nothing else: agents first, then proposals, then the ledger."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.expiry import Seen
from mcp_agentspawn.core.model import Proposal, Root, Subagent
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.operations.services import Services


def in_reach(services: Services, seen: Seen) -> Seen:
    """What was seen, with the ledger as it counts now, and without what lives where nobody looks.

    Nothing is concluded about a proposal whose namespace is not read: its agent may well stand there.
    """
    homes = {root.home for root in services.roots}
    kept = {id_: proposal for id_, proposal in seen.proposals.items() if proposal.home in homes}
    return replace(seen, proposals=kept, ledger=seen.ledger.pruned(services.clock.now()))


def home_of(services: Services, seen: Seen, id_: str) -> str:
    """Where the agent of this id lives, or would."""
    known = seen.agents.get(id_) or seen.proposals.get(id_)
    configured = next((root.home for root in services.roots if root.name == seen.ledger.root), DEFAULT_HOME)
    return known.home if known else configured


async def read_afresh(services: Services, hint: Seen, ids: Collection[str]) -> Seen:
    """These, all that are above them, and the ledger, as they are now. What a pod did is as it was seen."""
    agents = await _agents(services, hint, ids)
    wanted = sorted({*ids, *agents, *(agent.parent for agent in agents.values() if agent.parent)})
    found = await asyncio.gather(*(services.proposals.get(id_) for id_ in wanted))
    proposals = {one.id: one for one in found if one is not None and one.root == hint.ledger.root}
    fresh = Seen(
        agents,
        proposals,
        await services.ledgers.look(hint.ledger.root, fresh=True),
        await _tasks(services, proposals.values()),
        {id_: crashes for id_, crashes in hint.crashes.items() if _is_same(hint, agents, id_)},
        await _cordoned(services, agents, proposals.values()),
    )
    return in_reach(services, fresh)


async def _agents(services: Services, hint: Seen, ids: Iterable[str]) -> dict[str, Subagent]:
    """Generation by generation, from the lowest up: whoever is seen had all above it standing before."""
    found: dict[str, Subagent] = {}
    looked: set[str] = set()
    wanted = set(ids)
    while wanted:
        looked |= wanted
        user = {id_: Root.named(hint.ledger.root, home_of(services, hint, id_)) for id_ in sorted(wanted)}
        read = await asyncio.gather(*(services.agents.get(root.home, id_) for id_, root in user.items()))
        of_root = [agent for agent in read if agent is not None and agent.virtual_user == user[agent.id].virtual_user]
        found |= {agent.id: agent for agent in of_root}
        wanted = {parent for id_ in wanted if (parent := _parent(hint, found, id_))} - looked
    return found


def _parent(hint: Seen, found: Mapping[str, Subagent], id_: str) -> str:
    known = found.get(id_) or hint.proposals.get(id_)
    return known.parent if known else ""


async def _tasks(services: Services, proposals: Iterable[Proposal]) -> tuple[Task, ...]:
    """Only of those that go when their task is done."""
    single = [proposal.id for proposal in proposals if proposal.grant.single_task]
    read = await asyncio.gather(*(services.tasks.of_agent(id_) for id_ in single))
    return tuple(task for tasks in read for task in tasks)


async def _cordoned(
    services: Services, agents: Mapping[str, Subagent], proposals: Iterable[Proposal]
) -> Mapping[str, str]:
    homes = {one.home for one in proposals if one.phase == "quarantined" and one.id in agents}
    read = await asyncio.gather(*(services.cordon.standing(home) for home in sorted(homes)))
    return {id_: uid for standing in read for id_, uid in standing.items()}


def _is_same(hint: Seen, agents: Mapping[str, Subagent], id_: str) -> bool:
    return id_ in agents and id_ in hint.agents and agents[id_].uid == hint.agents[id_].uid

"""Make ledgers, proposals and Agents agree again, whatever was interrupted, and retire what is past its time.

Any replica may run it at any time, also two at once: it plans from fresh reads and acts only on what is still so.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_agentspawn.core.errors import Conflict, Missing, Refused, UnknownOutcome
from mcp_agentspawn.core.expiry import Action, Seen, plan
from mcp_agentspawn.core.ledger import Head, Ledger
from mcp_agentspawn.core.model import Proposal, Root, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.services import Services


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was read for one pass: agents first, then proposals, then ledgers."""

    agents: Sequence[Subagent]
    proposals: Sequence[Proposal]
    ledgers: Sequence[Ledger]

    def seen(self, ledger: Ledger) -> Seen:
        """The part that belongs to one root."""
        return Seen(
            agents={agent.id: agent for agent in self.agents if _root_of(agent) == ledger.root},
            proposals={proposal.id: proposal for proposal in self.proposals if proposal.root == ledger.root},
            ledger=ledger,
        )


async def repair(services: Services) -> Sequence[Action]:
    """One pass over all roots; returns what was done."""
    world = await _read(services)
    planned = [(seen, action) for seen in map(world.seen, world.ledgers) for action in plan(services.clock.now(), seen)]
    return [action for seen, action in planned if await _act(services, seen, action)]


async def _read(services: Services) -> World:
    homes = sorted({root.home for root in services.roots})
    agents = [agent for found in await asyncio.gather(*map(services.agents.of_home, homes)) for agent in found]
    proposals = [proposal for proposal in await services.proposals.all() if proposal.home in homes]
    # Nothing is concluded about a root whose namespace was not read: its agents may well stand there.
    names = {root.name for root in services.roots} | {proposal.root for proposal in proposals}
    names |= {name for name in map(_root_of, agents) if name}
    now = services.clock.now()
    ledgers = [(await services.ledgers.look(name, fresh=True)).pruned(now) for name in sorted(names)]
    return World(agents, proposals, ledgers)


async def _act(services: Services, seen: Seen, action: Action) -> bool:
    head = await services.audit.write(_record("repair.intent", seen, action))
    try:
        done = await _do(services, seen, action, head)
    except (Conflict, Missing, Refused, UnknownOutcome):  # one that can not be done must not keep the others waiting
        done = False
    outcome = "done" if done else "left"
    await services.audit.write(_record("repair.outcome", seen, action, outcome=outcome))
    return done


async def _do(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    match action.verb:
        case "expire" | "remove":
            return await _take_away(services, seen, action, head)
        case "release":
            return await _release(services, seen, action, head)
        case "fence":
            await services.proposals.mark(seen.proposals[action.id], "lapsed", reason="abandoned")
            return await _release(services, seen, action, head)
        case "close":
            ledgers = services.ledgers
            await ledgers.change(seen.ledger.root, lambda ledger: (ledger.closed(action.id).anchored(head), None))
        case "forget":
            await services.proposals.delete(seen.proposals[action.id])
        case "mark":
            await services.proposals.mark(seen.proposals[action.id], "starting", agent_uid=action.uid)
        case "lapse":
            await services.proposals.mark(seen.proposals[action.id], "lapsed", reason="expired")
        case _:
            await services.proposals.mark(seen.proposals[action.id], "retired", reason="gone")
    return True


async def _take_away(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    agent = seen.agents[action.id]
    if not await services.agents.expire(agent.home, agent.id, agent.uid):
        return False
    return await _release(services, seen, action, head)


async def _release(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    # Read again after whatever fenced it: the Agent may have been made since the world was read.
    for home in {root.home for root in services.roots}:
        if await services.agents.get(home, action.id) is not None:
            return False
    await services.ledgers.change(
        seen.ledger.root, lambda ledger: (ledger.released(action.id, action.nonce).anchored(head), None)
    )
    return True


def _root_of(agent: Subagent) -> str:
    root = Root.of_virtual_user(agent.virtual_user, agent.home)
    return root.name if root else ""


def _record(event: str, seen: Seen, action: Action, outcome: str = "") -> Record:
    details = {"verb": action.verb, "uid": action.uid} if action.uid else {"verb": action.verb}
    return Record(event, seen.ledger.root, "", action.id, outcome=outcome, details=details)

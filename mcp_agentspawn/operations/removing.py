"""Remove agents, and give back what they held: in an order that leaves nothing behind wherever it is broken off.

Before an agent goes, its proposal says that it is retiring, and why: so it spawns nothing any more while what is below
it is removed, and whoever looks at it later sees what led to it.
"""

from contextlib import suppress

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.expiry import REMOVALS, Action, Seen, quarantined_at
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import Proposal, Root, Subagent
from mcp_agentspawn.operations import places
from mcp_agentspawn.operations.afresh import home_of
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.services import Services

WHY = {"expire": "expired", "orphan": "parent_gone", "finish": "task_ended"}
"""What the history of a proposal says of why its agent was removed, by verb."""
TOLD = {
    "expire": ("Expired", "Its time is over."),
    "orphan": ("Retired", "What was above it is gone, retiring or in quarantine."),
    "finish": ("Retired", "Its work is done."),
    "remove": ("Retired", "Nothing stands behind it."),
}


async def remove(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    """Do what this action says of an agent that goes, or of what one that is gone has left; whether it is done."""
    if action.verb in REMOVALS:
        return await _take_away(services, seen, action, head)
    match action.verb:
        case "release":
            return await _release(services, seen, action, head)
        case "fence":
            await services.proposals.mark(seen.proposals[action.id], "lapsed", reason="abandoned")
            return await _release(services, seen, action, head)
        case "close":
            await places.close(services, seen.ledger.root, action.id, head)
        case "forget":
            await _forget(services, seen.proposals[action.id])
        case "lapse":
            await services.proposals.mark(seen.proposals[action.id], "lapsed", reason="expired")
        case "retire":
            await end(services, seen.proposals[action.id], "gone")
        case verb:
            raise ValueError(f"Nobody does what {verb} says.")
    return True


async def end(services: Services, proposal: Proposal, reason: str) -> None:
    """Say that the proposal's agent is gone, once nothing is cut off in its name any more."""
    if quarantined_at(proposal) is not None:
        await services.cordon.lift(proposal.home, proposal.id)
    await services.proposals.mark(proposal, "retired", agent_uid=proposal.agent_uid, reason=reason)


async def _forget(services: Services, proposal: Proposal) -> None:
    """Last of all goes what nobody could find without it: a credential that a late attempt may have stored."""
    if proposal.grant.depth > 0:
        await services.keyring.remove(proposal.home, proposal.id)
    await services.proposals.delete(proposal)


async def _take_away(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    agent = seen.agents[action.id]
    proposal = await _fence(services, seen, action, agent)
    if action.verb == "finish" and agent.depth > 0 and seen.proposals[agent.id].phase != "retiring":
        services.later.wanted.set()  # what is below it goes first
        return False
    gone = await services.agents.expire(agent.home, agent.id, agent.uid)
    reason, message = TOLD[action.verb]
    announce(services, agent, reason, message)
    if not gone:
        return False
    if agent.id in seen.ledger.live:
        gone = await _release(services, seen, action, head)
    services.later.wanted.set()
    if proposal is not None:
        with suppress(Upstream):  # the next pass does it
            await end(services, proposal, WHY[action.verb])
    return gone


async def _fence(services: Services, seen: Seen, action: Action, agent: Subagent) -> Proposal | None:
    """The agent's proposal, marked as retiring; `None` for an agent that no proposal stands behind."""
    if action.verb == "remove":
        return None
    proposal = seen.proposals[agent.id]
    if proposal.phase == "retiring":
        return proposal
    return await services.proposals.mark(proposal, "retiring", agent_uid=agent.uid, reason=WHY[action.verb])


async def _release(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    # Read again after whatever fenced it: the Agent may have been made since the world was read.
    stored = await services.proposals.get(action.id)
    for home in {root.home for root in services.roots} | ({stored.home} if stored else set()):
        if await services.agents.get(home, action.id) is not None:
            return False
    root, depth = _place(services, seen, action.id)
    return await places.release(services, root, action.id, head, depth=depth, nonce=action.nonce)


def _place(services: Services, seen: Seen, id_: str) -> tuple[Root, int]:
    """Whose place it is and where its agent lived, and the depth that it had at most."""
    agent, proposal, live = seen.agents.get(id_), seen.proposals.get(id_), seen.ledger.live.get(id_)
    depths = (
        agent.depth if agent else 0,
        proposal.grant.depth if proposal else 0,
        len(live.credentials) if live else 0,
    )
    return Root.named(seen.ledger.root, home_of(services, seen, id_)), max(depths)

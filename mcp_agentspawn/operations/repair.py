"""Make ledgers, proposals and Agents agree again, whatever was interrupted, and retire what is past its time.

Any replica may run it at any time, also two at once: it plans from fresh reads and acts only on what is still so.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mcp_agentspawn.core.errors import Conflict, Missing, Refused, UnknownOutcome
from mcp_agentspawn.core.expiry import Action, Seen, outdated, plan, stands, worn_out
from mcp_agentspawn.core.ledger import Head, Ledger
from mcp_agentspawn.core.model import Proposal, Root, Subagent
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations import places
from mcp_agentspawn.operations.services import Services

Work = Callable[[Head], Awaitable[bool]]
"""Does what an action says once its intent is written, and returns whether it is done."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was read for one pass: agents first, then proposals, then ledgers."""

    agents: Sequence[Subagent]
    proposals: Sequence[Proposal]
    ledgers: Sequence[Ledger]

    def seen(self) -> Sequence[Seen]:
        """The part of each root."""
        agents: dict[str, dict[str, Subagent]] = defaultdict(dict)
        proposals: dict[str, dict[str, Proposal]] = defaultdict(dict)
        for agent in self.agents:
            agents[_root_of(agent)][agent.id] = agent
        for proposal in self.proposals:
            proposals[proposal.root][proposal.id] = proposal
        return [Seen(agents[ledger.root], proposals[ledger.root], ledger) for ledger in self.ledgers]


async def repair(services: Services) -> Sequence[Action]:
    """One pass over all roots, and over what people said long ago; returns what was done."""
    world = await _read(services)
    planned = [(seen, action) for seen in world.seen() for action in plan(services.clock.now(), seen)]
    done = [action for seen, action in planned if await _act(services, seen, action)]
    if any(action.verb in {"expire", "remove", "orphan"} for action in done):
        services.later.wanted.set()  # what was below it is due now
    return [*done, *await _clear(services, world.ledgers)]


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


async def _clear(services: Services, ledgers: Sequence[Ledger]) -> Sequence[Action]:
    """Remove decisions on proposals that are gone, and resets that say nothing more."""
    approvals, switches = await asyncio.gather(services.approvals.all(), services.switchboard.current(fresh=True))
    now = services.clock.now()
    old_enough = outdated(now, approvals, ())
    proposals = {proposal.id for proposal in await services.proposals.all()} if old_enough else set()
    accounts = {ledger.root: ledger.account for ledger in ledgers}
    due = [("", old.name, partial(services.approvals.delete, old)) for old in outdated(now, old_enough, proposals)]
    due += [
        (old.root, old.name, partial(services.switchboard.forget, old))
        for old in worn_out(now, switches.resets, accounts)
    ]
    return [
        action
        for root, name, work in due
        if await _recorded(services, root, action := Action("clear", name), partial(_all_of, work))
    ]


async def _all_of(work: Callable[[], Awaitable[None]], _head: Head) -> bool:
    await work()
    return True


async def _act(services: Services, seen: Seen, action: Action) -> bool:
    return await _recorded(services, seen.ledger.root, action, partial(_do, services, seen, action))


async def _recorded(services: Services, root: str, action: Action, work: Work) -> bool:
    head = await services.audit.write(_record("repair.intent", root, action))
    try:
        done = await work(head)
    except (Conflict, Missing, Refused, UnknownOutcome):  # one that can not be done must not keep the others waiting
        done = False
    outcome = "done" if done else "left"
    await services.audit.write(_record("repair.outcome", root, action, outcome=outcome))
    return done


async def _do(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    match action.verb:
        case "expire" | "remove" | "orphan":
            return await _take_away(services, seen, action, head)
        case "release":
            return await _release(services, seen, action, head)
        case "fence":
            await services.proposals.mark(seen.proposals[action.id], "lapsed", reason="abandoned")
            return await _release(services, seen, action, head)
        case "close":
            await places.close(services, seen.ledger.root, action.id, head)
        case "forget":
            await _forget(services, seen.proposals[action.id])
        case "mark":
            await services.proposals.mark(seen.proposals[action.id], "starting", agent_uid=action.uid)
        case "lapse":
            await services.proposals.mark(seen.proposals[action.id], "lapsed", reason="expired")
        case _:
            await services.proposals.mark(seen.proposals[action.id], "retired", reason="gone")
    return True


async def _forget(services: Services, proposal: Proposal) -> None:
    """Last of all goes what nobody could find without it: a credential that a late attempt may have stored."""
    if proposal.grant.depth > 0:
        await services.keyring.remove(proposal.home, proposal.id)
    await services.proposals.delete(proposal)


async def _take_away(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    agent = seen.agents[action.id]
    if action.verb == "orphan" and await _has_parent(services, agent):
        return False
    if not await services.agents.expire(agent.home, agent.id, agent.uid):
        return False
    return await _release(services, seen, action, head)


async def _has_parent(services: Services, agent: Subagent) -> bool:
    above = await services.agents.get(agent.home, agent.parent)
    return above is not None and above.virtual_user == agent.virtual_user and stands(services.clock.now(), above)


async def _release(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    # Read again after whatever fenced it: the Agent may have been made since the world was read.
    stored = await services.proposals.get(action.id)
    for home in {root.home for root in services.roots} | ({stored.home} if stored else set()):
        if await services.agents.get(home, action.id) is not None:
            return False
    root, depth = _place(services, seen, action.id)
    await places.release(services, root, action.id, head, depth=depth, nonce=action.nonce)
    return True


def _place(services: Services, seen: Seen, id_: str) -> tuple[Root, int]:
    """Whose place it is and where its agent lived, and the depth that it had at most."""
    agent, proposal, live = seen.agents.get(id_), seen.proposals.get(id_), seen.ledger.live.get(id_)
    configured = next((root.home for root in services.roots if root.name == seen.ledger.root), DEFAULT_HOME)
    home = agent.home if agent else proposal.home if proposal else configured
    depths = (
        agent.depth if agent else 0,
        proposal.grant.depth if proposal else 0,
        len(live.credentials) if live else 0,
    )
    return Root.named(seen.ledger.root, home), max(depths)


def _root_of(agent: Subagent) -> str:
    root = Root.of_virtual_user(agent.virtual_user, agent.home)
    return root.name if root else ""


def _record(event: str, root: str, action: Action, outcome: str = "") -> Record:
    details = {"verb": action.verb, "uid": action.uid} if action.uid else {"verb": action.verb}
    return Record(event, root, "", action.id, outcome=outcome, details=details)

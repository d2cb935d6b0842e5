"""Whose descendant is what: a caller sees and retires what is below it, and nothing else of its tree."""

from collections.abc import Collection, Mapping, Sequence

from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Proposal, Root, Subagent
from mcp_agentspawn.core.names import MOST_DEPTH
from mcp_agentspawn.operations.services import Services

Member = Subagent | Proposal
"""One of a tree: an Agent that stands, or else its proposal."""


async def own(services: Services, caller: Caller, id_: str) -> Member | None:
    """The caller's descendant of this id; `None` when there is none, or when it is not the caller's."""
    found = await member(services, caller.root, id_)
    return found if found is not None and await is_below(services, caller, found.parent) else None


async def member(services: Services, root: Root, id_: str) -> Member | None:
    """The one of this root's tree that has this id, fresh; `None` when there is none."""
    agent = await services.agents.get(root.home, id_)
    if agent is not None and agent.virtual_user == root.virtual_user:
        return agent
    stored = await services.proposals.get(id_)
    return stored if stored is not None and stored.root == root.name else None


async def seen_since(services: Services, proposal: Proposal, agent: Subagent | None) -> Subagent | None:
    """This proposal's agent, looked for again where it should stand: it may have been made after it was looked for."""
    if agent is not None or proposal.phase == "proposed" or proposal.phase in FINAL_PHASES:
        return agent
    return await services.agents.get(proposal.home, proposal.id)


def depth_of(found: Member) -> int:
    """How many generations there can be below it."""
    return found.depth if isinstance(found, Subagent) else found.grant.depth


async def is_below(services: Services, caller: Caller, parent: str) -> bool:
    """Whether what has this parent is below the caller: everything of its tree is below a root."""
    for _ in range(MOST_DEPTH + 1):
        if parent == caller.agent or not caller.agent:
            return True
        above = await services.proposals.get(parent) if parent else None
        if above is None or above.root != caller.root.name:
            return False
        parent = above.parent
    return False


def below(caller: Caller, parents: Mapping[str, str]) -> frozenset[str]:
    """Those that are below the caller, given everyone's parent."""
    if not caller.agent:
        return frozenset(parents)
    found: frozenset[str] = frozenset()
    generation = frozenset({caller.agent})
    while generation := frozenset(id_ for id_, parent in parents.items() if parent in generation) - found:
        found |= generation
    return found - {caller.agent}


async def children(services: Services, root: Root, parents: Collection[str]) -> Sequence[str]:
    """The ids of those that have one of these parents and have not come to their end, fresh.

    Whoever stands has a place in the ledger; one that has none is removed by the reconciler anyway.
    """
    ledger = await services.ledgers.look(root.name, fresh=True)
    return sorted(id_ for id_, parent in ledger.parents().items() if parent in parents)

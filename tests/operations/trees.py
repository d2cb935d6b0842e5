"""Trees of subagents in the in-process world: whoever spawns one is judged, approved of and applied as for real."""

from typing import Any

from mcp_agentspawn.core.model import Approval, Caller, Proposal, Subagent
from mcp_agentspawn.core.names import SPAWN_SERVER, SPAWN_TOOLS
from mcp_agentspawn.operations.answers import Applied, Pending, Proposed, Refusal, Retired
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from tests.builders import ROOT, Bench, ask, bench, template

DEPTHS = {"researcher": 0, "lead": 1, "director": 2}
HOME = ROOT.home


def grove(**sections: Any) -> Bench:
    """A world where a `director` may spawn a `lead`, and that a `researcher`."""
    roomy: dict[str, Any] = {
        "template": {"allow": list(DEPTHS)},
        "lineage": {"most_depth": 2},
        "rate": {"changes_per_minute": 1000},
        "quota": {"live_per_parent": 20, "live_per_root": 50, "open_proposals": 20, "spawned_per_root_per_day": 100},
    }
    setup = bench(**roomy | sections)
    setup.world.inventory.tools_in[HOME][SPAWN_SERVER] = set(SPAWN_TOOLS)
    for name, depth in DEPTHS.items():
        setup.rules.templates[name] = template(name, depth=depth)
        setup.world.access.granted.add((ROOT, name))
    return setup


def under(agent: str) -> Caller:
    """The caller that is this subagent."""
    return Caller(ROOT, agent)


async def proposed(setup: Bench, kind: str = "researcher", parent: str = "", **changes: Any) -> Proposed:
    made = await propose(setup.services, under(parent), ask(template=kind, **changes))
    assert isinstance(made, Proposed), made.reasons
    return made


async def approved(setup: Bench, made: Proposed) -> None:
    stored = await stored_as(setup, made.proposal)
    name = f"{made.proposal}.alice"
    await setup.world.approvals.create(
        Approval(name, made.proposal, stored.uid, stored.digest, "approve", "alice", "looks fine")
    )


async def tried(setup: Bench, made: Proposed, parent: str = "") -> Applied | Pending | Refusal:
    answer = await apply(setup.services, under(parent), made.proposal, made.digest)
    await setup.services.later.settle()
    return answer


async def spawned(setup: Bench, kind: str = "researcher", parent: str = "", **changes: Any) -> str:
    made = await proposed(setup, kind, parent, **changes)
    await approved(setup, made)
    answer = await tried(setup, made, parent)
    assert isinstance(answer, Applied), answer.reasons
    return answer.agent


async def line(setup: Bench) -> tuple[str, str, str]:
    """A director, its lead, and that one's researcher."""
    director = await spawned(setup, "director")
    lead = await spawned(setup, "lead", director)
    return director, lead, await spawned(setup, "researcher", lead)


async def retired(setup: Bench, agent: str, parent: str = "") -> Retired:
    answer = await retire(setup.services, under(parent), agent)
    await setup.services.later.settle()
    assert isinstance(answer, Retired), answer.reasons
    return answer


async def repaired(setup: Bench) -> list[tuple[str, str]]:
    """What one pass did, to whom."""
    return [(action.verb, action.id) for action in await repair(setup.services)]


async def stored_as(setup: Bench, id_: str) -> Proposal:
    found = await setup.world.proposals.get(id_)
    assert found is not None
    return found


async def agent_of(setup: Bench, id_: str) -> Subagent:
    found = await setup.world.agents.get(HOME, id_)
    assert found is not None
    return found


async def deleted_by_hand(setup: Bench, id_: str) -> None:
    await setup.world.agents.expire(HOME, id_, (await agent_of(setup, id_)).uid)


async def standing(setup: Bench) -> set[str]:
    return {agent.id for agent in await setup.world.agents.of_root(ROOT)}


async def held(setup: Bench) -> set[str]:
    return set((await setup.world.ledgers.look(ROOT.name)).live)


def token_of(setup: Bench, agent: str) -> str:
    return setup.world.keyring.tokens[HOME, agent]

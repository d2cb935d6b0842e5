"""Make ledgers, proposals and Agents agree again, whatever was interrupted, and retire what is past its time.

Any replica may run it at any time, also two at once: it reads everything, and acts only on what is still so.
`reconcile` does the same with what it has watched, and is what a server runs.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.expiry import Action, Seen
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Proposal, Subagent
from mcp_agentspawn.operations.acting import act_on_all
from mcp_agentspawn.operations.clearing import clear
from mcp_agentspawn.operations.services import Services


async def repair(services: Services) -> Sequence[Action]:
    """One pass over all roots, and over what people said long ago; returns what was done."""
    worlds = await read_all(services)
    done = await act_on_all(services, worlds)
    return [*done, *await clear(services, {seen.ledger.root: seen.ledger.account for seen in worlds})]


async def read_all(services: Services) -> Sequence[Seen]:
    """The world of each root, read now: agents first, then proposals, then ledgers. No pod is looked at."""
    homes = sorted({root.home for root in services.roots})
    found = [agent for read in await asyncio.gather(*map(services.agents.of_home, homes)) for agent in read]
    asked = [proposal for proposal in await services.proposals.all() if proposal.home in homes]
    # Nothing is concluded about a root whose namespace was not read: its agents may well stand there.
    names = {root.name for root in services.roots} | {proposal.root for proposal in asked}
    names |= {agent.root for agent in found if agent.root}
    ledgers = [await services.ledgers.look(name, fresh=True) for name in sorted(names)]
    return _by_root(found, asked, ledgers, await services.tasks.all())


def _by_root(
    found: Sequence[Subagent], asked: Sequence[Proposal], ledgers: Sequence[Ledger], given: Sequence[Task]
) -> Sequence[Seen]:
    agents: dict[str, dict[str, Subagent]] = defaultdict(dict)
    proposals: dict[str, dict[str, Proposal]] = defaultdict(dict)
    tasks: dict[str, list[Task]] = defaultdict(list)
    for agent in found:
        agents[agent.root][agent.id] = agent
    for proposal in asked:
        proposals[proposal.root][proposal.id] = proposal
    for task in given:
        tasks[task.root].append(task)
    return [Seen(agents[ledger.root], proposals[ledger.root], ledger, tuple(tasks[ledger.root])) for ledger in ledgers]

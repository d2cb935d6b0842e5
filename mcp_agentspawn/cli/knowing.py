"""Does anybody here know such a root or such a namespace? Whoever mistypes one is told."""

from collections.abc import Sequence
from contextlib import suppress

from mcp_agentspawn.cli.people import Cluster
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Root, Subagent
from mcp_agentspawn.core.names import DEFAULT_HOME


def tree(root: str, home: str = DEFAULT_HOME) -> Root:
    """The root of this name, `namespace/account`, with its subagents in `home`."""
    return Root.named(root, home)


async def is_known_root(cluster: Cluster, root: str) -> bool:
    """Whether it has a proposal, a ledger, or a subagent that this person may see."""
    if await cluster.proposals.of_root(tree(root)) or await has_ledger(cluster, root):
        return True
    return bool(await _seen(cluster, tree(root)))


async def has_ledger(cluster: Cluster, root: str) -> bool:
    """Whether anything was ever counted for it."""
    return await cluster.ledgers.look(root, fresh=True) != Ledger(root)


async def is_known_namespace(cluster: Cluster, namespace: str) -> bool:
    """Whether subagents or roots are in it, by what proposals, ledgers and visible subagents say."""
    proposals, roots = await cluster.proposals.all(), await cluster.ledgers.roots()
    roots = [*roots, *(proposal.root for proposal in proposals)]
    homes = {DEFAULT_HOME} | {proposal.home for proposal in proposals}
    if namespace in homes | {root.partition("/")[0] for root in roots}:
        return True
    with suppress(Refused):
        return bool(await cluster.agents.of_home(namespace))
    return False


async def _seen(cluster: Cluster, root: Root) -> Sequence[Subagent]:
    with suppress(Refused):
        return await cluster.agents.of_root(root)
    return ()

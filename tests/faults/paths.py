"""Which request is which, and what a cluster looks like when nothing is lost and nothing is twice."""

import re

from mcp_agentspawn.core.model import Root
from tests.faults.cluster import Cluster

CREATE_AGENT = ("POST", r"/agents\?(?!.*dryRun)")
DELETE_AGENT = ("DELETE", r"/agents/sub-(?!.*dryRun)")
STORE_PROPOSAL = ("POST", r"/subagentproposals\?")
LEDGERS = r"/spawnledgers"


def mark_of(proposal: str) -> tuple[str, str]:
    """The request that marks this one; a repair marks what other tests have left, too."""
    return "PUT", rf"/subagentproposals/{proposal}/status"


def change_of_ledger(root: Root) -> tuple[str, str]:
    """The request that changes this root's, and no other's."""
    return "PUT", rf"{LEDGERS}/{re.escape(root.key)}(\?|\Z)"


async def one_agent(cluster: Cluster, root: Root) -> tuple[str, str]:
    """The name and uid of the one Agent that a root has."""
    (agent,) = await cluster.agents_of(root)
    return agent["metadata"]["name"], agent["metadata"]["uid"]


async def ledger_holds(cluster: Cluster, root: Root) -> set[str]:
    """The slots that are held."""
    return set((await cluster.ledger_of(root))["live"])

"""Which request is which, and what a cluster looks like when nothing is lost and nothing is twice."""

from mcp_agentspawn.core.model import Root
from tests.faults.cluster import Cluster

CREATE_AGENT = ("POST", r"/agents\?(?!.*dryRun)")
DELETE_AGENT = ("DELETE", r"/agents/sub-(?!.*dryRun)")
STORE_PROPOSAL = ("POST", r"/subagentproposals\?")
MARK = ("PUT", r"/subagentproposals/[^/]+/status")
LEDGERS = r"/spawnledgers"


async def one_agent(cluster: Cluster, root: Root) -> tuple[str, str]:
    """The name and uid of the one Agent that a root has."""
    (agent,) = await cluster.agents_of(root)
    return agent["metadata"]["name"], agent["metadata"]["uid"]


async def ledger_holds(cluster: Cluster, root: Root) -> set[str]:
    """The slots that are held."""
    return set((await cluster.ledger_of(root))["live"])

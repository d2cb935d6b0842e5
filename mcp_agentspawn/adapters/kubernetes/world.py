"""Every port on one API server, through one pool of connections."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mcp_agentspawn.adapters.clock import SystemClock
from mcp_agentspawn.adapters.kubernetes.access import KubernetesAccess
from mcp_agentspawn.adapters.kubernetes.agents import KubernetesAgents
from mcp_agentspawn.adapters.kubernetes.announcements import KubernetesAnnouncements
from mcp_agentspawn.adapters.kubernetes.approvals import KubernetesApprovals
from mcp_agentspawn.adapters.kubernetes.canary import Canary
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.cordon import KubernetesCordon
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.identity import KubernetesTokens, own_name
from mcp_agentspawn.adapters.kubernetes.inventory import KubernetesInventory
from mcp_agentspawn.adapters.kubernetes.keyring import KubernetesKeyring
from mcp_agentspawn.adapters.kubernetes.lease import KubernetesLeadership, this_process
from mcp_agentspawn.adapters.kubernetes.ledgers import KubernetesLedgers
from mcp_agentspawn.adapters.kubernetes.observer import KubernetesObserver
from mcp_agentspawn.adapters.kubernetes.principals import SERVER, Gate
from mcp_agentspawn.adapters.kubernetes.proposals import KubernetesProposals
from mcp_agentspawn.adapters.kubernetes.resources import ACCOUNTS
from mcp_agentspawn.adapters.kubernetes.switchboard import KubernetesSwitchboard
from mcp_agentspawn.adapters.kubernetes.task_answers import KubernetesTaskAnswers
from mcp_agentspawn.adapters.kubernetes.tasks import KubernetesTasks
from mcp_agentspawn.adapters.kubernetes.transport import Transport
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.ports import Clock


class KubernetesWorld:
    """The ports, all on one client."""

    def __init__(
        self,
        client: Client,
        roots: Iterable[Root],
        *,
        legacy_accounts: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        """`legacy_accounts`: see `KubernetesTokens`."""
        self.roots: Sequence[Root] = tuple(roots)
        self.clock: Clock = clock or SystemClock()
        self.agents = KubernetesAgents(client)
        self.proposals = KubernetesProposals(client, self.clock)
        self.ledgers = KubernetesLedgers(client)
        self.approvals = KubernetesApprovals(client)
        self.switchboard = KubernetesSwitchboard(client)
        self.keyring = KubernetesKeyring(client)
        self.inventory = KubernetesInventory(client)
        self.access = KubernetesAccess(client)
        self.tasks = KubernetesTasks(client)
        self.task_answers = KubernetesTaskAnswers(client)
        process = this_process()
        self.announcements = KubernetesAnnouncements(client, self.clock, process)
        self.cordon = KubernetesCordon(client)
        self.leadership = KubernetesLeadership(client, self.clock, process)
        self.observer = KubernetesObserver(client, self.roots)
        self.tokens = KubernetesTokens(client, legacy_accounts)
        self.canary = Canary(client, self.roots)
        self._client = client

    async def whoami(self) -> str:
        """The user name by which the API server knows whoever uses this world: the server, or a person."""
        return await own_name(self._client)

    async def account_uid(self, root: Root) -> str:
        """The uid of a root's service account as it is now. Raises `Missing` when there is none, and `Refused`."""
        path = ACCOUNTS.item(root.namespace, root.account)
        answer = await self._client.request("GET", path, as_=SERVER, partial=True)
        return read(lambda answer: str(answer["metadata"]["uid"]), answer)

    async def problems(self) -> Sequence[str]:
        """What keeps this world from being ready; never raises."""
        return await self.canary.problems()


@asynccontextmanager
async def connect(
    roots: Iterable[Root],
    *,
    kubeconfig: Path | None = None,
    legacy_accounts: Collection[str] = (),
    clock: Clock | None = None,
) -> AsyncIterator[KubernetesWorld]:
    """Reach the cluster of `kubeconfig`, or the one around this pod, or what KUBECONFIG says. Raises ConfigError.

    Only the virtual users of `roots` are ever written as. Leaving waits for ledger changes that are on their way.
    """
    listed = tuple(roots)
    credentials = await load_credentials(kubeconfig)
    async with Transport(credentials, Gate(listed)) as transport:
        world = KubernetesWorld(Client(transport), listed, legacy_accounts=legacy_accounts, clock=clock)
        try:
            yield world
        finally:
            await world.ledgers.close()

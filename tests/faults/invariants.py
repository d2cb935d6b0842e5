"""What must be so whatever happened: nothing is lost, nothing is twice, and all that is kept says the same."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from mcp_agentspawn.core.audit_verify import verify
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Applied
from tests.faults.cluster import AGENTS, HOME, LEDGERS, PROPOSALS, Cluster
from tests.faults.paths import ledger_holds
from tests.faults.replicas import Replica
from tests.faults.servers import Server

CREDENTIALS = f"/api/v1/namespaces/{HOME}/secrets"


@dataclass
class Sight:
    """What an observer saw happen in the API server: the uids that each name ever had, and how many stood at once."""

    uids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    standing: set[str] = field(default_factory=set)
    most: int = 0
    history: list[tuple[int, str]] = field(default_factory=list)

    def see_agent(self, event: str, agent: dict[str, Any]) -> None:
        """An Agent came, changed or went."""
        name, uid = agent["metadata"]["name"], agent["metadata"]["uid"]
        self.uids[name].add(uid)
        if event == "DELETED":
            self.standing.discard(uid)
        else:
            self.standing.add(uid)
        self.most = max(self.most, len(self.standing))
        self._note(agent, f"{event} {name} {uid}")

    def see_ledger(self, _event: str, ledger: dict[str, Any]) -> None:
        """The ledger was stored."""
        self._note(ledger, f"places {ledger['spec']['live']}")

    def see_proposal(self, event: str, proposal: dict[str, Any]) -> None:
        """A proposal came, changed or went."""
        self._note(proposal, f"{event} proposal {proposal['metadata']['name']} {proposal.get('status')}")

    def told(self) -> str:
        """Everything in the order in which it was stored."""
        return "\n".join(f"{version} {what}" for version, what in sorted(self.history))

    def _note(self, stored: dict[str, Any], what: str) -> None:
        self.history.append((int(stored["metadata"]["resourceVersion"]), what))


@asynccontextmanager
async def watched(cluster: Cluster, root: Root) -> AsyncIterator[Sight]:
    """Watch what is a root's, past the proxy; what happened is complete when the block's work is."""
    sight, tree = Sight(), f"agentspawn.dev/tree={root.label}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_watching(cluster, AGENTS, {"labelSelector": tree}, sight.see_agent))
        await stack.enter_async_context(_watching(cluster, PROPOSALS, {"labelSelector": tree}, sight.see_proposal))
        only = {"fieldSelector": f"metadata.name={root.key}"}
        await stack.enter_async_context(_watching(cluster, LEDGERS, only, sight.see_ledger))
        yield sight


@asynccontextmanager
async def _watching(
    cluster: Cluster, path: str, query: dict[str, str], see: Callable[[str, dict[str, Any]], None]
) -> AsyncIterator[None]:
    async with cluster.admin.get(path, params={"watch": "1", **query}, timeout=None) as events:

        async def look() -> None:
            async for line in events.content:
                event = json.loads(line)
                see(event["type"], event["object"])

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def at_rest(replica: Replica) -> None:
    """Repair until there is nothing left to do."""
    for _ in range(10):
        if not await replica.repair():
            return
    raise AssertionError("repair never comes to an end")


async def agrees(cluster: Cluster, root: Root, replica: Replica) -> None:
    """Agents, proposals, ledger and credentials say the same, at the replica's time."""
    agents = {agent["metadata"]["name"]: agent["metadata"]["uid"] for agent in await cluster.agents_of(root)}
    ledger = await cluster.ledger_of(root)
    assert set(agents) == set(ledger["live"])
    assert ledger["spawned"] >= len(ledger["used"])
    stored = {proposal["metadata"]["name"]: proposal for proposal in await cluster.proposals_of(root)}
    status = {name: proposal["status"] for name, proposal in stored.items()}
    assert {name: status[name]["agentUid"] for name in agents} == agents
    assert {status[name]["phase"] for name in agents} <= {"starting"}
    held = (await replica.services.ledgers.look(root.name, fresh=True)).pruned(replica.clock.now())
    assert {status[entry.proposal]["phase"] for entry in held.open.values() if entry.proposal in status} <= {"proposed"}
    spawning = {name for name, proposal in stored.items() if proposal["spec"]["grant"]["depth"]}
    secrets = (await cluster.get(CREDENTIALS) or {})["items"]
    credentials = {secret["metadata"]["name"].removesuffix("-agentspawn") for secret in secrets}
    assert credentials & set(stored) == spawning & set(agents)


async def nothing_was_spent_twice(cluster: Cluster, root: Root) -> None:
    """Every spawn of a day counts once."""
    ledger = await cluster.ledger_of(root)
    assert ledger["spawned"] == len(ledger["used"])


async def all_slots_are_to_be_had(cluster: Cluster, root: Root, replica: Replica, limit: int) -> None:
    """No place was lost: once everything is retired, the limit can be spawned, and no more."""
    for agent in await ledger_holds(cluster, root):
        await replica.retire(agent)
    proposals = [await replica.propose(purpose=f"Afterwards {number}") for number in range(limit + 1)]
    answers = [await replica.applied(proposal) for proposal in proposals]
    assert [isinstance(answer, Applied) for answer in answers] == [True] * limit + [False]


async def audit_is_whole(server: Server, replica: Replica) -> None:
    """The log of a server that is quiet is whole, and reaches as far as its root's ledger saw it."""
    ledger = await replica.services.ledgers.look(replica.caller.root.name, fresh=True)
    written = server.audit_file.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]  # a line that is just being written is no finding
    assert verify(BytesIO(whole).readlines(), list(ledger.audit.values())).findings == ()

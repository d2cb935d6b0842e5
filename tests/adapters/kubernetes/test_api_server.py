"""What only the real API server can show: its own tokens, its policies, and how many requests a change costs."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes import transport as transport_module
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.adapters.kubernetes.identity import KubernetesTokens
from mcp_agentspawn.adapters.kubernetes.principals import Call, Gate
from mcp_agentspawn.adapters.kubernetes.resources import PROPOSALS
from mcp_agentspawn.adapters.kubernetes.transport import Answer, Stream, Transport
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld, connect
from mcp_agentspawn.core.ledger import Change, Ledger, Live
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE, TREE
from mcp_agentspawn.core.ports import Account
from mcp_agentspawn.localplane import ControlPlane, install
from tests.contracts.stages import fresh, kubeconfig, proposal
from tests.faults.cluster import HOME, REPOSITORY, Cluster, equip, token_of
from tests.localplane.waiting import until

LOOKED_AT = "ValidatingAdmissionPolicyBinding"
ACCOUNT = Root("agents", "with-tokens", HOME)
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@dataclass
class Counting:
    """A transport that counts what goes through it."""

    inner: Transport
    sent: list[str] = field(default_factory=list)

    async def send(self, call: Call) -> Answer:
        self.sent.append(call.method)
        return await self.inner.send(call)

    def stream(self, call: Call) -> AbstractAsyncContextManager[Stream]:
        return self.inner.stream(call)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with equip(control_plane) as cluster:
        await cluster.onboard(ACCOUNT.account)
        yield cluster


@asynccontextmanager
async def counting(cluster: Cluster) -> AsyncIterator[Counting]:
    credentials = await load_credentials(kubeconfig(cluster))
    async with Transport(credentials, Gate([ACCOUNT])) as transport:
        yield Counting(transport)


async def legacy_token(cluster: Cluster, account: str) -> str:
    """The token of a Secret of type service-account-token, which the token controller fills."""
    path = f"/api/v1/namespaces/agents/secrets/{account}-token"
    annotations = {"kubernetes.io/service-account.name": account}
    secret = {
        "metadata": {"name": f"{account}-token", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    async with cluster.admin.post("/api/v1/namespaces/agents/secrets", json=secret) as response:
        assert response.status in {201, 409}

    async def filled() -> bool:
        return "token" in ((await cluster.get(path) or {}).get("data") or {})

    await until(filled)
    async with cluster.admin.get(path, headers={"Accept": "application/json"}) as response:
        return b64decode((await response.json())["data"]["token"]).decode()


async def test_large_objects_among_small_ones_are_all_read(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"sub-large-{number:02}" for number in range(20)]
    async with connect([ACCOUNT], kubeconfig=kubeconfig(cluster)) as world, counting(cluster) as transport:
        for name in names:
            manifest = "x" if name < names[10] else "<" * 3000  # six bytes each, as it comes over the wire
            await world.proposals.create(proposal(ACCOUNT, id=name, manifest=manifest))
        monkeypatch.setattr(transport_module, "MOST_BYTES", 60_000)
        path, query = (
            PROPOSALS.collection(SYSTEM_NAMESPACE),
            {"limit": "10", "labelSelector": f"{TREE}={ACCOUNT.label}"},
        )
        pages = [page async for page in Client(transport).pages(path, query)]

    filled = [len(page["items"]) for page in pages if page["items"]]  # the last is empty where others' come after it
    assert filled == [10, *[1] * 10]
    assert [item["metadata"]["name"] for page in pages for item in page["items"]] == names


async def test_a_token_of_our_audience_is_the_accounts(cluster: Cluster) -> None:
    async with connect([ACCOUNT], kubeconfig=kubeconfig(cluster)) as world:
        found = await world.tokens.caller(await cluster.token_of(ACCOUNT))

    assert found is not None
    assert found == Account("agents", "with-tokens", found.uid)


async def test_no_other_token_of_a_listed_account_is_accepted(cluster: Cluster) -> None:
    others = [await token_of(cluster.admin, "agents", "with-tokens", audience) for audience in ("", "kagent", "vault")]
    people = [cluster.plane.token_of(name) for name in ("admin", "alice")]

    async with connect([ACCOUNT], kubeconfig=kubeconfig(cluster), legacy_accounts=[ACCOUNT.name]) as world:
        assert [await world.tokens.caller(token) for token in (*others, *people)] == [None] * 5


async def test_a_secrets_token_is_accepted_for_listed_accounts_only(cluster: Cluster) -> None:
    token = await legacy_token(cluster, "with-tokens")
    said = []

    for listed in ((), ("agents/other",), ("agents/with-tokens",)):
        async with connect([ACCOUNT], kubeconfig=kubeconfig(cluster), legacy_accounts=listed) as world:
            said.append(await world.tokens.caller(token))

    assert said[:2] == [None, None]
    assert said[2] is not None
    assert said[2].name == "with-tokens"


async def test_a_secrets_token_is_worthless_once_its_secret_is_gone(cluster: Cluster) -> None:
    root = await cluster.onboard("with-lost-secret")
    token = await legacy_token(cluster, root.account)
    async with counting(cluster) as wire:
        tokens = KubernetesTokens(Client(wire), [root.name], clock=lambda: float(100 * len(wire.sent)))
        assert await tokens.caller(token) is not None

        async with cluster.admin.delete(f"/api/v1/namespaces/agents/secrets/{root.account}-token") as response:
            assert response.status == 200

        async def refused() -> bool:
            return await tokens.caller(token) is None

        await until(refused)  # the API server itself remembers a review for some seconds


async def test_the_same_token_at_the_same_moment_costs_one_review(cluster: Cluster) -> None:
    token = await cluster.token_of(ACCOUNT)
    async with counting(cluster) as wire:
        tokens = KubernetesTokens(Client(wire))
        said = await asyncio.gather(*(tokens.caller(token) for _ in range(50)))

    assert None not in said
    assert wire.sent == ["POST"]


async def test_many_who_change_one_ledger_cost_few_writes(cluster: Cluster) -> None:
    root = f"agents/{fresh('ledger')}"
    async with counting(cluster) as wire:
        world = KubernetesWorld(Client(wire), [ACCOUNT])
        now = world.clock.now()

        async def take(number: int) -> None:
            def decide(ledger: Ledger) -> tuple[Ledger, None]:
                return ledger.reserved(f"sub-{number}", Live(now, "", ""), Change(now)), None

            await world.ledgers.change(root, decide)

        await asyncio.gather(*(take(number) for number in range(100)))
        stored = await world.ledgers.look(root, fresh=True)

    assert len(stored.live) == stored.spawned == 100
    assert wire.sent.count("POST") + wire.sent.count("PUT") <= 5


async def test_a_schema_that_is_known_costs_one_request_and_a_small_one(cluster: Cluster) -> None:
    async with counting(cluster) as wire:
        world = KubernetesWorld(Client(wire), [ACCOUNT])
        for _ in range(10):
            await world.inventory.violations({})

    assert wire.sent == ["GET", "GET"]


@pytest.mark.parametrize(
    ("binding", "file", "begins"),
    [
        ("agentspawn-lock", "30-policy-lock.yaml", "agentspawn-lock in subagents"),
        ("agentspawn-kin-agents", "32-policy-kin.yaml", f"{LOOKED_AT} agentspawn-kin-agents: is not there"),
        (
            "agentspawn-freeze-everywhere",
            "36-policy-freeze.yaml",
            f"{LOOKED_AT} agentspawn-freeze-everywhere: is not there",
        ),
    ],
)
async def test_a_world_whose_binding_was_taken_away_is_not_ready_until_it_is_back(
    cluster: Cluster, binding: str, file: str, begins: str
) -> None:
    async with connect([ACCOUNT], kubeconfig=kubeconfig(cluster)) as world:

        async def open_() -> bool:
            return any(problem.startswith(begins) for problem in await world.problems())

        async def ready() -> bool:
            return not await world.problems()

        await until(ready)
        async with cluster.admin.delete(f"{BINDINGS}/{binding}") as response:
            assert response.status == 200
        try:
            await until(open_)
        finally:
            await install(cluster.plane.admin, [REPOSITORY / "deploy" / file])
        await until(ready)


async def test_a_namespace_without_the_lock_is_not_ready(cluster: Cluster) -> None:
    elsewhere = Root("agents", "with-tokens", "agents")

    async with connect([elsewhere], kubeconfig=kubeconfig(cluster)) as world:
        said = await world.problems()

    assert ["refused by something else" in problem for problem in said] == [True] * 3 + [False] * 3
    assert [problem.split(":")[0].rpartition(" ")[2] for problem in said[3:]] == [
        "agentspawn-reserved-agents",
        "agentspawn-quarantine-agents",
        "agentspawn-freeze-everywhere-agents",
    ]

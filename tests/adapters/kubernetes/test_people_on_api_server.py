"""What only the real API server can show of decisions, switches and credentials: who may write them, and who not."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes.resources import FREEZES, SECRETS
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld, connect
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.model import Approval, Root
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, Reset
from mcp_agentspawn.localplane import ControlPlane
from tests.contracts.stages import PERSON, fresh, kubeconfig
from tests.faults.cluster import HOME, Cluster, equip

ROOT = Root("agents", "among-people", HOME)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with equip(control_plane) as cluster:
        await cluster.onboard(ROOT.account)
        yield cluster


@pytest_asyncio.fixture
async def server(cluster: Cluster) -> AsyncIterator[KubernetesWorld]:
    async with connect([ROOT], kubeconfig=kubeconfig(cluster)) as world:
        yield world


@pytest_asyncio.fixture
async def person(cluster: Cluster) -> AsyncIterator[KubernetesWorld]:
    file = cluster.plane.kubeconfig_for("person-at-work", cluster.plane.token_of(PERSON))
    async with connect((), kubeconfig=file) as world:
        yield world


def approval(decider: str) -> Approval:
    proposal = fresh()
    return Approval(f"{proposal}.a", proposal, "uid-1", "sha256:1", "approve", decider)


async def test_the_server_is_known_as_itself(server: KubernetesWorld) -> None:
    assert await server.whoami() == "system:serviceaccount:agentspawn-system:agentspawn"


async def test_the_server_decides_switches_and_resets_nothing(server: KubernetesWorld) -> None:
    me, place = await server.whoami(), fresh("nowhere")
    attempts = (
        server.approvals.create(approval(me)),
        server.switchboard.set(Freeze(f"namespace.{place}", frozen=True, by=me, namespace=place)),
        server.switchboard.set(Freeze(EVERYWHERE, frozen=False, by=me)),
        server.switchboard.reset(Reset(f"agents.{place}.a", f"agents/{place}", counts=True, by=me)),
    )

    for attempt in attempts:
        with pytest.raises(Refused) as refusal:
            await attempt
        assert refusal.value.code in {"forbidden.rbac", "forbidden.policy"}


async def test_nobody_decides_or_switches_in_anothers_name(person: KubernetesWorld) -> None:
    place = fresh("nowhere")
    attempts = (
        person.approvals.create(approval("somebody-else")),
        person.switchboard.set(Freeze(f"namespace.{place}", frozen=True, by="somebody-else", namespace=place)),
        person.switchboard.reset(Reset(f"agents.{place}.a", f"agents/{place}", counts=True, by="somebody-else")),
    )

    for attempt in attempts:
        with pytest.raises(Refused) as refusal:
            await attempt
        assert refusal.value.code == "forbidden.policy"


async def test_switching_everything_keeps_what_the_installation_wrote_on_it(
    cluster: Cluster, person: KubernetesWorld
) -> None:
    await person.switchboard.set(Freeze(EVERYWHERE, frozen=False, reason="Looked at it", by=PERSON))

    found = await cluster.get(FREEZES.item(SYSTEM_NAMESPACE, EVERYWHERE))
    assert found is not None
    assert found["metadata"]["labels"] == {"app.kubernetes.io/part-of": "agentspawn"}
    assert found["spec"]["reason"] == "Looked at it"


async def test_a_credential_is_made_as_it_must_be_and_for_agents_of_ours_only(
    cluster: Cluster, server: KubernetesWorld
) -> None:
    agent = fresh()
    await server.keyring.put(HOME, agent, "agentspawn/some-token")

    found = await cluster.get(SECRETS.item(HOME, f"{agent}-agentspawn"))
    assert found is not None
    assert (found["type"], found["immutable"]) == ("Opaque", True)
    assert found["metadata"]["labels"] == {"agentspawn.dev/proposal": agent}
    with pytest.raises(Refused) as refusal:
        await server.keyring.put(HOME, fresh("not-ours"), "agentspawn/some-token")
    assert refusal.value.code == "forbidden.policy"
    await server.keyring.remove(HOME, agent)


async def test_the_server_has_no_right_to_read_a_secret(cluster: Cluster) -> None:
    async with cluster.plane.connection(cluster.server_token).session() as session:
        for path in (SECRETS.collection(HOME), SECRETS.item(HOME, "sub-a-agentspawn")):
            async with session.get(path) as response:
                assert response.status == 403

"""What became of a subagent stands beside it, where the cluster's own tools show it."""

from typing import Any

import pytest

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Subagent
from tests.contracts.stages import KubernetesStage, Stage, fresh, manifest
from tests.faults.cluster import HOME


async def make(stage: Stage) -> Subagent:
    id_ = fresh()
    return await stage.world.agents.create(stage.root, id_, manifest(stage.root, id_))


async def events_of(stage: KubernetesStage, agent: Subagent) -> list[dict[str, Any]]:
    """As `kubectl describe` asks for them."""
    path = f"/api/v1/namespaces/{HOME}/events?fieldSelector=involvedObject.uid%3D{agent.uid}"
    found = await stage.cluster.get(path)
    assert found is not None
    return list(found["items"])


async def test_what_is_told_is_told(stage: Stage) -> None:
    agent = await make(stage)

    await stage.world.announcements.tell(agent, "Ready", "It answers with the card that was approved.")
    await stage.world.announcements.tell(agent, "Quarantined", "It was cut off.", warning=True)


async def test_it_stands_beside_the_agent(kubernetes: KubernetesStage) -> None:
    agent = await make(kubernetes)

    await kubernetes.world.announcements.tell(agent, "Ready", "It answers.")
    await kubernetes.world.announcements.tell(agent, "Quarantined", "It was cut off.", warning=True)

    events = {event["reason"]: event for event in await events_of(kubernetes, agent)}
    regarding = {"apiVersion": "kagent.dev/v1alpha2", "kind": "Agent", "namespace": HOME, "name": agent.id}
    assert {event["type"] for event in events.values()} == {"Normal", "Warning"}
    assert (events["Ready"]["message"], events["Quarantined"]["type"]) == ("It answers.", "Warning")
    for event in events.values():
        assert event["involvedObject"] == regarding | {"uid": agent.uid}
        assert event["reportingComponent"] == "agentspawn"
        assert event["reportingInstance"]


async def test_the_same_is_told_as_often_as_it_is(kubernetes: KubernetesStage) -> None:
    agent = await make(kubernetes)

    for _ in range(3):
        await kubernetes.world.announcements.tell(agent, "Crashing", "Again.")

    assert len(await events_of(kubernetes, agent)) == 3


async def test_a_long_message_is_cut_between_characters(kubernetes: KubernetesStage) -> None:
    agent = await make(kubernetes)

    await kubernetes.world.announcements.tell(agent, "Ready", "x" + "ü" * 1000)

    (event,) = await events_of(kubernetes, agent)
    assert event["message"] == "x" + "ü" * 511


async def test_what_can_not_be_told_is_said_to_be_so(kubernetes: KubernetesStage) -> None:
    with pytest.raises(Upstream):
        await kubernetes.world.announcements.tell(await make(kubernetes), "", "It has no reason.")

"""What is hard to bring about on a real API server."""

import json
from typing import Any

import pytest

from mcp_agentspawn.adapters.clock import SystemClock
from mcp_agentspawn.adapters.kubernetes.agents import KubernetesAgents
from mcp_agentspawn.adapters.kubernetes.proposals import KubernetesProposals, object_of
from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Root
from tests.adapters.kubernetes.fake_api import ROOT, Scripted
from tests.contracts.stages import proposal

GOING: dict[str, Any] = {"kind": "Agent", "metadata": {"name": "sub-a", "deletionTimestamp": "2026-11-21T12:00:00Z"}}
GONE: dict[str, Any] = {"kind": "Status", "status": "Success"}


@pytest.mark.parametrize("way", ["trial", "create"])
async def test_a_namespace_or_kind_that_is_not_there_is_a_definite_no(way: str) -> None:
    agents = KubernetesAgents(Scripted([(404, {})]).client())

    with pytest.raises(Refused) as refusal:
        await getattr(agents, way)(ROOT, "sub-a", {})

    assert refusal.value.code == "missing"


async def test_a_create_is_strict_and_the_server_gives_up_before_we_do() -> None:
    wire = Scripted([(500, {})])

    with pytest.raises(UnknownOutcome):
        await KubernetesAgents(wire.client()).create(ROOT, "sub-a", {})

    (call,) = wire.calls
    assert call.query == {"fieldValidation": "Strict", "timeout": "8s"}
    assert call.timeout_seconds > 8


async def test_a_create_whose_answer_can_not_be_read_is_unknown() -> None:
    with pytest.raises(UnknownOutcome):
        await KubernetesAgents(Scripted([(201, {"kind": "Agent"})]).client()).create(ROOT, "sub-a", {})


@pytest.mark.parametrize(("answer", "gone"), [((200, GONE), True), ((200, GOING), False), ((404, {}), True)])
async def test_a_delete_says_whether_it_is_gone_or_on_its_way(
    answer: tuple[int, dict[str, Any]], *, gone: bool
) -> None:
    wire = Scripted([answer])
    agents = KubernetesAgents(wire.client())

    assert await agents.delete(ROOT, "sub-a", "uid-1") is gone
    assert await agents.expire("subagents", "sub-a", "uid-1") is gone
    for call in wire.calls:
        assert json.loads(call.body or b"") == {"preconditions": {"uid": "uid-1"}, "propagationPolicy": "Background"}


async def test_a_trial_of_a_delete_says_so_in_its_body_which_is_all_that_is_read() -> None:
    wire = Scripted([(200, GONE), (404, {}), (503, {})])
    agents = KubernetesAgents(wire.client())

    await agents.trial_delete(ROOT, "sub-a", "uid-1")
    await agents.trial_delete(ROOT, "sub-a", "uid-1")
    with pytest.raises(Unavailable):
        await agents.trial_delete(ROOT, "sub-a", "uid-1")
    for call in wire.calls:
        assert json.loads(call.body or b"") == {"preconditions": {"uid": "uid-1"}, "dryRun": ["All"]}
        assert call.query == {"dryRun": "All"}


def standing(name: str, *, label: str, user: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "subagents",
        "uid": "1",
        "creationTimestamp": "2026-11-21T12:00:00Z",
        "labels": {"agentspawn.dev/proposal": label, "agentspawn.dev/tree": ROOT.label},
        "annotations": {"agentspawn.dev/root": user},
    }
    return {"metadata": metadata, "spec": {}}


async def test_a_label_finds_and_proves_nothing() -> None:
    forged = standing("sub-b", label="sub-b", user="agentspawn:agents:other")
    borrowed = standing("sub-c", label="sub-a", user=ROOT.virtual_user)
    page = {"metadata": {}, "items": [standing("sub-a", label="sub-a", user=ROOT.virtual_user), forged, borrowed]}
    wire = Scripted([(200, page)])
    agents = KubernetesAgents(wire.client())

    assert [found.id for found in await agents.of_root(ROOT)] == ["sub-a"]
    assert [found.id for found in await agents.of_home("subagents")] == ["sub-a", "sub-b"]
    assert [call.query["labelSelector"] for call in wire.calls] == [
        "agentspawn.dev/tree=agents.orchestrator",
        "agentspawn.dev/proposal",
    ]


async def test_a_proposal_is_its_specs_roots_whatever_its_label_says() -> None:
    spec = object_of(proposal(Root("agents", "other", "subagents")))["spec"]
    metadata = {"name": "sub-a", "uid": "1", "creationTimestamp": "2026-11-21T12:00:00Z", "resourceVersion": "1"}
    wire = Scripted([(200, {"metadata": {}, "items": [{"metadata": metadata, "spec": spec}]})])

    assert await KubernetesProposals(wire.client(), SystemClock()).of_root(ROOT) == []

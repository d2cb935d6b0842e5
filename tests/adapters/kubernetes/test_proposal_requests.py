"""How what became of a proposal is sent."""

from mcp_agentspawn.adapters.kubernetes.proposals import KubernetesProposals, object_of
from tests.adapters.kubernetes.fake_api import ROOT, Scripted
from tests.builders import FixedClock
from tests.contracts.stages import proposal

WRITTEN = {"uid": "uid-1", "resourceVersion": "7", "creationTimestamp": "2026-11-21T12:00:00Z"}


async def test_a_field_that_the_api_server_does_not_know_is_refused_and_not_dropped() -> None:
    mine = proposal(ROOT, version="6")
    made = object_of(mine)
    wire = Scripted([(200, {**made, "metadata": {**made["metadata"], **WRITTEN}})])
    proposals = KubernetesProposals(wire.client(), FixedClock())

    await proposals.create(mine)
    await proposals.mark(mine, "ready", reason="card")
    await proposals.note_crashes(mine, 3)

    assert [(call.method, call.query) for call in wire.calls] == [
        (method, {"fieldValidation": "Strict"}) for method in ("POST", "PUT", "PUT")
    ]

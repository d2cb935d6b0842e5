"""A decision as it is stored, found and shown."""

from typing import Any

import pytest

from tests.deploy.cluster import SYSTEM, Manifest
from tests.deploy.objects import approval, fresh_id, with_changes
from tests.deploy.world import Everybody

COLLECTION = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagentapprovals"


async def _decided(everyone: Everybody) -> Manifest:
    manifest = approval(fresh_id(), "alice")
    assert (await everyone.alice.create(manifest, fieldValidation="Strict")).status == 201
    return manifest


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "sub-test-other.x"},
        {"metadata.name": "x"},
        {"spec.proposal": "researcher"},
        {"spec.proposal": ""},
        {"spec.proposalUid": ""},
        {"spec.digest": ""},
        {"spec.decision": "maybe"},
        {"spec.decision": "Approve"},
        {"spec.reason": "x" * 501},
        {"spec.reason": None},
        {"spec": None},
        {"spec": {}},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_a_decision_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    answer = await everyone.alice.create(with_changes(approval(fresh_id(), "alice"), changes))

    assert (answer.status, answer.policy) == (422, "")


async def test_the_server_finds_the_decisions_on_one_proposal(everyone: Everybody) -> None:
    stored, _ = await _decided(everyone), await _decided(everyone)

    found = await everyone.server.send("GET", COLLECTION, fieldSelector=f"spec.proposal={stored['spec']['proposal']}")

    assert [item["metadata"]["name"] for item in found.body["items"]] == [stored["metadata"]["name"]]


async def test_people_see_who_decided_what(everyone: Everybody) -> None:
    table = everyone.vera.saying(("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"))

    columns = (await table.send("GET", COLLECTION)).body["columnDefinitions"]

    shown = [column["name"] for column in columns if column["priority"] == 0]
    assert shown == ["Name", "Proposal", "Decision", "Decider", "Age"]

from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.access import KubernetesAccess
from mcp_agentspawn.adapters.kubernetes.inventory import KubernetesInventory
from mcp_agentspawn.core.errors import Refused, Unavailable
from tests.adapters.kubernetes.fake_api import ROOT, Scripted, Time

PAGE: dict[str, Any] = {"metadata": {}, "items": [{"metadata": {"name": "one"}}]}


def definition(resource_version: str, *fields: str, served: bool = True) -> dict[str, Any]:
    spec = {"type": "object", "properties": {name: {"type": "string"} for name in fields}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    versions = [{"name": "v1alpha1", "served": True}, {"name": "v1alpha2", "served": served, "schema": schema}]
    return {"metadata": {"resourceVersion": resource_version}, "spec": {"versions": versions}}


async def test_what_lies_there_is_listed_again_after_two_seconds() -> None:
    wire, time = Scripted([(200, PAGE)]), Time()
    inventory = KubernetesInventory(wire.client(), time)

    for moment, asked in ((0.0, 1), (1.9, 1), (2.0, 2)):
        time.now = moment
        assert await inventory.models("subagents") == {"one"}
        assert len(wire.calls) == asked
    await inventory.models("subagents", fresh=True)
    assert len(wire.calls) == 3
    assert await inventory.tools("subagents") == {"one": frozenset()}


async def test_the_schema_is_fetched_once_and_its_version_looked_at_every_two_seconds() -> None:
    wire = Scripted([(200, definition("1")), (200, definition("1", "a")), (200, definition("1"))])
    time = Time()
    inventory = KubernetesInventory(wire.client(), time)
    manifest = {"spec": {"a": "x", "b": "y"}}

    for moment, partial in ((0.0, [True, False]), (1.9, [True, False]), (2.0, [True, False, True])):
        time.now = moment
        assert [violation.path for violation in await inventory.violations(manifest)] == ["spec.b"]
        assert [call.partial for call in wire.calls] == partial


async def test_a_schema_that_has_changed_is_fetched_again() -> None:
    wire, time = (
        Scripted([(200, definition("1")), (200, definition("1", "a")), (200, definition("2", "a", "b"))]),
        Time(),
    )
    inventory = KubernetesInventory(wire.client(), time)
    manifest = {"spec": {"a": "x", "b": "y"}}
    assert len(await inventory.violations(manifest)) == 1

    time.now = 2.0

    assert list(await inventory.violations(manifest)) == []


@pytest.mark.parametrize("answer", [(404, {}), (200, definition("1", served=False))])
async def test_a_kind_that_is_not_served_is_refused_by_name(answer: tuple[int, dict[str, Any]]) -> None:
    with pytest.raises(Refused) as refusal:
        await KubernetesInventory(Scripted([answer]).client()).violations({})

    assert refusal.value.code == "unserved"
    assert "kagent.dev/v1alpha2" in refusal.value.message


async def test_without_an_answer_there_is_no_judgement() -> None:
    time = Time()
    wire = Scripted([(200, definition("1")), (200, definition("1")), (503, {})])
    inventory = KubernetesInventory(wire.client(), time)
    await inventory.violations({})
    time.now = 2.0

    with pytest.raises(Unavailable):
        await inventory.violations({})
    with pytest.raises(Unavailable):
        await inventory.models("subagents")


async def test_what_may_be_used_is_asked_as_the_virtual_user_alone_and_kept_for_five_seconds() -> None:
    wire, time = Scripted([(201, {"status": {"allowed": True}}), (201, {"status": {"allowed": False}})]), Time()
    access = KubernetesAccess(wire.client(), time)

    assert await access.may_use(ROOT, "researcher")
    time.now = 4.9
    assert await access.may_use(ROOT, "researcher")
    time.now = 5.0
    assert not await access.may_use(ROOT, "researcher")

    assert len(wire.calls) == 2
    assert b'"user":"agentspawn:agents:orchestrator","groups":["system:authenticated"]' in (wire.calls[0].body or b"")


@pytest.mark.parametrize("status", [{}, None, {"denied": True}, {"evaluationError": "x"}])
async def test_an_answer_that_allows_nothing_is_none(status: dict[str, Any] | None) -> None:
    with pytest.raises(Unavailable):
        await KubernetesAccess(Scripted([(201, {"status": status})]).client()).may_use(ROOT, "researcher")


@pytest.mark.parametrize("allowed", [False, None, "true", 1])
async def test_only_a_plain_yes_is_one(allowed: object) -> None:
    wire = Scripted([(201, {"status": {"allowed": allowed}})])

    assert not await KubernetesAccess(wire.client()).may_use(ROOT, "researcher")

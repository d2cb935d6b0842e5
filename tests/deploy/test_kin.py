"""What else kagent makes agents of is the operators' to write, where subagents and where orchestrators live."""

import pytest

from tests.deploy.cluster import HOME, ORCHESTRATORS, Manifest, until
from tests.deploy.objects import fresh_id, model, named, subagent, tool_server, with_changes
from tests.deploy.world import STUBS, Everybody

KIN = "agentspawn-kin"
OUTSIDERS = ["orchestrator", "editor", "namespace_admin", "cluster_admin", "kagent"]
NAMESPACES = [HOME, ORCHESTRATORS]
KINDS = ["ModelConfig", "RemoteMCPServer", *STUBS]
CHANGED = {"spec": {"url": "http://evil.example/", "anything": "y", "model": "y"}}
REPORTS = {"status": {"conditions": [], "observedGeneration": 1}}


def _kin(kind: str, namespace: str) -> Manifest:
    name = fresh_id()
    if kind == "ModelConfig":
        return model(name, namespace)
    if kind == "RemoteMCPServer":
        return tool_server(name, namespace)
    return named(f"kagent.dev/{STUBS[kind]}", kind, name, namespace, spec={"anything": "x"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("outsider", ["editor", "cluster_admin", "kagent"])
async def test_nobody_else_writes_them(everyone_on_kagent: Everybody, outsider: str, namespace: str, kind: str) -> None:
    everyone, stored = everyone_on_kagent, _kin(kind, namespace)
    actor = everyone.named(outsider)
    assert (await everyone.operator.create(stored)).message == ""

    answers = [
        await actor.create(_kin(kind, namespace)),
        await actor.patch(stored, CHANGED),
        await actor.delete(stored),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, KIN)] * 3
    assert (await everyone.operator.delete(stored)).status == 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outsider", ["orchestrator", "namespace_admin"])
async def test_an_orchestrator_with_every_right_on_kagent_writes_none(
    everyone: Everybody, outsider: str, kind: str
) -> None:
    assert (await everyone.named(outsider).create(_kin(kind, HOME))).policy == KIN


async def test_the_server_reads_and_writes_none(everyone: Everybody) -> None:
    answer = await everyone.server.create(_kin("ModelConfig", HOME))

    assert (answer.status, answer.policy) == (403, "")


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("kind", ["ModelConfig", "RemoteMCPServer"])
async def test_kagents_controller_reports_and_changes_nothing(
    everyone_on_kagent: Everybody, kind: str, namespace: str
) -> None:
    everyone, stored = everyone_on_kagent, _kin(kind, namespace)
    await everyone.operator.create(stored)

    reported = await everyone.kagent.patch(stored, REPORTS, "status")
    own = await everyone.kagent.patch(stored, {"metadata": {"finalizers": ["kagent.dev/x"]}})
    changed = await everyone.kagent.patch(stored, CHANGED)

    assert (reported.status, own.status, changed.policy) == (200, 200, KIN)
    await everyone.operator.patch(stored, {"metadata": {"finalizers": None}})
    await everyone.operator.delete(stored)


@pytest.mark.parametrize("outsider", [name for name in OUTSIDERS if name != "kagent"])
async def test_nobody_else_says_what_kagent_saw(everyone: Everybody, outsider: str) -> None:
    server, agent = tool_server(fresh_id()), await everyone.spawn()
    await everyone.operator.create(server)
    forged = {"status": {"discoveredTools": [{"name": "x", "description": "x"}]}}

    tools = await everyone.named(outsider).patch(server, forged, "status")
    ready = await everyone.named(outsider).patch(agent, REPORTS, "status")

    assert (tools.policy, ready.policy) == (KIN, KIN)
    assert (await everyone.kagent.patch(agent, REPORTS, "status")).status == 200
    await everyone.operator.delete(server)


@pytest.mark.parametrize("account", ["orchestrator", "kagent", "some_account"])
async def test_no_service_account_makes_an_orchestrator(everyone: Everybody, account: str) -> None:
    """An Agent can send any Secret of its namespace, the orchestrator's credential too, to any server."""
    name = "system:serviceaccount:default:default"
    actor = everyone.cluster.person(name, "test:broad") if account == "some_account" else everyone.named(account)
    stored = subagent(fresh_id(), namespace=ORCHESTRATORS)
    await everyone.operator.create(stored)

    answers = [
        await actor.create(subagent(fresh_id(), namespace=ORCHESTRATORS)),
        await actor.patch(stored, {"spec": {"description": "mine"}}),
        await actor.delete(stored),
    ]

    assert {answer.policy for answer in answers} == {KIN}
    await everyone.operator.delete(stored)


@pytest.mark.parametrize("person", ["operator", "editor", "administrator"])
async def test_people_make_orchestrators_as_rbac_lets_them(everyone: Everybody, person: str) -> None:
    actor, agent = everyone.named(person), subagent(fresh_id(), namespace=ORCHESTRATORS)

    answers = [
        await actor.create(agent),
        await actor.patch(agent, {"spec": {"description": "mine"}}),
        await actor.delete(agent),
    ]

    assert [answer.status for answer in answers] == [201, 200, 200]


async def test_elsewhere_kagents_kinds_are_as_free_as_before(everyone: Everybody) -> None:
    server = tool_server(fresh_id(), "default")

    assert (await everyone.kagent.create(server)).status == 201
    assert (await everyone.kagent.delete(server)).status == 200


async def test_the_collector_takes_them_along_with_their_owner(everyone: Everybody) -> None:
    owner = named("v1", "ConfigMap", fresh_id())
    assert (await everyone.operator.create(owner)).status == 201
    uid = (await everyone.operator.get(owner)).body["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": uid}
    server = with_changes(tool_server(fresh_id()), {"metadata.ownerReferences": [reference]})
    assert (await everyone.operator.create(server)).status == 201

    await everyone.operator.delete(owner)

    async def gone() -> bool:
        return not await everyone.administrator.has(server)

    assert await until(gone)


@pytest.mark.parametrize("collector", ["generic-garbage-collector", "namespace-controller"])
async def test_a_collector_collects_and_does_nothing_else(everyone: Everybody, collector: str) -> None:
    """With every right, because its rights are not what holds it back."""
    actor = everyone.cluster.person(f"system:serviceaccount:kube-system:{collector}", "test:broad")
    server, agent = tool_server(fresh_id()), await everyone.spawn()
    await everyone.operator.create(server)

    for stored, policy in ((server, KIN), (agent, "agentspawn-lock")):
        refused = [
            await actor.create(with_changes(stored, {"metadata.name": fresh_id()})),
            await actor.patch(stored, {"spec": {"description": "mine"}}),
            await actor.patch(stored, {"metadata": {"labels": {"agentspawn.dev/x": "y"}}}),
            await actor.patch(stored, {"metadata": {"annotations": {"agentspawn.dev/x": "y"}}}),
        ]
        assert [answer.policy for answer in refused] == [policy] * 4
        assert (await actor.patch(stored, {"metadata": {"finalizers": ["example.com/x"]}})).status == 200
        assert (await actor.patch(stored, {"metadata": {"finalizers": None}})).status == 200
        assert (await actor.delete(stored)).status == 200

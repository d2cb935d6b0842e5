"""What bears a subagent's name, or will, is nobody's to put there beforehand."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, HOME, ORCHESTRATORS, Actor, Manifest, until
from tests.deploy.objects import fresh_id, named, with_changes
from tests.deploy.world import Everybody

RESERVED = "agentspawn-reserved"
OUTSIDERS = ["editor", "namespace_admin", "cluster_admin"]
KINDS = ["Secret", "ServiceAccount", "Service", "ConfigMap"]
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}


def _object(kind: str, name: str) -> Manifest:
    parts: dict[str, Any] = {"spec": {"ports": [{"port": 8080}]}} if kind == "Service" else {}
    return named("v1", kind, name, **parts)


def _deployment(name: str) -> Manifest:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return named("apps/v1", "Deployment", name, spec=spec)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_else_makes_or_changes_them(everyone: Everybody, outsider: str, kind: str) -> None:
    actor, stored = everyone.named(outsider), _object(kind, fresh_id())
    assert (await everyone.kagent.create(stored)).status == 201

    answers = [
        await actor.create(_object(kind, fresh_id())),
        await actor.create(_object(kind, "anything")),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, RESERVED)] * 3
    assert (await everyone.kagent.patch(stored, {"metadata": {"labels": {"x": "y"}}})).status == 200
    assert (await actor.delete(stored)).status == 200


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_else_makes_or_changes_a_deployment_with_such_a_name(everyone: Everybody, outsider: str) -> None:
    actor, stored = everyone.named(outsider), _deployment(fresh_id())
    assert (await everyone.kagent.create(stored)).status == 201
    nameless = with_changes(_deployment("x"), {"metadata.name": None, "metadata.generateName": "sub-"})

    answers = [
        await actor.create(_deployment(fresh_id())),
        await actor.patch(stored, {"spec": {"template": {"spec": {"serviceAccountName": "default"}}}}),
        await actor.send("POST", f"/apis/apps/v1/namespaces/{HOME}/deployments", nameless),
    ]

    assert [answer.policy for answer in answers] == [RESERVED] * 3
    await everyone.kagent.delete(stored)


async def test_other_deployments_are_as_free_as_before(everyone: Everybody) -> None:
    other = _deployment(fresh_id().removeprefix("sub-"))

    assert (await everyone.editor.create(other)).status == 201
    assert (await everyone.editor.delete(other)).status == 200


async def _mint(actor: Actor, account: Manifest) -> tuple[int, str]:
    answer = await actor.send(
        "POST", f"/api/v1/namespaces/{HOME}/serviceaccounts/{account['metadata']['name']}/token", TOKEN
    )
    return answer.status, answer.policy


async def test_a_subagents_token_is_its_nodes_alone(everyone: Everybody) -> None:
    account = _object("ServiceAccount", fresh_id())
    assert (await everyone.kagent.create(account)).status == 201
    node = everyone.cluster.person("system:node:one", "system:nodes")

    refused = [await _mint(everyone.named(name), account) for name in (*OUTSIDERS, "kagent")]

    assert refused == [(422, RESERVED)] * 4
    assert await _mint(node, account) == (201, "")
    assert await _mint(everyone.operator, account) == (201, "")


async def test_a_node_makes_nothing_but_tokens(everyone: Everybody) -> None:
    node = everyone.cluster.person("system:node:one", "system:nodes", BROAD)

    assert (await node.create(_object("Secret", fresh_id()))).policy == RESERVED


async def test_the_server_makes_none_of_them(everyone: Everybody) -> None:
    answer = await everyone.server.create(_object("Secret", fresh_id()))

    assert (answer.status, answer.policy) == (403, "")


@pytest.mark.parametrize("stock", [_object("ServiceAccount", "default"), _object("ConfigMap", "kube-root-ca.crt")])
async def test_what_every_namespace_has_comes_back(everyone: Everybody, stock: Manifest) -> None:
    before = await until(lambda: _uid(everyone, stock))
    await everyone.operator.delete(stock)

    async def back() -> bool:
        return await _uid(everyone, stock) not in {"", before}

    assert await until(back)


async def _uid(everyone: Everybody, manifest: Manifest) -> str:
    answer = await everyone.administrator.get(manifest)
    return str(answer.body["metadata"]["uid"]) if answer.status == 200 else ""


async def test_the_deployment_controller_does_its_work(everyone: Everybody) -> None:
    deployment = _deployment(fresh_id())
    assert (await everyone.kagent.create(deployment)).status == 201

    async def rolled_out() -> bool:
        annotations = (await everyone.administrator.get(deployment)).body["metadata"].get("annotations", {})
        return "deployment.kubernetes.io/revision" in annotations

    assert await until(rolled_out)
    await everyone.kagent.delete(deployment)


@pytest.mark.parametrize("controller", ["generic-garbage-collector", "deployment-controller"])
async def test_the_clusters_controllers_update_what_they_look_after(everyone: Everybody, controller: str) -> None:
    """The collector takes an owner off that is gone; the deployment controller rolls back."""
    actor = everyone.cluster.person(f"system:serviceaccount:kube-system:{controller}", BROAD)
    stored = [_object("Secret", fresh_id()), _deployment(fresh_id())]
    for manifest in stored:
        await everyone.kagent.create(manifest)

    answers = [await actor.patch(manifest, {"metadata": {"ownerReferences": None}}) for manifest in stored]

    assert [answer.status for answer in answers] == [200, 200]


@pytest.mark.parametrize("exempt", ["operator", "administrator", "kagent"])
async def test_operators_and_kagent_make_them(everyone: Everybody, exempt: str) -> None:
    stored = [*(_object(kind, fresh_id()) for kind in KINDS), _deployment(fresh_id())]

    assert [(await everyone.named(exempt).create(manifest)).status for manifest in stored] == [201] * 5
    assert [(await everyone.named(exempt).delete(manifest)).status for manifest in stored] == [200] * 5


async def test_where_orchestrators_live_the_rest_is_as_free_as_before(everyone: Everybody) -> None:
    secret = named("v1", "Secret", fresh_id(), ORCHESTRATORS)

    assert (await everyone.editor.create(secret)).status == 201
    assert (await everyone.editor.delete(secret)).status == 200

"""What bears a subagent's name, or will, is nobody's to put there beforehand."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, HOME, ORCHESTRATORS, Actor, Manifest, until
from tests.deploy.objects import credential, fresh_id, named, with_changes
from tests.deploy.world import Everybody

RESERVED = "agentspawn-reserved"
OUTSIDERS = ["editor", "namespace_admin", "cluster_admin"]
ACCOUNTS_TOKEN = "kubernetes.io/service-account-token"
KINDS = ["Secret", "ServiceAccount", "Service", "ConfigMap"]
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}


def _object(kind: str, name: str) -> Manifest:
    parts: dict[str, Any] = {"spec": {"ports": [{"port": 8080}]}} if kind == "Service" else {}
    return named("v1", kind, name, **parts)


def _deployment(name: str, replicas: int = 0) -> Manifest:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
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


@pytest.mark.parametrize("kind", KINDS)
async def test_the_server_makes_none_of_them(everyone: Everybody, kind: str) -> None:
    manifest = _object(kind, fresh_id())

    assert (await everyone.server.create(manifest)).status in {403, 422}
    assert (await everyone.server_with_broad_rights.create(manifest)).policy == RESERVED


async def test_the_server_makes_and_removes_the_credential_of_a_subagent(everyone: Everybody) -> None:
    secret = credential(fresh_id())

    assert (await everyone.server.create(secret)).message == ""
    assert (await everyone.server.get(secret)).status == 403
    assert (await everyone.server.send("GET", f"/api/v1/namespaces/{HOME}/secrets")).status == 403
    assert (await everyone.server.delete(secret)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "any"},
        {"metadata.name": "sub-test-other-agentspawn"},
        {"metadata.labels": None},
        {"metadata.labels": {"agentspawn.dev/proposal": "sub-test-other"}},
        {"metadata.labels.app": "kagent"},
        {"metadata.name": "-agentspawn", "metadata.labels": {"agentspawn.dev/proposal": ""}},
        {"metadata.name": "team-agentspawn", "metadata.labels": {"agentspawn.dev/proposal": "team"}},
        {"metadata.annotations": {"x": "y"}},
        {"metadata.annotations": {"kubernetes.io/service-account.name": "default"}, "type": ACCOUNTS_TOKEN},
        {"metadata.finalizers": ["example.com/never"]},
        {"metadata.ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]},
        {"type": "bootstrap.kubernetes.io/token"},
        {"data": None},
        {"data": {"password": "eA=="}},
        {"data.more": "eA=="},
    ],
    ids=str,
)
async def test_the_server_makes_no_secret_of_another_form(everyone: Everybody, changes: dict[str, Any]) -> None:
    answer = await everyone.server.create(with_changes(credential(fresh_id()), changes))

    assert answer.status == 422
    assert answer.policy == RESERVED or "metadata.name" in answer.message


async def test_the_server_changes_no_credential_and_removes_no_other_secret(everyone: Everybody) -> None:
    own, other, disguised = credential(fresh_id()), _object("Secret", fresh_id()), credential(fresh_id())
    disguised = with_changes(disguised, {"metadata.labels": None})
    await everyone.server.create(own)
    for manifest in (other, disguised):
        assert (await everyone.operator.create(manifest)).status == 201

    changed = await everyone.server_with_broad_rights.patch(own, {"data": {"token": "eA=="}})
    removed = [await everyone.server.delete(manifest) for manifest in (other, disguised)]
    many = await everyone.server_with_broad_rights.send("DELETE", f"/api/v1/namespaces/{HOME}/secrets")

    assert [answer.policy for answer in (changed, *removed, many)] == [RESERVED] * 4
    for manifest in (own, other, disguised):
        await everyone.operator.delete(manifest)


@pytest.mark.parametrize("squatter", [*OUTSIDERS, "kagent", "deployment_controller", "collector"])
async def test_nobody_else_puts_a_credential_there_or_changes_one(everyone: Everybody, squatter: str) -> None:
    """Not even whoever may write other Secrets here: what lies under that name is what the agent shows the server."""
    controllers = {"deployment_controller": "deployment-controller", "collector": "generic-garbage-collector"}
    system = f"system:serviceaccount:kube-system:{controllers.get(squatter)}"
    actor = everyone.cluster.person(system, BROAD) if squatter in controllers else everyone.named(squatter)
    stored = credential(fresh_id())
    await everyone.server.create(stored)

    answers = [
        await actor.create(credential(fresh_id())),
        await actor.create(_object("Secret", f"{fresh_id()}-agentspawn")),
        await actor.patch(stored, {"data": {"token": "eA=="}}),
        await actor.apply(with_changes(stored, {"data": {"token": "eA=="}})),
    ]

    assert [answer.policy for answer in answers] == [RESERVED] * 4
    await everyone.operator.delete(stored)


async def test_a_credential_that_is_removed_in_the_foreground_is_gone(everyone: Everybody) -> None:
    secret = credential(fresh_id())
    await everyone.server.create(secret)

    await everyone.server.delete(secret, propagationPolicy="Foreground")

    async def gone() -> bool:
        return not await everyone.administrator.has(secret)

    assert await until(gone)


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

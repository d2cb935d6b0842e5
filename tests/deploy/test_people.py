"""People freeze, unfreeze and reset, in their own name; nothing that runs in the cluster does."""

from typing import Any

import pytest

from mcp_agentspawn.localplane import ControlPlane, install
from mcp_agentspawn.localplane.errors import InstallFailed
from tests.deploy.cluster import BROAD, EXTRA, KAGENT, MASTERS, SERVER, SYSTEM, Manifest
from tests.deploy.objects import freeze, fresh_id, reset, virtual_user, with_changes
from tests.deploy.world import DEPLOY, Everybody, manifests_of

PEOPLE = "agentspawn-people"
RESETS = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/spawnresets"
FREEZES = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/spawnfreezes"
SHIPPED = manifests_of(DEPLOY / "23-freezes.yaml")
NO_PERSONS: dict[str, tuple[str, ...]] = {
    "an orchestrator": ("system:serviceaccount:agents:mallory", "system:serviceaccounts"),
    "the server": (SERVER,),
    "the server with every right": (SERVER, MASTERS),
    "kagent's controller": (KAGENT, "system:serviceaccounts"),
    "a root": (virtual_user("mallory"),),
    "a node": ("system:node:one", "system:nodes"),
    "a node with every right": ("system:node:one", MASTERS),
    "an account's groups": ("frida", "system:serviceaccounts:agents"),
    "a part of the system": ("system:kube-scheduler",),
}


async def _frozen_elsewhere(everyone: Everybody, *, frozen: bool = True) -> Manifest:
    """A freeze of a namespace that has no subagents."""
    return await everyone.frida.store(freeze(f"namespace.{fresh_id()}", "frida", frozen=frozen))


async def _reset(everyone: Everybody) -> Manifest:
    return await everyone.frida.store(reset(fresh_id(), "frida"))


async def test_an_operator_freezes_unfreezes_and_forgets_in_their_own_name(everyone: Everybody) -> None:
    stored = await _frozen_elsewhere(everyone)

    assert (await everyone.frida.patch(stored, {"spec": {"frozen": False}})).status == 200
    assert (await everyone.frida.delete(stored)).status == 200


@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_neither_freezes_nor_unfreezes(everyone: Everybody, who: str) -> None:
    user, *groups = NO_PERSONS[who]
    actor, stored = everyone.cluster.person(user, BROAD, *groups), await _frozen_elsewhere(everyone)

    answers = [
        await actor.create(freeze(f"namespace.{fresh_id()}", user)),
        await actor.patch(stored, {"spec": {"frozen": False, "by": user}}),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
        await actor.delete(stored),
        await actor.send("DELETE", FREEZES),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, PEOPLE)] * 5
    await everyone.frida.delete(stored)


@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_resets_nothing(everyone: Everybody, who: str) -> None:
    user, *groups = NO_PERSONS[who]
    actor, stored = everyone.cluster.person(user, BROAD, *groups), await _reset(everyone)

    created = await actor.create(reset(fresh_id(), user))
    changed = await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}})
    removed = await actor.delete(stored)

    assert (created.policy, changed.policy) == (PEOPLE, PEOPLE)
    assert (removed.status, removed.policy) == ((200, "") if user == SERVER else (422, PEOPLE))


@pytest.mark.parametrize("actor", ["editor", "namespace_admin", "orchestrator", "server", "alice", "vera"])
async def test_whoever_has_no_role_for_it_switches_nothing(everyone: Everybody, actor: str) -> None:
    stored, somebody = await _frozen_elsewhere(everyone), everyone.named(actor)

    answers = [
        await somebody.create(freeze(f"namespace.{fresh_id()}", actor)),
        await somebody.patch(stored, {"spec": {"frozen": False, "by": actor}}),
        await somebody.delete(stored),
        await somebody.create(reset(fresh_id(), actor)),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(403, "")] * 4
    await everyone.frida.delete(stored)


@pytest.mark.parametrize("by", ["alice", "Frida", "installation", SERVER])
async def test_nobody_switches_in_anothers_name(everyone: Everybody, by: str) -> None:
    stored = await _frozen_elsewhere(everyone)

    answers = [
        await everyone.frida.create(freeze(f"namespace.{fresh_id()}", by)),
        await everyone.frida.patch(stored, {"spec": {"frozen": False, "by": by}}),
        await everyone.frida.create(reset(fresh_id(), by)),
    ]

    assert [answer.policy for answer in answers] == [PEOPLE] * 3
    await everyone.frida.delete(stored)


async def test_whoever_switches_after_another_says_so(everyone: Everybody) -> None:
    stored = await _frozen_elsewhere(everyone)

    silent = await everyone.cluster_admin.patch(stored, {"spec": {"frozen": False}})
    honest = await everyone.cluster_admin.patch(stored, {"spec": {"frozen": False, "by": "eve"}})
    labelled = await everyone.frida.patch(stored, {"metadata": {"labels": {"x": "y"}}})

    assert (silent.policy, honest.status, labelled.status) == (PEOPLE, 200, 200)
    await everyone.frida.delete(stored)


@pytest.mark.parametrize("lasting", SHIPPED, ids=lambda manifest: manifest["metadata"]["name"])
async def test_nobody_says_that_another_left_it_as_it_is(everyone: Everybody, lasting: Manifest) -> None:
    answer = await everyone.frida.patch(lasting, {"spec": {"by": "alice", "reason": "All is well."}})

    assert answer.policy == PEOPLE


@pytest.mark.parametrize("user", ["root", "system:admin"])
async def test_an_administrator_is_a_person(everyone: Everybody, user: str) -> None:
    administrator = everyone.cluster.person(user, MASTERS)
    stored = freeze(f"namespace.{fresh_id()}", user)

    assert (await administrator.create(stored)).status == 201
    assert (await administrator.delete(stored)).status == 200


async def test_a_person_who_stands_in_for_a_root_switches_nothing(everyone: Everybody) -> None:
    frida = everyone.frida.saying((EXTRA, fresh_id()))

    assert (await frida.create(freeze(f"namespace.{fresh_id()}", "frida"))).policy == PEOPLE


@pytest.mark.parametrize("actor", ["frida", "administrator", "operator", "cluster_admin", "server_with_every_right"])
@pytest.mark.parametrize("lasting", SHIPPED, ids=lambda manifest: manifest["metadata"]["name"])
async def test_what_the_policy_rests_on_is_never_deleted(everyone: Everybody, actor: str, lasting: Manifest) -> None:
    answer = await everyone.named(actor).delete(lasting)

    assert (answer.status, answer.policy) == (422, PEOPLE)


@pytest.mark.parametrize("part", ["finalizers", "ownerReferences"])
async def test_a_freeze_and_a_reset_have_no_owner_and_no_finalizer(everyone: Everybody, part: str) -> None:
    """A made-up owner would have the collector delete it."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}
    mark = {f"metadata.{part}": ["example.com/never"] if part == "finalizers" else [owner]}

    answers = [
        await everyone.frida.create(with_changes(freeze(f"namespace.{fresh_id()}", "frida"), mark)),
        await everyone.frida.create(with_changes(reset(fresh_id(), "frida"), mark)),
        await everyone.administrator.patch(SHIPPED[0], {"metadata": {part: mark[f"metadata.{part}"]}}),
    ]

    assert [answer.policy for answer in answers] == [PEOPLE] * 3


@pytest.mark.parametrize("namespace", ["subagents", "default", "agents"])
async def test_switches_lie_with_the_server_alone(everyone: Everybody, namespace: str) -> None:
    place = {"metadata.namespace": namespace}
    eve = everyone.cluster_admin

    answers = [
        await eve.create(with_changes(freeze("everywhere", "eve", frozen=False), place)),
        await eve.create(with_changes(reset(fresh_id(), "eve"), place)),
    ]

    assert [answer.policy for answer in answers] == [PEOPLE, PEOPLE]


@pytest.mark.parametrize(
    ("actor", "touching", "changing"),
    [("frida", (403, ""), 403), ("administrator", (422, PEOPLE), 422), ("cluster_admin", (422, PEOPLE), 422)],
)
async def test_a_reset_never_changes_and_operators_have_no_right_to(
    everyone: Everybody, actor: str, touching: tuple[int, str], changing: int
) -> None:
    stored = await _reset(everyone)

    touched = await everyone.named(actor).patch(stored, {"metadata": {"labels": {"x": "y"}}})
    changed = await everyone.named(actor).patch(stored, {"spec": {"counts": False, "account": "7d5c"}})

    assert (touched.status, touched.policy) == touching
    assert (changed.status, changed.policy) == (changing, "")


async def test_a_reset_is_removed_by_people_and_by_the_server(everyone: Everybody) -> None:
    stored = [await _reset(everyone), await _reset(everyone)]

    assert (await everyone.frida.delete(stored[0])).status == 200
    assert (await everyone.server.delete(stored[1])).status == 200
    assert (await everyone.server.create(stored[0])).status == 403
    assert (await everyone.server.send("GET", RESETS)).status == 200


async def _apply_again(plane: ControlPlane) -> None:
    await install(plane.admin, [DEPLOY / "23-freezes.yaml"])


async def test_installing_again_changes_nothing_and_ends_no_freeze(
    everyone: Everybody, control_plane: ControlPlane
) -> None:
    everywhere = SHIPPED[0]
    await _apply_again(control_plane)
    switched = freeze("everywhere", "frida")
    assert (await everyone.frida.patch(everywhere, {"spec": switched["spec"]})).status == 200
    try:
        with pytest.raises(InstallFailed, match=PEOPLE):
            await _apply_again(control_plane)
    finally:
        await everyone.frida.patch(everywhere, {"spec": {"frozen": False}})
    await _apply_again(control_plane)
    assert (await everyone.vera.get(everywhere)).body["spec"] == everywhere["spec"]


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "everything"},
        {"metadata.name": "namespace.other"},
        {"metadata.name": "namespace."},
        {"spec.namespace": ""},
        {"spec.root": "agents/mallory"},
        {"spec.root": "agents/mallory", "spec.namespace": "", "metadata.name": "root.agents.trudy"},
        {"spec.root": "mallory", "spec.namespace": "", "metadata.name": "root.mallory"},
        {"spec.frozen": None},
        {"spec.frozen": "yes"},
        {"spec.by": ""},
        {"spec.reason": "x" * 501},
        {"spec": None},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_a_freeze_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    answer = await everyone.frida.create(with_changes(freeze("namespace.elsewhere", "frida"), changes))

    assert (answer.status, answer.policy) == (422, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "agents.other.x"},
        {"metadata.name": "agents.mallory"},
        {"spec.root": "mallory"},
        {"spec.counts": False},
        {"spec.account": "x" * 65},
        {"spec.by": ""},
        {"spec": None},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_a_reset_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    answer = await everyone.frida.create(with_changes(reset("mallory", "frida"), changes))

    assert (answer.status, answer.policy) == (422, "")

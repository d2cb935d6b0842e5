"""An answer to the tool calls of a task is a person's own, whom RBAC lets answer that very task."""

from typing import Any

import pytest

from tests.deploy.cluster import BROAD, EXTRA, MASTERS, SERVER, SYSTEM, Actor, Manifest, until
from tests.deploy.objects import answer, fresh_handle, virtual_user, with_changes
from tests.deploy.strangers import MALLORY, NO_PERSONS
from tests.deploy.world import DORAS_TASK, Everybody

ANSWERS = "agentspawn-answers"
COLLECTION = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagenttaskanswers"


async def _answered(everyone: Everybody, **changes: Any) -> Manifest:
    manifest = answer(fresh_handle(), "alice", **changes)
    said = await everyone.alice.create(manifest, fieldValidation="Strict")
    assert said.status == 201, said.message
    return manifest


@pytest.mark.parametrize("decision", ["approve", "reject"])
@pytest.mark.parametrize("person", ["alice", "bob"])
async def test_an_approver_answers_in_their_own_name(everyone: Everybody, person: str, decision: str) -> None:
    manifest = answer(fresh_handle(), person, decision=decision, reason="Looks right. " * 38)

    said = await everyone.named(person).create(manifest, fieldValidation="Strict")

    assert (said.status, said.body["spec"]) == (201, manifest["spec"])


@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_answers_nothing(everyone: Everybody, who: str) -> None:
    user, *groups = NO_PERSONS[who]
    actor = everyone.cluster.person(user, BROAD, *groups)

    said = [await actor.create(answer(fresh_handle(), name)) for name in (user, "alice")]

    assert [(one.status, one.policy) for one in said] == [(422, ANSWERS)] * 2


@pytest.mark.parametrize("who", NO_PERSONS)
async def test_what_is_no_person_takes_no_answer_back(everyone: Everybody, who: str) -> None:
    user, *groups = NO_PERSONS[who]
    stored = await _answered(everyone)

    said = await everyone.cluster.person(user, BROAD, *groups).delete(stored)

    assert (said.status, said.policy) == ((200, "") if user == SERVER else (422, ANSWERS))


async def test_an_orchestrators_token_has_no_right_on_answers_and_none_on_tasks(everyone: Everybody) -> None:
    stored = await _answered(everyone)
    tasks = COLLECTION.replace("subagenttaskanswers", "subagenttasks")

    said = [
        await everyone.orchestrator.create(answer(fresh_handle(), MALLORY)),
        await everyone.orchestrator.send("GET", COLLECTION),
        await everyone.orchestrator.send("GET", tasks),
        await everyone.orchestrator.delete(stored),
        await everyone.root(fresh_handle()).create(answer(fresh_handle(), virtual_user("mallory"))),
        await everyone.server.create(answer(fresh_handle(), SERVER)),
    ]

    assert [(one.status, one.policy) for one in said] == [(403, "")] * 6


async def test_a_person_who_stands_in_for_a_root_answers_nothing(everyone: Everybody) -> None:
    handle = fresh_handle()
    keys = [(EXTRA, handle), ("Impersonate-Extra-agentspawn.dev%2Fother", "x")]

    said = [await everyone.alice.saying(key).create(answer(handle, "alice")) for key in keys]

    assert [one.policy for one in said] == [ANSWERS, ANSWERS]


@pytest.mark.parametrize("decider", ["bob", "Alice", "alice ", "", "system:serviceaccount:agents:mallory"])
async def test_nobody_answers_in_anothers_name(everyone: Everybody, decider: str) -> None:
    said = await everyone.alice.create(answer(fresh_handle(), decider))

    assert said.status == 422
    assert said.policy == ANSWERS or "spec.decider" in said.message


async def test_not_even_an_administrator_answers_in_anothers_name(everyone: Everybody) -> None:
    administrator = everyone.cluster.person("root", MASTERS)

    assert (await administrator.create(answer(fresh_handle(), "alice"))).policy == ANSWERS
    assert (await administrator.create(answer(fresh_handle(), "root"))).status == 201


async def test_who_may_store_answers_and_not_answer_answers_nothing(everyone: Everybody) -> None:
    said = [
        await everyone.carol.create(answer(fresh_handle(), "carol", decision=word)) for word in ("approve", "reject")
    ]

    assert [(one.status, one.policy) for one in said] == [(422, ANSWERS)] * 2


async def test_a_right_to_answer_one_task_is_none_to_answer_another(everyone: Everybody) -> None:
    other = await everyone.dora.create(answer(fresh_handle(), "dora"))
    disguised = await everyone.dora.create(answer(fresh_handle(), "dora", task=DORAS_TASK))
    own = await everyone.dora.create(answer(DORAS_TASK, "dora"))

    assert (other.policy, disguised.status, own.status) == (ANSWERS, 422, 201)
    assert (await everyone.dora.delete(answer(DORAS_TASK, "dora"))).status == 200


@pytest.mark.parametrize("actor", ["vera", "frida"])
async def test_who_does_not_decide_sees_no_answers_and_stores_none(everyone: Everybody, actor: str) -> None:
    stored, somebody = await _answered(everyone), everyone.named(actor)

    assert (await somebody.get(stored)).status == 403
    assert (await somebody.create(answer(fresh_handle(), actor))).status == 403
    assert (await somebody.delete(stored)).status == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]},
        {"metadata.finalizers": ["example.com/never"]},
        {"metadata.generateName": "task-"},
    ],
    ids=str,
)
async def test_an_answer_has_no_owner_no_finalizer_and_a_written_name(
    everyone: Everybody, changes: dict[str, Any]
) -> None:
    said = await everyone.alice.create(with_changes(answer(fresh_handle(), "alice"), changes))

    assert (said.status, said.policy) == (422, ANSWERS)


async def test_a_name_that_the_api_server_would_choose_for_an_answer_is_refused(everyone: Everybody) -> None:
    handle = fresh_handle()
    manifest = with_changes(answer(handle, "alice"), {"metadata.name": None, "metadata.generateName": f"{handle}.x"})

    assert (await everyone.alice.send("POST", COLLECTION, manifest)).policy == ANSWERS


@pytest.mark.parametrize("namespace", ["subagents", "default", "agents"])
async def test_answers_lie_with_the_server_alone(everyone: Everybody, namespace: str) -> None:
    manifest = with_changes(answer(fresh_handle(), "eve"), {"metadata.namespace": namespace})

    assert (await everyone.cluster_admin.create(manifest)).policy == ANSWERS


@pytest.mark.parametrize("actor", ["alice", "administrator", "operator", "cluster_admin", "server_with_every_right"])
@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"x": "y"}}},
        {"metadata": {"annotations": {"x": "y"}}},
        {"metadata": {"finalizers": ["example.com/never"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}},
    ],
    ids=str,
)
async def test_nobody_touches_an_answer(everyone: Everybody, actor: str, change: Any) -> None:
    stored = await _answered(everyone)

    said = await everyone.named(actor).patch(stored, change)

    assert said.policy == ANSWERS or (actor, said.status) == ("alice", 403)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"decision": "reject"}},
        {"spec": {"digest": "sha256:9"}},
        {"spec": {"taskUid": "other"}},
        {"spec": {"decider": "bob"}},
        {"spec": {"reason": "Another"}},
        {"spec": {"decider": None}},
        {"spec": None},
        [{"op": "remove", "path": "/spec"}],
    ],
    ids=str,
)
async def test_an_answer_never_changes_whatever_becomes_of_the_policy(everyone: Everybody, change: Any) -> None:
    """The kind itself refuses it, before any policy is asked."""
    stored = await _answered(everyone)

    said = await everyone.administrator.patch(stored, change)

    assert (said.status, said.policy) == (422, "")


@pytest.mark.parametrize("actor", ["bob", "administrator", "operator", "cluster_admin", "kagent"])
async def test_an_answer_is_taken_back_by_nobody_else(everyone: Everybody, actor: str) -> None:
    stored = await _answered(everyone)

    one = await everyone.named(actor).delete(stored)
    many = await everyone.named(actor).send("DELETE", COLLECTION)

    assert one.policy == ANSWERS
    assert many.policy == ANSWERS or (actor, many.status) == ("bob", 403)


async def test_who_answered_takes_it_back(everyone: Everybody) -> None:
    stored = await _answered(everyone)

    assert (await everyone.alice.delete(stored)).status == 200
    assert not await everyone.administrator.has(stored)


async def test_the_server_clears_old_answers_away(everyone: Everybody) -> None:
    stored = await _answered(everyone)

    assert (await everyone.server.delete(stored)).status == 200


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_an_answer_that_was_taken_back_is_gone_however_that_spreads(everyone: Everybody, policy: str) -> None:
    """In the foreground the collector takes its own finalizer off, and an answer that stays would still count."""
    stored = await _answered(everyone)

    await everyone.alice.delete(stored, propagationPolicy=policy)

    async def gone() -> bool:
        return not await everyone.administrator.has(stored)

    assert await until(gone, seconds=60)  # the collector learns of a new kind after half a minute


@pytest.mark.parametrize("collector", ["generic-garbage-collector", "namespace-controller"])
async def test_a_collector_collects_and_answers_nothing(everyone: Everybody, collector: str) -> None:
    name = f"system:serviceaccount:kube-system:{collector}"
    actor: Actor = everyone.cluster.person(name, BROAD)
    stored = await _answered(everyone)

    refused = [
        await actor.create(answer(fresh_handle(), name)),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
    ]

    assert [one.policy for one in refused] == [ANSWERS] * 2
    assert (await actor.delete(stored)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": f"task-{'e' * 32}.x"},
        {"metadata.name": "x"},
        {"spec.task": "sub-test-1"},
        {"spec.task": "task-1"},
        {"spec.task": ""},
        {"spec.taskUid": ""},
        {"spec.digest": ""},
        {"spec.decision": "deny"},
        {"spec.decision": "Approve"},
        {"spec.reason": "x" * 501},
        {"spec.reason": None},
        {"spec": None},
        {"spec": {}},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_an_answer_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    said = await everyone.alice.create(with_changes(answer(fresh_handle(), "alice"), changes))

    assert (said.status, said.policy) == (422, "")


async def test_the_server_finds_the_answers_about_one_task(everyone: Everybody) -> None:
    stored, _ = await _answered(everyone), await _answered(everyone)

    found = await everyone.server.send("GET", COLLECTION, fieldSelector=f"spec.task={stored['spec']['task']}")

    assert [item["metadata"]["name"] for item in found.body["items"]] == [stored["metadata"]["name"]]


async def test_people_see_who_answered_what(everyone: Everybody) -> None:
    table = everyone.alice.saying(("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"))

    columns = (await table.send("GET", COLLECTION)).body["columnDefinitions"]

    shown = [column["name"] for column in columns if column["priority"] == 0]
    assert shown == ["Name", "Task", "Decision", "Decider", "Age"]

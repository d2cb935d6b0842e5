"""Tasks: written by the server alone, given once, and ended for good."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.deploy.cluster import SYSTEM, Answer, Manifest, until
from tests.deploy.objects import fresh_handle, named, task, with_changes
from tests.deploy.world import Everybody

OWN, KIND = "agentspawn-own", "count/subagenttasks.agentspawn.dev"
OUTSIDERS = ["administrator", "operator", "cluster_admin", "kagent"]
ENDS = ["completed", "canceled", "failed", "rejected"]
COLLECTION = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagenttasks"
QUOTA = named("v1", "ResourceQuota", "agentspawn", SYSTEM)
CALL = {"id": "call-1", "tool": "fetch", "arguments": "{}"}
ARTIFACT = {"id": "artifact-1", "name": "report.pdf", "mediaType": "application/pdf", "bytes": 7}
FULL: dict[str, Any] = {
    "state": "input_required",
    "remote": "remote-1",
    "sent": ["message-1"],
    "asks": "tool_approval",
    "pending": [CALL],
    "result": "Some words",
    "truncated": True,
    "artifacts": [ARTIFACT],
    "reason": "task.some_code",
    "tries": 2,
    "counted": False,
    "changedAt": "2030-01-01T00:00:00.000000Z",
    "endedAt": "2030-01-01T00:00:00.000000Z",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _counted(on_reduced: Everybody) -> AsyncIterator[None]:
    """Until the quota's controller has counted, the API server refuses everything that the quota limits."""

    async def counted() -> bool:
        return KIND in (await on_reduced.administrator.get(QUOTA)).body.get("status", {}).get("used", {})

    assert await until(counted, seconds=60)
    yield
    await on_reduced.server_with_every_right.send("DELETE", COLLECTION)


async def _given(everyone: Everybody) -> Manifest:
    return await everyone.server.store(task(fresh_handle()))


async def _say(everyone: Everybody, stored: Manifest, status: dict[str, Any]) -> Answer:
    """Write a status as the server does, whole."""
    current = (await everyone.server.get(stored)).body
    return await everyone.server.replace({**current, "status": status}, "status")


@pytest.mark.parametrize("outsider", OUTSIDERS)
async def test_nobody_but_the_server_writes_a_task(everyone: Everybody, outsider: str) -> None:
    actor, stored = everyone.named(outsider), await _given(everyone)

    answers = [
        await actor.create(task(fresh_handle())),
        await actor.patch(stored, {"metadata": {"labels": {"x": "y"}}}),
        await actor.patch(stored, {"status": {"state": "completed"}}, "status"),
        await actor.delete(stored),
        await actor.send("DELETE", COLLECTION),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(422, OWN)] * 5


@pytest.mark.parametrize("actor", ["orchestrator", "alice", "frida", "vera", "editor", "namespace_admin"])
async def test_whoever_has_no_role_for_it_writes_no_task(everyone: Everybody, actor: str) -> None:
    stored, somebody = await _given(everyone), everyone.named(actor)

    answers = [
        await somebody.create(task(fresh_handle())),
        await somebody.patch(stored, {"status": {"state": "completed"}}, "status"),
        await somebody.delete(stored),
    ]

    assert [(answer.status, answer.policy) for answer in answers] == [(403, "")] * 3


async def test_a_root_and_a_subagents_account_write_no_task(everyone: Everybody) -> None:
    handle = fresh_handle()

    assert (await everyone.root_with_every_right(handle).create(task(handle))).policy == OWN
    subagent = everyone.cluster.person("system:serviceaccount:subagents:sub-a-1", "test:broad")
    assert (await subagent.create(task(handle))).policy == OWN


@pytest.mark.parametrize("namespace", ["subagents", "default", "agents"])
async def test_not_even_the_server_writes_tasks_elsewhere(everyone: Everybody, namespace: str) -> None:
    assert (await everyone.server_with_every_right.create(task(fresh_handle(), namespace))).policy == OWN


async def test_those_who_answer_see_tasks_and_others_do_not(everyone: Everybody) -> None:
    stored = await _given(everyone)

    assert [(await everyone.named(who).get(stored)).status for who in ("alice", "bob")] == [200, 200]
    assert [(await everyone.named(who).get(stored)).status for who in ("vera", "frida", "orchestrator")] == [403] * 3


async def test_a_new_task_is_submitted_whatever_it_says(everyone: Everybody) -> None:
    manifest = task(fresh_handle()) | {"status": FULL}
    await everyone.server.create(manifest)

    assert (await everyone.server.get(manifest)).body["status"] == {"state": "submitted"}


async def test_all_that_became_of_it_is_stored(everyone: Everybody) -> None:
    stored = await _given(everyone)

    answer = await _say(everyone, stored, FULL)

    assert (answer.status, answer.body["status"]) == (200, FULL)


async def test_nothing_else_is_stored(everyone: Everybody) -> None:
    stored = await _given(everyone)
    current = (await everyone.server.get(stored)).body
    path = f"{COLLECTION}/{stored['metadata']['name']}/status"
    more = {**current, "status": {**FULL, "message": "what was said"}}

    answer = await everyone.server.send("PUT", path, more, fieldValidation="Strict")

    assert (answer.status, "message" in answer.body.get("status", {})) == (400, False)
    assert "unknown field" in answer.message
    longer = task(fresh_handle(), message="what was said")
    assert (await everyone.server.create(longer, fieldValidation="Strict")).status == 400


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"root": "agents/trudy"}},
        {"spec": {"parent": "sub-other"}},
        {"spec": {"namespace": "elsewhere"}},
        {"spec": {"agent": "sub-other"}},
        {"spec": {"agentUid": "other"}},
        {"spec": {"template": "other"}},
        {"spec": {"context": "other"}},
        {"spec": {"registryEntry": "main/acme/other@v1#sha256:0"}},
        {"spec": {"sent": ["message-2"]}},
        {"spec": {"givenAt": "2030-01-01T00:00:00.000000Z"}},
        {"spec": {"parent": None}},
        {"spec": None},
        [{"op": "remove", "path": "/spec"}],
        [{"op": "replace", "path": "/spec", "value": {}}],
    ],
    ids=str,
)
async def test_what_a_task_was_given_with_never_changes(everyone: Everybody, change: Any) -> None:
    stored = await _given(everyone)

    answer = await everyone.server_with_every_right.patch(stored, change)

    assert (answer.status, answer.policy) == (422, "")
    assert (await everyone.server.get(stored)).body["spec"] == stored["spec"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("later", ["submitted", "working", "input_required", *ENDS, None])
async def test_a_task_that_has_ended_stays_so(everyone: Everybody, end: str, later: str | None) -> None:
    stored = await _given(everyone)
    assert (await _say(everyone, stored, {"state": end})).status == 200

    change = {"status": {"state": later}} if later else {"status": None}
    answer = await everyone.server_with_every_right.patch(stored, change, "status")

    assert answer.status == (200 if later == end else 422)
    assert (await everyone.server.get(stored)).body["status"]["state"] == end


async def test_a_task_goes_back_and_forth_until_it_ends(everyone: Everybody) -> None:
    stored = await _given(everyone)

    for state in ("working", "input_required", "submitted", "working", "completed"):
        assert (await _say(everyone, stored, {"state": state})).body["status"] == {"state": state}


async def test_what_is_left_to_do_about_an_ended_task_is_no_change_of_its_end(everyone: Everybody) -> None:
    stored = await _given(everyone)
    await _say(everyone, stored, {"state": "failed"})

    assert (await _say(everyone, stored, {"state": "failed", "counted": True})).body["status"]["counted"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "done"},
        {"asks": "anything"},
        {"remote": "x" * 1025},
        {"sent": ["x"] * 1001},
        {"sent": [""]},
        {"sent": ["x" * 65]},
        {"pending": [CALL] * 65},
        {"pending": [{"id": "x", "tool": "x"}]},
        {"pending": [{**CALL, "arguments": "x" * 16385}]},
        {"pending": [{**CALL, "tool": "x" * 1025}]},
        {"pending": [{**CALL, "id": "x" * 1025}]},
        {"result": "x" * 70001},
        {"truncated": "yes"},
        {"artifacts": [ARTIFACT] * 65},
        {"artifacts": [{**ARTIFACT, "bytes": -1}]},
        {"artifacts": [{**ARTIFACT, "id": "x" * 1025}]},
        {"artifacts": [{**ARTIFACT, "name": "x" * 1025}]},
        {"artifacts": [{**ARTIFACT, "mediaType": "x" * 257}]},
        {"artifacts": [{"id": "x"}]},
        {"reason": "x" * 257},
        {"tries": -1},
        {"counted": "yes"},
        {"changedAt": "now"},
        {"endedAt": "now"},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_what_became_of_a_task_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    stored = await _given(everyone)

    assert (await _say(everyone, stored, FULL | changes)).status == 422


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata.name": "task-1"},
        {"metadata.name": f"task-{'A' * 32}".lower() + "b"},
        {"metadata.name": f"task-{'g' * 32}"},
        {"metadata.name": "sub-test-1"},
        {"spec.root": "orchestrator"},
        {"spec.root": "agents/" + "x" * 247},
        {"spec.parent": "x" * 41},
        {"spec.namespace": ""},
        {"spec.namespace": "x" * 64},
        {"spec.agent": "researcher"},
        {"spec.agent": "sub-" + "a" * 37},
        {"spec.agentUid": ""},
        {"spec.agentUid": "x" * 65},
        {"spec.template": ""},
        {"spec.template": "x" * 64},
        {"spec.registryEntry": ""},
        {"spec.registryEntry": "x" * 601},
        {"spec.context": "x" * 129},
        {"spec.sent": ["x"] * 17},
        {"spec.sent": [""]},
        {"spec.sent": ["x" * 65]},
        {"spec.givenAt": "now"},
        {"spec.context": None},
        {"spec.parent": None},
        {"spec": None},
    ],
    ids=lambda changes: str(changes)[:60],
)
async def test_what_a_task_is_given_with_keeps_its_bounds(everyone: Everybody, changes: dict[str, Any]) -> None:
    answer = await everyone.server.create(with_changes(task(fresh_handle()), changes))

    assert (answer.status, answer.policy) == (422, "")


async def test_the_largest_task_is_stored(everyone: Everybody) -> None:
    stored = await _given(everyone)
    large = {
        "result": "ü" * 32768,
        "sent": ["x" * 32] * 1000,
        "pending": [{**CALL, "arguments": "x" * 16384}] * 32,
        "artifacts": [{**ARTIFACT, "name": "x" * 1024}] * 32,
    }

    assert (await _say(everyone, stored, FULL | large)).status == 200


async def test_there_are_as_many_tasks_as_the_quota_says(everyone: Everybody) -> None:
    await _limit(everyone, 0)
    refused = await everyone.server.create(task(fresh_handle()))
    await _limit(everyone, 5000)

    assert (refused.status, "exceeded quota" in refused.message) == (403, True)
    await _given(everyone)


async def _limit(everyone: Everybody, most: int) -> None:
    await everyone.administrator.patch(QUOTA, {"spec": {"hard": {KIND: str(most)}}})

    async def counted() -> bool:
        quota = (await everyone.administrator.get(QUOTA)).body
        return bool(quota["status"]["hard"] == quota["spec"]["hard"])  # 5000 is written 5k

    assert await until(counted)


async def test_people_see_what_a_task_waits_for(everyone: Everybody) -> None:
    """What `kubectl get tasks` prints."""
    shown, more = await everyone.alice.columns(COLLECTION)

    assert (shown, more) == (["Name", "State", "Agent", "Root", "Asks", "Age"], ["Reason"])

"""How tasks and answers are asked for, and what is made of objects that no API server with our kinds gives."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcp_agentspawn.adapters.kubernetes.client import MOST_PAGES
from mcp_agentspawn.adapters.kubernetes.resources import TASKS
from mcp_agentspawn.adapters.kubernetes.task_answers import KubernetesTaskAnswers
from mcp_agentspawn.adapters.kubernetes.tasks import KubernetesTasks, object_of, task_of
from mcp_agentspawn.adapters.kubernetes.transport import MOST_BYTES
from mcp_agentspawn.core.delegation import MOST_RESULT_BYTES, Task, TaskAnswer
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome, Upstream
from tests.adapters.kubernetes.fake_api import Scripted

QUOTA = Path(__file__).resolve().parents[3] / "deploy" / "40-quota.yaml"
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
HANDLE = f"task-{'0' * 32}"
TASK = Task(HANDLE, "agents/a", "", "subagents", "sub-a", "uid-1", "researcher", "", "c", sent=("m",), changed_at=NOW)
ANSWER = TaskAnswer(f"{HANDLE}.1", HANDLE, "uid-1", "sha256:1", "approve", "alice")
METADATA = {"name": HANDLE, "uid": "uid-2", "resourceVersion": "7", "creationTimestamp": "2026-11-21T12:00:00Z"}
TAKEN = (409, {"kind": "Status", "reason": "AlreadyExists", "message": "x"})


def stored() -> tuple[int, dict[str, Any]]:
    """What the API server says that it has."""
    made = object_of(TASK)
    return 200, {**made, "metadata": {**made["metadata"], **METADATA}, "status": {"state": "submitted"}}


def page(**spec: Any) -> tuple[int, dict[str, Any]]:
    said = {"task": HANDLE, "taskUid": "u", "digest": "d", "decision": "approve", "decider": "alice", "reason": ""}
    metadata = {"name": f"{HANDLE}.1", "creationTimestamp": "2026-11-21T12:00:00Z"}
    return 200, {"metadata": {}, "items": [{"metadata": metadata, "spec": said | spec}]}


async def test_a_new_task_is_one_request() -> None:
    wire = Scripted([stored()])

    assert replace(await KubernetesTasks(wire.client()).create(TASK), uid="", version="", created_at=None) == TASK
    assert [(call.method, call.changes) for call in wire.calls] == [("POST", True)]


async def test_no_field_of_a_task_is_lost_on_the_way() -> None:
    full = task_of(stored()[1])

    assert replace(full, uid="", version="", created_at=None) == TASK
    assert full.created_at == NOW.replace(microsecond=0)


async def test_the_tasks_of_an_agent_are_selected_by_label_in_pages_that_fit_an_answer() -> None:
    wire = Scripted([(200, {"metadata": {}, "items": [stored()[1]]})])

    (found,) = await KubernetesTasks(wire.client()).of_agent("sub-a")

    assert found.agent == "sub-a"
    assert wire.calls[0].query == {"limit": str(TASKS.page), "labelSelector": "agentspawn.dev/agent=sub-a"}
    assert TASKS.page * 6 * MOST_RESULT_BYTES < MOST_BYTES  # a character may come as six, `\u003c`


def test_as_many_tasks_as_there_may_be_can_be_listed() -> None:
    quota = next(quota for quota in yaml.safe_load_all(QUOTA.read_text()) if TASKS.group in str(quota["spec"]["hard"]))

    assert int(quota["spec"]["hard"][f"count/{TASKS.plural}.{TASKS.group}"]) <= TASKS.page * MOST_PAGES


async def test_a_task_of_another_agent_is_left_out_whoever_lists_it() -> None:
    wire = Scripted([(200, {"metadata": {}, "items": [stored()[1]]})])

    assert await KubernetesTasks(wire.client()).of_agent("sub-b") == []


@pytest.mark.parametrize("odd", ["", "a,b=c", "a=b", "sub-a\n", "!sub-a", "x" * 64])
async def test_what_could_be_read_as_another_selector_of_tasks_is_never_sent(odd: str) -> None:
    wire = Scripted([page()])

    assert await KubernetesTasks(wire.client()).of_agent(odd) == []
    assert await KubernetesTaskAnswers(wire.client()).of(odd) == []
    assert wire.calls == []


async def test_a_change_is_against_the_version_that_was_read_and_of_the_status_alone() -> None:
    wire = Scripted([stored()])

    await KubernetesTasks(wire.client()).update(replace(TASK, version="6"))

    assert wire.calls[0].path.endswith(f"/subagenttasks/{HANDLE}/status")
    assert b'"resourceVersion":"6"' in (wire.calls[0].body or b"")
    assert b'"spec"' not in (wire.calls[0].body or b"")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((409, {"kind": "Status", "reason": "Conflict", "message": "x"}), Conflict),
        ((404, {"kind": "Status", "reason": "NotFound", "message": "x"}), Missing),
        ((422, {"kind": "Status", "reason": "Invalid", "message": "x"}), Refused),
        ((500, {}), UnknownOutcome),
        ((200, {"metadata": METADATA}), UnknownOutcome),
    ],
    ids=str,
)
async def test_a_change_that_fails_says_how(answer: tuple[int, dict[str, Any]], error: type[Exception]) -> None:
    with pytest.raises(error):
        await KubernetesTasks(Scripted([answer]).client()).update(TASK)


async def test_a_handle_that_is_taken_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        await KubernetesTasks(Scripted([TAKEN]).client()).create(TASK)


async def test_what_can_not_be_read_is_no_task() -> None:
    with pytest.raises(Unavailable):
        await KubernetesTasks(Scripted([(200, {"metadata": METADATA})]).client()).get(HANDLE)


async def test_the_answers_about_a_task_are_selected_by_field_and_asked_for_each_time() -> None:
    wire = Scripted([page()])
    answers = KubernetesTaskAnswers(wire.client())

    for _ in range(2):
        (found,) = await answers.of(HANDLE)

    assert found.decider == "alice"
    assert [call.query["fieldSelector"] for call in wire.calls] == [f"spec.task={HANDLE}"] * 2
    assert all("resourceVersion" not in call.query for call in wire.calls)


async def test_an_answer_about_another_task_is_left_out_whoever_lists_it() -> None:
    assert await KubernetesTaskAnswers(Scripted([page(task="task-1")]).client()).of(HANDLE) == []


async def test_an_answer_that_was_taken_back_answers_nothing_while_it_is_still_listed() -> None:
    code, body = page()
    body["items"][0]["metadata"]["deletionTimestamp"] = "2026-11-21T12:01:00Z"

    assert await KubernetesTaskAnswers(Scripted([(code, body)]).client()).of(HANDLE) == []


@pytest.mark.parametrize("decision", ["", "Approve", "deny", None, True])
async def test_what_is_neither_yes_nor_no_is_no_answer(decision: object) -> None:
    with pytest.raises(Unavailable):
        await KubernetesTaskAnswers(Scripted([page(decision=decision)]).client()).of(HANDLE)


@pytest.mark.parametrize("code", [403, 404, 429, 500])
async def test_without_the_list_there_are_not_no_answers(code: int) -> None:
    with pytest.raises(Upstream):
        await KubernetesTaskAnswers(Scripted([(code, {})]).client()).of(HANDLE)


async def test_an_answer_is_stored_under_its_name_and_removed_once() -> None:
    wire = Scripted([(404, {"kind": "Status", "reason": "NotFound", "message": "x"})])

    await KubernetesTaskAnswers(wire.client()).delete(ANSWER)

    assert wire.calls[0].path.endswith(f"/subagenttaskanswers/{HANDLE}.1")

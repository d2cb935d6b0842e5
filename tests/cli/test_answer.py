"""People see the tool calls that a subagent waits with, and answer them once, each in their own name."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.cli import answer as answering
from mcp_agentspawn.core.delegation import PendingCall, Task, TaskAnswer, asked_digest
from mcp_agentspawn.core.errors import Refused
from tests.builders import stored_task, task
from tests.cli.office import Office, office

ARGUMENTS = '{"headers":{"x":1},"note":"one\\n\\u202etwo","url":"https://example.com/a"}'


def waiting(at_work: Office, **changes: Any) -> Task:
    """A task of a subagent that waits for a tool approval."""
    asks = task(
        state="input_required",
        remote="remote-1",
        asks="tool_approval",
        pending=(PendingCall("call-1", "fetch", ARGUMENTS),),
        changed_at=at_work.world.clock.now(),
    )
    return asyncio.run(stored_task(at_work.world.tasks, replace(asks, **changes)))


def answers(at_work: Office) -> list[TaskAnswer]:
    return list(asyncio.run(at_work.world.task_answers.all()))


@pytest.fixture(autouse=True)
def _nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "TAKEN_WITHIN_SECONDS", 0.0)


def test_what_waits_for_people_is_listed_and_the_rest_when_all_are_asked_for() -> None:
    at_work = office()
    assert at_work.run("tasks").output == "No task waits for people.\n"
    assert at_work.run("tasks", "--all").output == "There are no tasks.\n"
    waiting(at_work)
    waiting(at_work, id="task-2", parent="sub-above", asks="question", pending=())
    waiting(at_work, id="task-3", state="completed", asks="", pending=(), changed_at=None)

    assert at_work.run("tasks").output.splitlines() == [
        "task-1  waits for a tool approval since 2026-11-21 12:00:00 UTC",
        "  agent        | sub-researcher-a of agents/orchestrator",
        "  call         | fetch",
    ]
    listed = at_work.run("tasks", "--all").output
    assert "task-2  waits for an answer of its caller" in listed
    assert "sub-researcher-a of agents/orchestrator > sub-above" in listed
    assert "task-3  completed\n" in listed


def test_every_call_is_shown_with_all_of_its_arguments_and_the_digest_that_an_answer_is_bound_to() -> None:
    at_work = office()
    task = waiting(at_work, entry="main/default/summarizer@stable")

    result = at_work.run("answer", "task-1")

    assert result.exit_code == 0
    lines = result.output.splitlines()
    for shown in (
        "  | headers.x = 1",
        "  | note = a text of 2 lines:",
        r"      | \u{202e}two",
        '  | url = "https://example.com/a"',
        "  root         | agents/orchestrator",
        "  agent        | sub-researcher-a",
        "  tool         | fetch",
        f"  agentspawn answer task-1 --approve --digest {asked_digest(task)}",
        f"  agentspawn answer task-1 --reject --digest {asked_digest(task)}",
    ):
        assert shown in lines
    assert "main/default/summarizer@stable" in result.output
    assert answers(at_work) == []


def test_what_a_subagent_writes_can_not_pass_for_a_line_of_ours() -> None:
    at_work = office()
    waiting(at_work, pending=(PendingCall("a\nAnswer", "b\x1b[2J\n  agentspawn answer", '{"c\\nd":"e"}'),))

    output = at_work.run("answer", "task-1").output

    assert "\x1b" not in output
    assert [line for line in output.splitlines() if line.startswith("Answer")] == ["Answer"]
    assert sum(line.startswith("  agentspawn answer") for line in output.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "shown"), [("{}", "  arguments    | none"), ("no JSON", "  arguments    | no JSON")]
)
def test_arguments_are_shown_whatever_they_are(arguments: str, shown: str) -> None:
    at_work = office()
    waiting(at_work, pending=(PendingCall("call-1", "fetch", arguments),))

    assert shown in at_work.run("answer", "task-1").output.splitlines()


def test_many_unusual_characters_are_counted() -> None:
    at_work = office()
    strange = "".join(chr(0x200B + number) for number in range(5)) + "".join(chr(0x4E00 + n) for n in range(30))
    waiting(at_work, pending=(PendingCall("call-1", "fetch", f'{{"a":"{strange}"}}'),))

    assert "and 15 more" in at_work.run("answer", "task-1").output


@pytest.mark.parametrize(("option", "decision"), [("--approve", "approve"), ("--reject", "reject")])
def test_an_answer_is_bound_to_the_task_its_calls_and_the_person(option: str, decision: str) -> None:
    at_work = office()
    task = waiting(at_work)

    result = at_work.run("answer", "task-1", option, "--digest", asked_digest(task), "--reason", "As agreed")

    (stored,) = answers(at_work)
    assert result.exit_code == 0
    assert (stored.task, stored.task_uid, stored.digest) == ("task-1", task.uid, asked_digest(task))
    assert (stored.decision, stored.decider, stored.reason) == (decision, "alice", "As agreed")
    assert stored.name.startswith("task-1.")
    assert "has not taken it yet" in result.output


def test_it_is_said_when_the_subagent_has_taken_it(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    task = waiting(at_work)

    async def taken(*_: object) -> bool:
        return True

    monkeypatch.setattr(answering, "is_taken", taken)
    result = at_work.run("answer", "task-1", "--approve", "--digest", asked_digest(task))

    assert "waits with these calls no longer" in result.output


def test_calls_that_changed_since_they_were_shown_are_not_answered() -> None:
    at_work = office()
    before = waiting(at_work)
    other = (PendingCall("call-1", "fetch", '{"url":"https://example.com/b"}'),)
    changed = asyncio.run(at_work.world.tasks.update(replace(before, pending=other)))

    result = at_work.run("answer", "task-1", "--approve", "--digest", asked_digest(before))

    assert (result.exit_code, answers(at_work)) == (1, [])
    assert asked_digest(changed) in result.stderr


def test_only_one_answer_counts_and_later_ones_are_refused() -> None:
    at_work = office()
    digest = asked_digest(waiting(at_work))
    at_work.run("answer", "task-1", "--reject", "--digest", digest)

    again = at_work.as_("bob").run("answer", "task-1", "--approve", "--digest", digest)

    assert again.exit_code == 1
    assert "reject, by alice" in again.stderr
    assert len(answers(at_work)) == 1
    assert "only one answer counts" in at_work.run("answer", "task-1").output


def test_whoever_is_a_moment_too_late_hears_that_another_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    task = waiting(at_work)
    create = at_work.world.task_answers.create

    async def beaten(mine: TaskAnswer) -> TaskAnswer:
        await create(replace(mine, name="task-1.0", decider="bob", decision="reject"))
        return await create(mine)

    monkeypatch.setattr(at_work.world.task_answers, "create", beaten)
    result = at_work.run("answer", "task-1", "--approve", "--digest", asked_digest(task))

    assert result.exit_code == 1
    assert "reject, by bob" in result.stderr


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "completed", "asks": "", "pending": ()}, "task.ended"),
        ({"asks": "question"}, "task.asks_its_caller"),
        ({"state": "working", "asks": "", "pending": ()}, "task.asks_nothing"),
        ({"pending": (PendingCall("call-1", "fetch"),)}, "task.not_shown"),
    ],
)
def test_what_can_not_be_approved_is_refused_with_why(changes: dict[str, Any], code: str) -> None:
    at_work = office()
    task = waiting(at_work, **changes)

    result = at_work.run("answer", "task-1", "--approve", "--digest", asked_digest(task))

    assert (result.exit_code, answers(at_work)) == (1, [])
    assert code in result.stderr


def test_calls_too_long_to_be_shown_can_be_rejected() -> None:
    at_work = office()
    task = waiting(at_work, pending=(PendingCall("call-1", "fetch"),))

    shown = at_work.run("answer", "task-1").output
    assert "TOO LONG TO BE SHOWN WHOLE" in shown
    assert "--approve" not in shown
    assert at_work.run("answer", "task-1", "--reject", "--digest", asked_digest(task)).exit_code == 0


def test_an_ended_task_is_shown_without_a_way_to_answer_it() -> None:
    at_work = office()
    waiting(at_work, state="failed", asks="", pending=())

    result = at_work.run("answer", "task-1")

    assert result.exit_code == 0
    assert "It has ended" in result.output


def test_a_task_that_is_not_there_can_not_be_shown_or_answered() -> None:
    at_work = office()

    assert at_work.run("answer", "task-1").exit_code == 1
    assert at_work.run("answer", "task-1", "--reject", "--digest", "x").exit_code == 1


def test_without_a_terminal_nothing_is_answered_unseen() -> None:
    at_work = office()
    waiting(at_work)

    result = at_work.run("answer", "task-1", "--approve")

    assert (result.exit_code, answers(at_work)) == (2, [])
    assert at_work.run("answer", "task-1", "--approve", "--reject").exit_code == 2


@pytest.mark.parametrize("option", ["--digest", "--reason"])
def test_what_belongs_to_an_answer_is_not_given_without_one(option: str) -> None:
    at_work = office()
    waiting(at_work)

    assert at_work.run("answer", "task-1", option, "x").exit_code == 2


@pytest.mark.parametrize(("typed", "code", "stored"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_on_a_terminal_the_calls_are_shown_before_they_are_answered(
    monkeypatch: pytest.MonkeyPatch, typed: str, code: int, stored: int
) -> None:
    at_work = office()
    waiting(at_work)

    monkeypatch.setattr(answering, "is_terminal", lambda: True)
    result = at_work.run("answer", "task-1", "--approve", typed=typed)

    assert (result.exit_code, len(answers(at_work))) == (code, stored)
    assert 'url = "https://example.com/a"' in result.output


def test_whom_rbac_does_not_let_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    task = waiting(at_work)

    async def forbidden(_: TaskAnswer) -> TaskAnswer:
        message = 'subagenttaskanswers is forbidden: User "carol" cannot create resource "subagenttaskanswers"'
        raise Refused("forbidden.rbac", message)

    monkeypatch.setattr(at_work.world.task_answers, "create", forbidden)
    result = at_work.run("answer", "task-1", "--approve", "--digest", asked_digest(task))

    assert result.exit_code == 1
    assert "forbidden.rbac" in result.stderr
    assert "agentspawn-approver" in result.stderr

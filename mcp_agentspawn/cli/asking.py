"""What `agentspawn answer` prints of a task that waits for people. Whatever is not ours stands behind a gutter."""

import json
from collections.abc import Iterator

from mcp_agentspawn.cli.escaping import escaped
from mcp_agentspawn.cli.leaves import manifest_lines
from mcp_agentspawn.cli.people import moment
from mcp_agentspawn.cli.wording import fact, handle, odd, paragraph, section, sentence
from mcp_agentspawn.core.answering import unanswerable
from mcp_agentspawn.core.delegation import PendingCall, Task, TaskAnswer, asked_digest

STRANGERS = "THE CALLS BELOW ARE WHAT THE SUBAGENT'S MODEL WROTE, whatever they say of themselves"
TOO_LONG = "ITS ARGUMENTS ARE TOO LONG TO BE SHOWN WHOLE: it can only be rejected"


def lines(task: Task, answer: TaskAnswer | None) -> Iterator[str]:
    """The whole page; `answer` is the one that counts, if there is one already."""
    yield from _summary(task)
    yield from section("Who asked for it", _asking(task))
    yield from section(f"Calls that wait: {len(task.pending)}", _calls(task))
    yield from section("Answer", _answer(task, answer))


def short(task: Task) -> Iterator[str]:
    """It on a few lines."""
    since = f" since {moment(task.changed_at)}" if task.changed_at else ""
    yield f"{escaped(task.id)}  {_state(task)}{since}"
    whose = f"{task.root} > {task.parent}" if task.parent else task.root
    yield from fact("agent", f"{task.agent} of {whose}")
    for call in task.pending:
        yield from fact("call", call.tool)


def _state(task: Task) -> str:
    if task.asks:
        return f"waits for {'a tool approval' if task.asks == 'tool_approval' else 'an answer of its caller'}"
    return task.state


def _summary(task: Task) -> Iterator[str]:
    yield from fact("task", task.id)
    since = f" since {moment(task.changed_at)}" if task.changed_at else ""
    yield from fact("state", f"{_state(task)}{since}")
    yield from odd("they hold", (text for call in task.pending for text in (call.id, call.tool, call.arguments)))
    if task.pending:
        yield from sentence("beware", STRANGERS)


def _asking(task: Task) -> Iterator[str]:
    yield from fact("agent", task.agent)
    yield from fact("namespace", task.home)
    yield from fact("template", task.template)
    if task.entry:
        yield from fact("registry", "made of the entry")
        yield from handle(task.entry, "  ")
    yield from fact("root", task.root)
    yield from fact("parent", task.parent or "none: the root itself gave it")


def _calls(task: Task) -> Iterator[str]:
    for call in task.pending:
        yield from fact("call", call.id)
        yield from fact("tool", call.tool)
        yield from _arguments(call)


def _arguments(call: PendingCall) -> Iterator[str]:
    if not call.arguments:
        yield from sentence("beware", TOO_LONG)
        return
    try:
        empty = not json.loads(call.arguments)
    except (ValueError, RecursionError):
        yield from fact("arguments", call.arguments)
        return
    yield from fact("arguments", "none" if empty else "")
    yield from () if empty else manifest_lines(call.arguments)


def _answer(task: Task, answer: TaskAnswer | None) -> Iterator[str]:
    if problem := unanswerable(task):
        yield from paragraph(problem.message)
        return
    if answer and answer.decided_at:
        yield from fact(answer.decision, f"{answer.decider}, {moment(answer.decided_at)}")
        yield from paragraph("It was answered already; only one answer counts.")
        return
    digest = asked_digest(task)
    yield f"  {escaped(digest)}"
    yield from paragraph("It is over this task and these calls, byte for byte; not over this page.")
    for choice in ("approve", "reject"):
        if unanswerable(task, "approve" if choice == "approve" else "reject") is None:
            yield f"  agentspawn answer {escaped(task.id)} --{choice} --digest {escaped(digest)}"

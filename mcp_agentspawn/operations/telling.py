"""Say something to a subagent for a task: written down before it is sent, so that it is sent once."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from mcp_agentspawn.core.answering import counting
from mcp_agentspawn.core.delegation import Address, Message, Report, Task, TaskAnswer, message_id
from mcp_agentspawn.core.errors import Conflict, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.moments import is_over
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.operations.storing import store

UNKNOWN_AFTER = timedelta(seconds=90)
"""Longer than a message can be on its way: one whose answer was lost is given up then."""
STORED_AFTER_SECONDS = (0.5, 2.0, 8.0)
"""An API server that is started anew is away for about so long."""
MOST_SENT = 64


class Unheard(Unavailable):
    """The agent has surely not taken the message."""


async def bring_answer(services: Services, task: Task, trace: str) -> Task:
    """Send the first answer that a person gave to these very calls; none leaves the task as it is."""
    answer = counting(task, await services.task_answers.of(task.id))
    if answer is None:
        return task
    id_ = _not_yet_sent(services.clock.now(), task, answer)
    return await services.later.finish(_bring(services, task, answer, id_, trace)) if id_ else task


def _not_yet_sent(now: datetime, task: Task, answer: TaskAnswer) -> str:
    """The id under which this answer is to be sent now; `""` when it was sent.

    What may have been sent is sent again only when the agent waits with these very calls for so long that it was not;
    one that has stopped to, and asks for the same under the same ids once more, is not answered by an old word.
    """
    ids = (message_id(task.id, answer.name, times) for times in range(MOST_SENT))
    earlier = list(takewhile(task.sent.__contains__, ids))
    is_taken = bool(earlier) and task.sent[-1] != earlier[-1]
    if len(task.sent) >= MOST_SENT or is_taken or (earlier and not is_over(now, task.changed_at, UNKNOWN_AFTER)):
        return ""
    return message_id(task.id, answer.name, len(earlier))


async def _bring(services: Services, task: Task, answer: TaskAnswer, id_: str, trace: str) -> Task:
    claimed = await claim(services, task, id_, _answer_record(task, answer))
    if claimed is None:
        return await services.tasks.get(task.id) or task
    decisions = _decisions(task, answer)
    message = Message(id_, task.context, answer.reason, task.remote, calls=task.pending, decisions=decisions)
    return await tell(services, claimed, message, trace)


def _decisions(task: Task, answer: TaskAnswer) -> dict[str, bool]:
    """A call that could not be shown whole is never made."""
    return {call.id: answer.decision == "approve" and bool(call.arguments) for call in task.pending}


def _answer_record(task: Task, answer: TaskAnswer) -> Record:
    details = {"agent": task.agent, "decider": answer.decider, "digest": answer.digest, "answer": answer.name}
    return Record("task.answered", task.root, task.parent, task.id, outcome=answer.decision, details=details)


async def claim(services: Services, task: Task, id_: str, record: Record) -> Task | None:
    """Write down that this message is sent, before it is: in its task and in the audit, or in neither.

    `None` when somebody else has changed the task meanwhile.
    """
    try:
        claimed = await services.tasks.update(replace(task, sent=(*task.sent, id_), changed_at=services.clock.now()))
    except Conflict:
        return None
    try:
        await services.audit.write(record)
    except BaseException:  # also when this call is broken off: what was never sent must not pass for sent
        await services.later.finish(_unclaim(services, claimed, id_))
        raise
    return claimed


async def _unclaim(services: Services, task: Task, id_: str) -> None:
    """Write down that this message was not sent, whatever else became of the task meanwhile."""
    current: Task | None = task
    while current is not None and id_ in current.sent and not current.ended:
        try:
            await services.tasks.update(replace(current, sent=tuple(sent for sent in current.sent if sent != id_)))
        except Conflict:
            current = await services.tasks.get(task.id)
        else:
            return


async def tell(services: Services, task: Task, message: Message, trace: str = "") -> Task:
    """Send a claimed message for a task that waits. One that was surely not taken is no longer claimed.

    Raises `Unheard` then, `UnknownOutcome` when it may have been taken, and `Refused` when the agent said no.
    """
    try:
        report = await services.remote_agents.send(Address.of(task, trace), message)
    except Unavailable as error:
        await _unclaim(services, task, message.id)
        raise Unheard(str(error)) from error
    still_shown = bool(report.pending) and report.pending == task.pending  # what was just answered
    said = replace(report, state="working", asks="", pending=()) if still_shown else report
    current = await _stored_at_last(services, task, said)
    if current.ended and current.remote != report.remote:  # it was given up while its first words were on their way
        services.later.start(stop(services, replace(task, remote=report.remote)))
    return current


async def _stored_at_last(services: Services, task: Task, report: Report) -> Task:
    """Store what came of a message, once more after a while when it can not be: without it the work is lost."""
    for pause in STORED_AFTER_SECONDS:
        try:
            return await store(services, task, report)
        except (Unavailable, UnknownOutcome):  # one that was stored after all is a conflict then, and found
            await asyncio.sleep(pause)
    return await store(services, task, report)


async def stop(services: Services, task: Task) -> None:
    """Ask the agent to stop; whether it does changes nothing."""
    with suppress(Upstream):
        await services.remote_agents.cancel(Address.of(task), task.remote)

"""What becomes of a task: its agent is asked, a person's answer is brought to it, its end is stored and counted once.

Any replica may do it at any time: every step is a compare-and-swap on the task, and what was sent is written down
before it is sent.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from mcp_agentspawn.content.redacting import redacted
from mcp_agentspawn.core.delegation import (
    MOST_RESULT_BYTES,
    Address,
    Message,
    PendingCall,
    Report,
    Task,
    TaskAnswer,
    TaskState,
    message_id,
)
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.model import Root, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.untrusted import shown
from mcp_agentspawn.guards import TaskRules
from mcp_agentspawn.operations.answering import counting
from mcp_agentspawn.operations.outcomes import record_end
from mcp_agentspawn.operations.services import Services

UNKNOWN_AFTER = timedelta(seconds=90)
"""Longer than a message can be on its way: one whose answer was lost is given up then."""
MOST_SENT = 64
FENCE_BYTES = 512
"""Of a result, for the fence around it."""
FIRST_LOOK_SECONDS = 0.01
LOOK_AGAIN_SHARE = 0.15
"""A task is looked at again after this share of the time that it has been waited for."""
MOST_LOOK_SECONDS = 1.0
ANSWER_SETTLES_SECONDS = 2.0
"""How long an agent may still show what was just answered."""
FRESH_LOOK_SECONDS = 2.0
AT_A_TIME = 16

AGENT_GONE = "task.agent_gone"
AGENT_QUARANTINED = "task.agent_quarantined"
FORGOTTEN = "task.forgotten"
UNKNOWN_OUTCOME = "task.unknown_outcome"
UNANSWERED = "task.unanswered"
OVERDUE = "task.overdue"
CANCELED = "task.canceled"
NOT_COUNTED = frozenset({AGENT_GONE, AGENT_QUARANTINED, CANCELED})


def root_of(services: Services, task: Task) -> Root:
    """The root of the tree in which a task was given."""
    configured = (root for root in services.roots if root.name == task.root)
    return next(configured, Root.named(task.root, task.home))


async def refresh_open(services: Services, tasks: Sequence[Task]) -> None:
    """Follow up all of these that have not ended, or whose end is not counted; what fails keeps none of the others."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(task: Task) -> None:
        async with turns:
            with suppress(Upstream, TimeoutError):
                await refresh(services, task)

    await asyncio.gather(*(one(task) for task in tasks if not task.ended or not task.counted))


async def refresh(services: Services, task: Task, trace: str = "") -> Task:
    """The task as it is now; what its agent can not be asked about stays as it was. Raises `Upstream` kinds."""
    if task.ended:
        return task if task.counted else await _counted(services, task)
    if ended := await _ended_with_its_agent(services, task):
        return ended
    if overdue := _overdue(services, task):
        return await _give_up(services, task, overdue)
    if task.remote and task.asks == "tool_approval":
        with suppress(Unavailable, UnknownOutcome, Refused):  # it goes on waiting, and is looked at all the same
            task = await _bring_answer(services, task, trace)
    return await look(services, task, trace) if task.remote else task


async def follow(
    services: Services, task: Task, until: float, trace: str = "", answered: Collection[PendingCall] = ()
) -> Task:
    """Wait until the task has ended or asks something, or until this moment of the loop's time.

    `answered` are calls that were answered just now: that the agent still shows them says nothing new.
    """
    loop = asyncio.get_running_loop()
    began = looked_afresh = loop.time()
    while not task.ended and (not task.asks or _is_settling(task, answered, loop.time() - began)):
        left = until - loop.time()
        if left <= 0:
            break
        pause = max(FIRST_LOOK_SECONDS, LOOK_AGAIN_SHARE * (loop.time() - began))
        await asyncio.sleep(min(pause, MOST_LOOK_SECONDS, left))
        if not task.remote or loop.time() - looked_afresh >= FRESH_LOOK_SECONDS:
            looked_afresh = loop.time()
            task = await refresh(services, await services.tasks.get(task.id) or task, trace)
        else:
            task = await look(services, task, trace)
    return task


def _is_settling(task: Task, answered: Collection[PendingCall], seconds: float) -> bool:
    return bool(answered) and set(task.pending) == set(answered) and seconds < ANSWER_SETTLES_SECONDS


async def look(services: Services, task: Task, trace: str = "") -> Task:
    """Ask the agent once, and store what matters of what it says."""
    address = Address.of(task, root_of(services, task), trace)
    try:
        report = await services.remote_agents.look(address, task.remote)
    except Missing:
        return await end(services, task, "failed", FORGOTTEN)
    except Refused as refusal:
        return await end(services, task, "failed", f"task.{refusal.code}")
    except Unavailable:
        return task
    return await store(services, task, report)


async def store(services: Services, task: Task, report: Report) -> Task:
    """The task with what its agent reported. Stored when it has ended, asks something, or asks no longer."""
    seen = replace(
        task,
        state=report.state,
        remote=report.remote or task.remote,
        asks=report.asks,
        pending=report.pending,
        artifacts=report.artifacts,
        tries=task.tries + report.tries,
    )
    if seen.ended or seen.asks == "question":
        seen = with_result(seen, report)
    if seen.ended:
        return await _store_end(services, seen, "")
    now_waits = (seen.remote, seen.asks, seen.pending, seen.result) != (
        task.remote,
        task.asks,
        task.pending,
        task.result,
    )
    return await _stored(services, replace(seen, changed_at=services.clock.now())) if now_waits else seen


def with_result(task: Task, report: Report) -> Task:
    """With what the agent said: credentials redacted, unseen characters written out, and bounded."""
    said, _ = redacted(report.text)
    result, cut = shown(said, MOST_RESULT_BYTES - FENCE_BYTES)
    return replace(task, result=result, truncated=cut or report.truncated)


async def end(services: Services, task: Task, state: TaskState, reason: str) -> Task:
    """End a task for this reason; one that has ended meanwhile stays as it is."""
    return await _store_end(services, replace(task, state=state, asks="", pending=()), reason)


async def _store_end(services: Services, task: Task, reason: str) -> Task:
    now = services.clock.now()
    ended = replace(task, reason=reason, changed_at=now, ended_at=now, counted=reason in NOT_COUNTED)
    stored = await _stored(services, ended)
    if stored.ended and not stored.counted:
        services.later.start(_counted(services, stored))
    return stored


async def _stored(services: Services, task: Task) -> Task:
    """What is stored now: this, or what somebody else made of it meanwhile."""
    try:
        return await services.tasks.update(task)
    except Conflict:
        current = await services.tasks.get(task.id)
        if current is None:
            raise Missing(f"There is no task {task.id}.") from None
        return current


async def _counted(services: Services, task: Task) -> Task:
    """Record the end in the audit and the outcome history; the mark comes last, so that a crash loses neither."""
    reasons = (task.reason,) if task.reason else ()
    record = Record("task.ended", task.root, task.parent, task.id, outcome=task.state, reasons=reasons)
    head = await services.audit.write(replace(record, details={"agent": task.agent, "uid": task.agent_uid}))
    await record_end(services, task, head)
    return await _stored(services, replace(task, counted=True))


async def _ended_with_its_agent(services: Services, task: Task) -> Task | None:
    agent, proposal = await asyncio.gather(
        services.agents.get(task.home, task.agent), services.proposals.get(task.agent)
    )
    if _is_gone(task, agent):
        return await end(services, task, "failed", AGENT_GONE)
    if proposal is not None and proposal.phase == "quarantined":
        return await end(services, task, "failed", AGENT_QUARANTINED)
    return None


def _is_gone(task: Task, agent: Subagent | None) -> bool:
    return agent is None or agent.uid != task.agent_uid or agent.deleting


def _overdue(services: Services, task: Task) -> str:
    """Why it must not be waited for any longer; `""` when it may."""
    policy = services.rules.current().policy_for(root_of(services, task))
    rules, now = policy.tasks if policy else TaskRules(), services.clock.now()
    if not task.remote and _is_over(now, task.created_at, UNKNOWN_AFTER):
        return UNKNOWN_OUTCOME
    if task.asks and _is_over(now, task.changed_at, rules.answer_within):
        return UNANSWERED
    return OVERDUE if _is_over(now, task.created_at, rules.end_within) else ""


def _is_over(now: datetime, since: datetime | None, most: timedelta) -> bool:
    return since is not None and since + most <= now


async def _give_up(services: Services, task: Task, reason: str) -> Task:
    """End it here, and ask the agent to stop; whether it does changes nothing."""
    if task.remote:
        with suppress(Upstream):
            await services.remote_agents.cancel(Address.of(task, root_of(services, task)), task.remote)
    return await end(services, task, "failed", reason)


async def _bring_answer(services: Services, task: Task, trace: str) -> Task:
    """Send the first answer that a person gave to these very calls; none leaves the task as it is."""
    digest = asked_digest(task)
    answers = [
        one for one in await services.task_answers.of(task.id) if (one.task_uid, one.digest) == (task.uid, digest)
    ]
    if not answers:
        return task
    answer = min(answers, key=lambda one: (one.decided_at or services.clock.now(), one.name))
    id_ = _not_yet_sent(services.clock.now(), task, answer)
    return await services.later.finish(_bring(services, task, answer, id_, trace)) if id_ else task


def _not_yet_sent(now: datetime, task: Task, answer: TaskAnswer) -> str:
    """The id under which this answer is to be sent now; `""` when it was sent.

    What may have been sent is sent again only when the agent waits with these very calls for so long that it was not.
    """
    ids = (message_id(task.id, answer.name, times) for times in range(MOST_SENT))
    earlier = list(takewhile(task.sent.__contains__, ids))
    if len(task.sent) >= MOST_SENT or (earlier and not _is_over(now, task.changed_at, UNKNOWN_AFTER)):
        return ""
    return message_id(task.id, answer.name, len(earlier))


async def _bring(services: Services, task: Task, answer: TaskAnswer, id_: str, trace: str) -> Task:
    claimed = await claim(services, task, id_)
    if claimed is None:
        return await services.tasks.get(task.id) or task
    try:
        await services.audit.write(_answer_record(claimed, answer))
    except Upstream:
        await _unclaim(services, claimed, id_)
        raise
    message = Message(id_, task.context, answer.reason, task.remote, decisions=_decisions(task, answer))
    return await tell(services, claimed, message, trace)


def _decisions(task: Task, answer: TaskAnswer) -> dict[str, bool]:
    """A call that could not be shown whole is never made."""
    return {call.id: answer.decision == "approve" and bool(call.arguments) for call in task.pending}


def _answer_record(task: Task, answer: TaskAnswer) -> Record:
    details = {"agent": task.agent, "decider": answer.decider, "digest": answer.digest, "answer": answer.name}
    return Record("task.answered", task.root, task.parent, task.id, outcome=answer.decision, details=details)


async def claim(services: Services, task: Task, id_: str) -> Task | None:
    """Write down that this message is sent, before it is; `None` when somebody else has changed the task meanwhile."""
    try:
        return await services.tasks.update(replace(task, sent=(*task.sent, id_), changed_at=services.clock.now()))
    except Conflict:
        return None


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

    Raises `Unavailable` then, `UnknownOutcome` when it may have been taken, and `Refused` when the agent said no.
    """
    address = Address.of(task, root_of(services, task), trace)
    try:
        report = await services.remote_agents.send(address, message)
    except Unavailable:
        await _unclaim(services, task, message.id)
        raise
    except UnknownOutcome:
        services.later.wanted.set()
        raise
    if not report.pending or report.pending != task.pending:
        return await store(services, task, report)
    # It still shows what was just answered.
    return await store(services, task, replace(report, state="working", asks="", pending=()))

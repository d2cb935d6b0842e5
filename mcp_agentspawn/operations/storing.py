"""What is stored of a task: what its agent said of it, fit to be read, and its end, which is counted once.

Every step is a compare-and-swap on the task, so that any replica may take it at any time.
"""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from mcp_agentspawn.content.redacting import redacted
from mcp_agentspawn.core.delegation import MOST_RESULT_BYTES, Artifact, Report, Task, TaskState
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import Conflict, Missing
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.untrusted import shown
from mcp_agentspawn.operations.outcomes import record_end
from mcp_agentspawn.operations.services import Services

FENCE_BYTES = 512
"""Of a result, for the fence around it."""
MOST_WORD_CHARACTERS = 256
"""Of what a file is called, as far as it is stored."""
MOST_CHARACTERS_AT_ONCE = 8 * 1024
TAKEN = "taken"
"""Among what was sent: what comes before it has done its work, and is never sent again."""
READER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="result-reader")
"""One for all, so that who says much takes time from others who do, and from nobody else."""
TURNS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""By root: one text of each waits for it, so that a root whose subagents say much is not before all others."""
MOST_READ = 64
"""4 MiB of results, in UTF-8."""
READ: OrderedDict[tuple[str, str], tuple[str, bool]] = OrderedDict()
"""Long texts by root and hash, as they were read: a question that waits is looked at again every few seconds."""


async def store(services: Services, task: Task, report: Report) -> Task:
    """The task with what its agent reported. Stored when that is news, or was asked for in vain before."""
    seen = replace(
        task,
        state=report.state,
        remote=report.remote or task.remote,
        asks=report.asks,
        pending=report.pending,
        artifacts=tuple(map(_without_credentials, report.artifacts)),
        tries=task.tries + report.tries,
        sent=_sent_by(task, report),
    )
    if seen.ended or seen.asks == "question":
        seen = await _with_result(seen, report)
    if seen.ended:
        return await _store_end(services, seen, task.reason if seen.state == "canceled" else "")
    if _said(seen) != _said(task):
        return await stored_now(services, replace(seen, changed_at=services.clock.now()))
    return await stored_now(services, seen) if report.tries else seen


def _said(task: Task) -> tuple[object, ...]:
    """What makes it another task than before when its agent says it."""
    return task.remote, task.asks, task.pending, task.result


def _without_credentials(artifact: Artifact) -> Artifact:
    words = (artifact.id, artifact.name, artifact.media_type)
    id_, name, media_type = (redacted(word)[0][:MOST_WORD_CHARACTERS] for word in words)
    return Artifact(id_, name, media_type, artifact.bytes)


def _sent_by(task: Task, report: Report) -> tuple[str, ...]:
    """What was sent; once the calls that people were asked about wait no more, what they said of them is over."""
    waits_on = (task.asks, task.pending) == (report.asks, report.pending)
    is_noted = task.asks != "tool_approval" or waits_on or task.sent[-1:] == (TAKEN,)
    return task.sent if is_noted else (*task.sent, TAKEN)


async def _with_result(task: Task, report: Report) -> Task:
    """With what the agent said. A long text is read in a thread: a hostile one takes longer than others can wait."""
    aside = len(report.text) > MOST_CHARACTERS_AT_ONCE
    result, cut = await _fit_aside(task.root, report.text) if aside else _fit(report.text)
    return replace(task, result=result, truncated=cut or report.truncated)


async def _fit_aside(root: str, text: str) -> tuple[str, bool]:
    key = root, hash_of(text.encode(errors="surrogatepass"))
    turn = TURNS.setdefault(root, asyncio.Lock())
    async with turn:
        if key not in READ:
            READ[key] = await asyncio.get_running_loop().run_in_executor(READER, partial(_fit, text))
        READ.move_to_end(key)
        if len(READ) > MOST_READ:
            READ.popitem(last=False)
        return READ[key]


def _fit(text: str) -> tuple[str, bool]:
    """What was said: credentials redacted, unseen characters written out, and bounded."""
    said, _ = redacted(text)
    return shown(said, MOST_RESULT_BYTES - FENCE_BYTES)


async def end(services: Services, task: Task, state: TaskState, reason: str) -> Task:
    """End a task for this reason; one that has ended meanwhile stays as it is."""
    return await _store_end(services, replace(task, state=state), reason)


async def _store_end(services: Services, task: Task, reason: str) -> Task:
    now = services.clock.now()
    ended = replace(task, asks="", pending=(), reason=reason, changed_at=now, ended_at=now, counted=False)
    stored = await stored_now(services, ended)
    if stored.ended and not stored.counted:
        services.later.start(count(services, stored))
    return stored


async def stored_now(services: Services, task: Task) -> Task:
    """What is stored now: this, or what somebody else made of it meanwhile."""
    try:
        return await services.tasks.update(task)
    except Conflict:
        current = await services.tasks.get(task.id)
        if current is None:
            raise Missing(f"There is no task {task.id}.") from None
        return current


async def count(services: Services, task: Task) -> Task:
    """Record the end in the audit and the outcome history; the mark comes last, so that a crash loses neither."""
    reasons = (task.reason,) if task.reason else ()
    record = Record("task.ended", task.root, task.parent, task.id, outcome=task.state, reasons=reasons)
    head = await services.audit.write(replace(record, details={"agent": task.agent, "uid": task.agent_uid}))
    await record_end(services, task, head)
    return await stored_now(services, replace(task, counted=True))

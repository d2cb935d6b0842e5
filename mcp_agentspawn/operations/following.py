"""What becomes of a task: its agent is asked, a person's answer is brought to it, its end is stored and counted once.

Any replica may do it at any time: every step is a compare-and-swap on the task, and what was sent is written down
before it is sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from mcp_agentspawn.core.delegation import (
    AGENT_GONE,
    AGENT_QUARANTINED,
    FORGOTTEN,
    OVERDUE,
    UNANSWERED,
    UNKNOWN_OUTCOME,
    Address,
    PendingCall,
    Task,
)
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.model import Subagent
from mcp_agentspawn.core.moments import is_over
from mcp_agentspawn.guards import TaskRules
from mcp_agentspawn.operations.acting import always
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.operations.storing import count, end, store
from mcp_agentspawn.operations.telling import UNKNOWN_AFTER, bring_answer, stop

FIRST_LOOK_SECONDS = 0.003
LOOK_AGAIN_SHARE = 0.1
"""A task is looked at again after this share of the time that it has been waited for."""
MOST_LOOK_SECONDS = 1.0
ANSWER_SETTLES_SECONDS = 2.0
"""How long an agent may still show what was just answered."""
FRESH_LOOK_SECONDS = 2.0
AT_A_TIME = 16


async def refresh_open(
    services: Services, ids: Iterable[str], may_go_on: Callable[[], Awaitable[bool]] = always
) -> Sequence[BaseException]:
    """Follow up all of these that have not ended, or whose end is not counted; what fails keeps none of the others.

    It goes on for as long as `may_go_on`. Returns what failed otherwise than the world does.
    """
    turns, goes_on = asyncio.Semaphore(AT_A_TIME), True

    async def one(id_: str) -> None:
        nonlocal goes_on
        async with turns:
            goes_on = goes_on and await may_go_on()
            if not goes_on:
                return
            with suppress(Upstream, TimeoutError):
                task = await services.tasks.get(id_)
                if task is not None and not (task.ended and task.counted):
                    await refresh(services, task)

    results = await asyncio.gather(*map(one, ids), return_exceptions=True)
    return [result for result in results if result is not None]


async def refresh(services: Services, task: Task, trace: str = "") -> Task:
    """The task as it is now; what its agent can not be asked about stays as it was. Raises `Upstream` kinds."""
    if task.ended:
        return await _counted(services, task)
    if ended := await _ended_with_its_agent(services, task):
        return ended
    if overdue := _overdue(services, task):
        return await _give_up(services, task, overdue)
    if task.remote and task.asks == "tool_approval":
        with suppress(Unavailable, UnknownOutcome, Refused):  # it goes on waiting, and is looked at all the same
            task = await bring_answer(services, task, trace)
    return await look(services, task, trace) if task.remote else task


async def _counted(services: Services, task: Task) -> Task:
    """An end that can not be counted now is told all the same, and counted later."""
    if not task.counted:
        with suppress(Upstream):
            return await count(services, task)
    return task


async def follow(
    services: Services, task: Task, until: float, trace: str = "", answered: Collection[PendingCall] = ()
) -> Task:
    """Wait until the task has ended or asks something, or until this moment of the loop's time.

    `answered` are calls that were answered just now: that the agent still shows them says nothing new.
    Raises `Upstream` kinds.
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
            task = await refresh(services, await _current(services, task), trace)
        else:
            task = await look(services, task, trace)
    return task


async def _current(services: Services, task: Task) -> Task:
    """As it is stored now. Raises `Unavailable` when it was removed, since its message was not heard."""
    current = await services.tasks.get(task.id)
    if current is None:
        raise Unavailable("The task was removed while it was waited for.")
    return current


def _is_settling(task: Task, answered: Collection[PendingCall], seconds: float) -> bool:
    return bool(answered) and set(task.pending) == set(answered) and seconds < ANSWER_SETTLES_SECONDS


async def look(services: Services, task: Task, trace: str = "") -> Task:
    """Ask the agent once, and store what matters of what it says."""
    try:
        report = await services.remote_agents.look(Address.of(task, trace), task.remote)
    except Missing:
        return await end(services, task, "failed", FORGOTTEN)
    except Refused as refusal:
        return await end(services, task, "failed", f"task.{refusal.code}")
    except Unavailable:
        return task
    return await store(services, task, report)


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
    policy = services.rules.current().policy_for(task.tree)
    rules, now = policy.tasks if policy else TaskRules(), services.clock.now()
    if not task.remote and is_over(now, task.created_at, UNKNOWN_AFTER):
        return UNKNOWN_OUTCOME
    if task.asks and is_over(now, task.changed_at, rules.answer_within):
        return UNANSWERED
    return OVERDUE if is_over(now, task.created_at, rules.end_within) else ""


async def _give_up(services: Services, task: Task, reason: str) -> Task:
    """End it here, then ask the agent to stop; whether it does changes nothing."""
    ended = await end(services, task, "failed", reason)
    if ended.ended and task.remote:
        services.later.start(stop(services, task))
    return ended

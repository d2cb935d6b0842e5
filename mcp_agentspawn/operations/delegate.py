"""Give a subagent work, answer its question, or go on from a task that has ended. The same words are the same task."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace

from mcp_agentspawn.core.delegation import Message, PendingCall, Task, message_id, task_id
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.errors import Conflict, Refused, UnknownOutcome
from mcp_agentspawn.core.expiry import stands
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Phase, Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.taking import obstacle
from mcp_agentspawn.core.verdict import Outcome, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.lineage import account_recreated
from mcp_agentspawn.operations.answers import Refusal, TaskAnswered
from mcp_agentspawn.operations.descent import is_below
from mcp_agentspawn.operations.following import follow, refresh
from mcp_agentspawn.operations.handshake import greet
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse
from mcp_agentspawn.operations.services import Services, random_suffix
from mcp_agentspawn.operations.storing import end
from mcp_agentspawn.operations.tasks import UNKNOWN_TASK, answered, own_task, unanswered
from mcp_agentspawn.operations.telling import MOST_SENT, Unheard, claim, tell
from mcp_agentspawn.operations.views import phase_of

STARTS_WITHIN_SECONDS = 5.0
TOOL = "delegate_task"

UNKNOWN_AGENT = Reason("agent.unknown", "You have no such subagent.", "agent")
NOT_READY = Reason("agent.not_ready", "This subagent is not ready yet.", "agent")
GONE = Reason("agent.gone", "This subagent is gone, or on its way out.", "agent")
QUARANTINED = Reason("agent.quarantined", "This subagent is in quarantine and gets no more work.", "agent")
BUSY = Reason("task.busy", "This subagent has as many tasks as it may have at a time.", "agent")
UNREACHABLE = Reason("task.unreachable", "The subagent does not answer; it has not got your message.", "agent")
OTHER_AGENT = Reason("task.other_agent", "That task is another subagent's.", "task")
TOOL_APPROVAL = Reason(
    "task.tool_approval", "The task waits for a person's tool approval, and for nothing else.", "task"
)
NOT_WAITING = Reason("task.not_waiting", "The task asks nothing; it is still being worked on.", "task")
TOO_MANY_REPLIES = Reason(
    "task.too_many_replies", "So many answers were given to this task that it takes no more.", "task"
)
CONVERSATION = Reason(
    "task.conversation", "Another task goes on in its conversation, or may: begin anew, without a task.", "task"
)
OBSTACLES: Mapping[str, Reason] = {"busy": BUSY, "done": GONE, "conversation": CONVERSATION}
NOT_NOW: frozenset[Phase] = frozenset({"proposed", "creating", "starting"})


@dataclass(frozen=True, slots=True)
class Errand:
    """One call: who gives what work to whom, until when its result is waited for (in the loop's time)."""

    services: Services
    caller: Caller
    policy: Policy
    agent: Subagent
    proposal: Proposal
    message: str
    until: float


async def delegate(
    services: Services, caller: Caller, agent: str, message: str, task: str = "", wait_seconds: int = 0
) -> TaskAnswered | Refusal:
    """Give an own, ready subagent this work, and wait at most so long for its result.

    With `task`, the handle of an own task of that agent, its question is answered, or a new task goes on from it.
    """
    policy = services.rules.current().policy_for(caller.root)
    if policy is None:
        return await refuse(services, caller, TOOL, (NO_POLICY,))
    known = await own_task(services, caller, task) if task else None
    if task and known is None:
        return await refuse(services, caller, TOOL, (UNKNOWN_TASK,))
    if known is not None and known.agent != agent:
        return await refuse(services, caller, TOOL, (OTHER_AGENT,), subject=task)
    worker = await _worker(services, caller, agent)
    if isinstance(worker, Reason):
        outcome: Outcome = "unavailable" if worker is NOT_READY else "denied"
        return await refuse(services, caller, TOOL, (worker,), outcome=outcome, subject=_named(worker, agent))
    until = asyncio.get_running_loop().time() + wait_seconds
    errand = Errand(services, caller, policy, *worker, message, until)
    return await (_start(errand, "", "") if known is None else _go_on(errand, known))


def _named(reason: Reason, agent: str) -> str:
    """The audit names no agent that is not the caller's."""
    return "" if reason is UNKNOWN_AGENT else agent


async def _worker(services: Services, caller: Caller, id_: str) -> tuple[Subagent, Proposal] | Reason:
    """The caller's own, ready subagent of this id and its proposal, or why there is none."""
    agent, proposal, ledger, switches = await asyncio.gather(
        services.agents.get(caller.root.home, id_),
        services.proposals.get(id_),
        services.ledgers.look(caller.root.name, fresh=True),
        services.switchboard.current(),
    )
    if proposal is None or proposal.root != caller.root.name or not await is_below(services, caller, proposal.parent):
        return UNKNOWN_AGENT
    if reason := account_recreated(caller, ledger, switches):
        return reason
    phase = phase_of(proposal, agent, reserved=id_ in ledger.live)
    if phase == "quarantined" or proposal.phase in FINAL_PHASES:
        return QUARANTINED if phase == "quarantined" else GONE
    if phase == "starting" and agent is not None and agent.ready:
        proposal = await greet(services, agent, proposal)
        phase = phase_of(proposal, agent)
    if phase in NOT_NOW:
        return NOT_READY
    if agent is None or phase != "ready" or not _is_whole(services, agent, proposal) or id_ not in ledger.live:
        return QUARANTINED if phase == "quarantined" else GONE
    return agent, proposal


def _is_whole(services: Services, agent: Subagent, proposal: Proposal) -> bool:
    """Whether it is the very Agent that the proposal became, and within its time."""
    return agent.uid == proposal.agent_uid and stands(services.clock.now(), agent)


async def _start(errand: Errand, context: str, thread: str) -> TaskAnswered | Refusal:
    """Begin a new task, in this context of the agent's or one of its own; what was begun already is found again."""
    services, new = errand.services, _new(errand, context, thread)
    try:
        stored = await services.tasks.create(new)
    except Conflict:
        found = await services.tasks.get(new.id)
        if found is None:
            raise
        current = await refresh(services, found, errand.caller.trace)
        return answered(await follow(services, current, errand.until, errand.caller.trace))
    try:
        why = await _obstacle(errand, stored)
        if why is None:
            await services.audit.write(_record("task.intent", errand, stored.id))
    except BaseException:  # also when this call is broken off: what was never sent must not pass for a task
        await services.later.finish(services.tasks.delete(stored))
        raise
    if why is not None:
        await services.tasks.delete(stored)
        outcome: Outcome = "unavailable" if why is BUSY else "denied"
        return await refuse(services, errand.caller, TOOL, (why,), outcome=outcome, subject=errand.agent.id)
    message = Message(stored.sent[0], stored.context, errand.message)
    return await _sent(errand, stored, _first(errand, stored, message))


def _new(errand: Errand, context: str, thread: str) -> Task:
    agent, request = errand.agent, errand.proposal.request
    id_ = task_id(errand.caller, agent.uid, errand.message, thread)
    return Task(
        id=id_,
        root=errand.caller.root.name,
        parent=errand.caller.agent,
        home=agent.home,
        agent=agent.id,
        agent_uid=agent.uid,
        template=request.template,
        entry=request.entry,
        context=context or f"{id_}-{random_suffix()}",
        sent=(message_id(id_, errand.message),),
        changed_at=errand.services.clock.now(),
    )


async def _obstacle(errand: Errand, mine: Task) -> Reason | None:
    """Why it can not be given. Each is stored before it looks, so that never more than allowed find room."""
    known = await errand.services.tasks.of_agent(errand.agent.id)
    single = errand.proposal.grant.single_task
    return OBSTACLES.get(obstacle(mine, known, errand.policy.tasks.at_a_time, single=single))


async def _first(errand: Errand, task: Task, message: Message) -> Task:
    """Say the first words of a task; an agent that does not take them has ended it.

    What was surely not heard leaves no task, so that the same call tries again.
    """
    services = errand.services
    try:
        return await tell(services, task, message, errand.caller.trace)
    except Refused as refusal:
        return await end(services, task, "failed", f"task.{refusal.code}")
    except Unheard:
        current = await services.tasks.get(task.id)
        if current is not None and not current.ended:
            await services.tasks.delete(current)
        raise


async def _sent(
    errand: Errand, task: Task, sending: Coroutine[None, None, Task], answers: tuple[PendingCall, ...] = ()
) -> TaskAnswered | Refusal:
    """Answer with what came of the message so far; it goes on its way although this call ends before."""
    services, loop = errand.services, asyncio.get_running_loop()
    heard: asyncio.Future[Task | Exception] = loop.create_future()
    services.later.start(_hear(errand, task, sending, heard))
    await asyncio.wait({heard}, timeout=max(STARTS_WITHIN_SECONDS, errand.until - loop.time()))
    on_its_way = replace(task, state="working", asks="", pending=()) if task.asks else task
    said = heard.result() if heard.done() else on_its_way
    if isinstance(said, Unheard):
        return await refuse(
            services, errand.caller, TOOL, (UNREACHABLE,), outcome="unavailable", subject=errand.agent.id
        )
    if isinstance(said, UnknownOutcome):
        return unanswered(task)
    if isinstance(said, Exception):
        raise said
    return answered(await follow(services, said, errand.until, errand.caller.trace, answers))


async def _hear(
    errand: Errand, task: Task, sending: Coroutine[None, None, Task], heard: "asyncio.Future[Task | Exception]"
) -> None:
    try:
        said: Task | Exception = await sending
    except Exception as error:  # noqa: BLE001 - whoever waits for it raises it
        said = error
    heard.set_result(said)
    outcome = said.state if isinstance(said, Task) else type(said).__name__.lower()
    await errand.services.audit.write(replace(_record("task.outcome", errand, task.id), outcome=outcome))


async def _go_on(errand: Errand, known: Task) -> TaskAnswered | Refusal:
    """Answer the question of this task; when it has ended, begin another one in the same context."""
    services, caller = errand.services, errand.caller
    task = await refresh(services, known, caller.trace)
    if task.ended:
        return await _start(errand, task.context, task.id)
    if _is_repeated(errand, task):
        return answered(await follow(services, task, errand.until, caller.trace))
    if task.asks != "question" or len(task.sent) >= MOST_SENT:
        why = TOOL_APPROVAL if task.asks == "tool_approval" else TOO_MANY_REPLIES if task.asks else NOT_WAITING
        return await refuse(services, caller, TOOL, (why,), subject=task.id)
    id_ = message_id(task.id, errand.message, len(task.sent))
    claimed = await claim(services, task, id_, _record("task.intent", errand, task.id))
    if claimed is None:
        current = await services.tasks.get(task.id) or task
        return answered(await follow(services, current, errand.until, caller.trace))
    message = Message(id_, task.context, errand.message, task.remote, task.pending)
    return await _sent(errand, claimed, _answer(errand, claimed, message), task.pending)


async def _answer(errand: Errand, task: Task, message: Message) -> Task:
    """Answer a question. One that the agent does not take ends nothing: it was answered, or asks something else now."""
    services, trace = errand.services, errand.caller.trace
    try:
        return await tell(services, task, message, trace)
    except Refused:
        return await refresh(services, await services.tasks.get(task.id) or task, trace)


def _is_repeated(errand: Errand, task: Task) -> bool:
    """Whether these very words were given to this task last, so that they are not a new answer."""
    turn = len(task.sent) - 1
    return not task.asks and task.sent[-1:] == (message_id(task.id, errand.message, turn),)


def _record(event: str, errand: Errand, task: str) -> Record:
    details = {"agent": errand.agent.id, "uid": errand.agent.uid, "message": hash_of(errand.message.encode())}
    return Record(event, errand.caller.root.name, errand.caller.agent, task, details=details)

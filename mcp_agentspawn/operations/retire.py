"""Retire a subagent with its tree, or withdraw an open proposal. A slot is free only when its Agent is gone.

Who could go on spawning is kept from it first; then the deepest go first, and the topmost last. What is cut off stays
as evidence: a person, or time, removes it.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mcp_agentspawn.core.decisions import counted, is_denied
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, Upstream
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.text import hidden_characters
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.operations import places
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.answers import Refusal, Retired
from mcp_agentspawn.operations.descent import Member, children, depth_of, member, own, seen_since
from mcp_agentspawn.operations.refusing import refuse
from mcp_agentspawn.operations.removing import end
from mcp_agentspawn.operations.services import Services

GONE_WITHIN_SECONDS = 5.0
ENDS_WITHIN_SECONDS = 8.0
LEFT_FOR_THE_TOP_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.05
MOST_REASON_CHARACTERS = 200
AGAIN = "It is on its way out and still counts. Call retire_subagent again in a few seconds."

UNKNOWN = Reason("agent.unknown", "You have no such subagent.", "agent")
DENIED = Reason("approval.denied", "A person decided against it: it stays in sight until it expires.", "agent")
QUARANTINED = Reason(
    "agent.quarantined", "It is in quarantine and stays as evidence until a person or time removes it.", "agent"
)
UNANSWERED = Reason("agent.unanswered", "What became of something below it is not known.", "agent")


@dataclass(frozen=True, slots=True)
class Errand:
    """One call to retire: whose, why, and until when (the event loop's time) it goes on."""

    services: Services
    caller: Caller
    reason: str
    until: float


async def retire(services: Services, caller: Caller, agent: str, reason: str = "") -> Retired | Refusal:
    """Remove an own subagent and all below it; what is gone already stays gone, and says so.

    What could not be removed in time is `not_yet`, and why is in `reasons`; calling again goes on with it.
    """
    found = await own(services, caller, agent)
    if found is None:
        return await refuse(services, caller, "retire_subagent", (UNKNOWN,))
    errand = Errand(services, caller, reason, asyncio.get_running_loop().time() + ENDS_WITHIN_SECONDS)
    return await (_one if depth_of(found) == 0 else _with_tree)(errand, found)


async def _with_tree(errand: Errand, found: Member) -> Retired | Refusal:
    """Whatever can not be removed keeps none of the others: what is left has no parent any more, and goes later."""
    stored = await errand.services.proposals.get(found.id)
    if stored is not None and stored.phase == "quarantined":
        return await refuse(errand.services, errand.caller, "retire_subagent", (QUARANTINED,), subject=found.id)
    if isinstance(found, Subagent) and stored is not None and stored.phase not in {*FINAL_PHASES, "retiring"}:
        if (no := await _forbidden(errand, found)) is not None:
            return no
        await _fence(errand, found, stored)
    seen = {found.id}
    answers = await _all_below(replace(errand, until=errand.until - LEFT_FOR_THE_TOP_SECONDS), seen)
    top = await _one(errand, found)
    if isinstance(top, Refusal):
        if not isinstance(found, Subagent) or QUARANTINED in top.reasons:
            return top
        top = _left(found.id, top.reasons)  # it has said that it is retiring, so it goes all the same
    late = await _all_below(errand, seen)  # what was on its way when its parent was kept from more
    if answers or late:
        errand.services.later.wanted.set()
    return _together(top, [*answers, top, *late])


async def _forbidden(errand: Errand, found: Subagent) -> Refusal | None:
    """Why its root may not remove it. Asked first: what says that it is retiring, the server itself removes."""
    root = replace(errand.caller.root, home=found.home)
    try:
        await errand.services.agents.trial_delete(root, found.id, found.uid)
    except Refused as refusal:
        return await _refused(errand, found.id, refusal)
    return None


async def _refused(errand: Errand, id_: str, refusal: Refused) -> Refusal:
    said = Reason(f"access.{refusal.code}", refusal.message)
    return await refuse(errand.services, errand.caller, "retire_subagent", (said,), subject=id_)


async def _fence(errand: Errand, found: Subagent, stored: Proposal) -> None:
    """Say of one that stands that it is retiring: it spawns nothing more."""
    services = errand.services
    await services.audit.write(_record("retire.fence", errand, found.id, uid=found.uid))
    try:
        await services.proposals.mark(stored, "retiring", agent_uid=found.uid, reason="retired")
    except (Conflict, Missing):  # it has just been marked as something else: once more
        current = await services.proposals.get(found.id)
        if current is not None and current.phase not in {*FINAL_PHASES, "quarantined"}:
            await services.proposals.mark(current, "retiring", agent_uid=found.uid, reason="retired")


async def _all_below(errand: Errand, seen: set[str]) -> Sequence[Retired]:
    """Remove all that are below those that were seen, the deepest first; they count as seen then."""
    generations, answers = list[list[str]](), list[Retired]()
    try:
        while generation := await _children(errand, seen):
            seen.update(generation)
            generations.append(generation)
    except (Upstream, TimeoutError):
        answers.append(Retired(agent="", phase="retiring", reasons=(UNANSWERED,)))
    for generation in reversed(generations):
        answers += await asyncio.gather(*(_below(errand, id_) for id_ in generation))
    return answers


async def _children(errand: Errand, seen: Collection[str]) -> list[str]:
    if asyncio.get_running_loop().time() >= errand.until:
        raise TimeoutError
    async with asyncio.timeout_at(errand.until):
        found = await children(errand.services, errand.caller.root, seen)
    return [id_ for id_ in found if id_ not in seen]


async def _below(errand: Errand, id_: str) -> Retired:
    """Remove one of the tree; whatever goes wrong with it keeps none of the others."""
    services = errand.services
    try:
        async with asyncio.timeout_at(errand.until):
            found = await member(services, errand.caller.root, id_)
            answer = await _one(errand, found) if found else Retired(agent=id_, phase="retired", retired=(id_,))
    except (Upstream, TimeoutError):
        services.later.start(services.audit.write(_record("retire.outcome", errand, id_, outcome="unknown")))
        return _left(id_, (UNANSWERED,))
    return _left(id_, answer.reasons) if isinstance(answer, Refusal) else answer


def _left(id_: str, reasons: tuple[Reason, ...]) -> Retired:
    return Retired(agent=id_, phase="retiring", not_yet=(id_,), reasons=reasons)


def _together(top: Retired, answers: Sequence[Retired]) -> Retired:
    reasons = tuple(dict.fromkeys(reason for answer in answers for reason in answer.reasons))
    not_yet = tuple(id_ for answer in answers for id_ in answer.not_yet)
    if reasons or not_yet:
        top = replace(top, phase="retiring", next_step=AGAIN)
    retired = tuple(id_ for answer in answers for id_ in answer.retired)
    return replace(top, retired=retired, not_yet=not_yet, reasons=reasons)


async def _one(errand: Errand, found: Member) -> Retired | Refusal:
    if isinstance(found, Subagent):
        return await _delete(errand, found)
    if found.phase in FINAL_PHASES:
        return Retired(agent=found.id, phase=found.phase, retired=(found.id,), next_step="Nothing is left to do.")
    if found.phase == "proposed":
        return await _withdraw(errand, found)
    if (agent := await seen_since(errand.services, found, None)) is not None:
        return await _delete(errand, agent)
    head = await errand.services.audit.write(_record("retire.intent", errand, found.id, uid=found.agent_uid))
    return await _freed(errand, found, head)


async def _withdraw(errand: Errand, stored: Proposal) -> Retired | Refusal:
    services, caller = errand.services, errand.caller
    if is_denied(counted(stored, await services.approvals.of(stored.id, fresh=False))):
        return await refuse(services, caller, "retire_subagent", (DENIED,), subject=stored.id)
    head = await services.audit.write(_record("retire.intent", errand, stored.id))
    try:
        await services.proposals.mark(stored, "lapsed", reason=_shown(errand.reason) or "withdrawn")
    except (Conflict, Missing):
        found = await member(services, caller.root, stored.id)
        return await (_one(errand, found) if found else refuse(services, caller, "retire_subagent", (UNKNOWN,)))
    # The mark is the fence: an apply that is on its way finds it and takes its own Agent back.
    standing = await services.agents.get(stored.home, stored.id)
    if standing is not None:
        return await _delete(errand, standing)
    await places.close(services, caller.root.name, stored.id, head)
    services.later.start(services.audit.write(_record("retire.outcome", errand, stored.id, outcome="lapsed")))
    return Retired(agent=stored.id, phase="lapsed", retired=(stored.id,), next_step="The proposal is withdrawn.")


async def _delete(errand: Errand, agent: Subagent) -> Retired | Refusal:
    services, caller = errand.services, errand.caller
    stored = await services.proposals.get(agent.id)
    if stored is not None and stored.phase == "quarantined":
        return await refuse(services, caller, "retire_subagent", (QUARANTINED,), subject=agent.id)
    head = await services.audit.write(_record("retire.intent", errand, agent.id, uid=agent.uid))
    try:
        gone = await services.agents.delete(replace(caller.root, home=agent.home), agent.id, agent.uid)
    except Refused as refusal:
        return await _refused(errand, agent.id, refusal)
    announce(services, agent, "Retired", "Its caller retired it.")
    if gone or await _is_gone(errand, agent):
        return await _freed(errand, agent, head)
    await services.audit.write(_record("retire.outcome", errand, agent.id, outcome="retiring"))
    return Retired(agent=agent.id, phase="retiring", not_yet=(agent.id,), next_step=AGAIN)


async def _is_gone(errand: Errand, agent: Subagent) -> bool:
    loop = asyncio.get_running_loop()
    deadline = min(loop.time() + GONE_WITHIN_SECONDS, errand.until)
    while loop.time() < deadline:
        standing = await errand.services.agents.get(agent.home, agent.id)
        if standing is None or standing.uid != agent.uid:
            return True
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return False


async def _freed(errand: Errand, gone: Member, head: Head) -> Retired:
    services, id_ = errand.services, gone.id
    await places.release(services, replace(errand.caller.root, home=gone.home), id_, head, depth=depth_of(gone))
    services.later.start(services.audit.write(_record("retire.outcome", errand, id_, outcome="retired")))
    services.later.start(_mark(services, id_, errand.reason))
    return Retired(agent=id_, phase="retired", retired=(id_,), next_step="It is gone, and its place is free.")


async def _mark(services: Services, id_: str, reason: str) -> None:
    stored = await services.proposals.get(id_)
    if stored is not None and stored.phase not in FINAL_PHASES:
        await end(services, stored, _shown(reason))


def _shown(reason: str) -> str:
    return "" if hidden_characters(reason) else reason[:MOST_REASON_CHARACTERS]


def _record(event: str, errand: Errand, id_: str, *, outcome: str = "", uid: str = "") -> Record:
    details = {"uid": uid} if uid else {}
    return Record(event, errand.caller.root.name, errand.caller.agent, id_, outcome=outcome, details=details)

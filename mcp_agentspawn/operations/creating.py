"""From a judged proposal to its one Agent: reserve its place, create it, mark the proposal. Safe to repeat anywhere."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256

from mcp_agentspawn.core.errors import Conflict, Missing, Refused, UnknownOutcome, Upstream
from mcp_agentspawn.core.ledger import Change, Head, Ledger, Live
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Proposal, Subagent
from mcp_agentspawn.core.names import CREDENTIAL_PREFIX
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.verdict import Allow, Decision, Deny, Finding, Outcome, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations import places
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.answers import Applied, Refusal
from mcp_agentspawn.operations.refusing import refuse
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.operations.views import applied

MOST_CREDENTIALS = 8

LAPSED = Reason("proposal.lapsed", "The proposal was withdrawn or given up.")
SPENT = Reason("proposal.spent", "The proposal's one subagent has been made, and is gone.")
TAKEN = Reason("proposal.name_taken", "Another object bears the name of this subagent.")
RETRIED = Reason("proposal.retried", "Too many attempts at this proposal broke off. Propose again in two minutes.")
HELD = Decision((Finding("proposal", Allow()),))


@dataclass(frozen=True, slots=True)
class Case:
    """One proposal on its way to its agent. `nonce` is this attempt's own, and so is `token`: the agent's credential.

    `token` is empty for an agent without depth left. `since` is when this root's counts began anew.
    """

    services: Services
    caller: Caller
    policy: Policy
    proposal: Proposal
    nonce: str
    token: str = field(repr=False)
    now: datetime
    since: datetime | None
    approved_by: Sequence[str] = ()


def new_case(
    services: Services, caller: Caller, policy: Policy, proposal: Proposal, now: datetime, since: datetime | None
) -> Case:
    """An attempt of its own at this proposal."""
    token = ""
    if proposal.grant.depth > 0:
        token = f"{CREDENTIAL_PREFIX}{caller.root.name}/{proposal.id}/{secrets.token_urlsafe(32)}"
    return Case(services, caller, policy, proposal, secrets.token_hex(8), token, now, since)


async def reserve(case: Case) -> Applied | Refusal:
    """Take the proposal's place in the ledger and create its Agent, or find both done already."""
    services = case.services
    head = await services.audit.write(_record("apply.intent", case))
    place = await services.ledgers.change(case.caller.root.name, partial(_take, case, head))
    if place.outcome == "allowed":
        return await _create(case, head)
    if place.reasons in {(SPENT,), (LAPSED,)} and (agent := await standing(services, case.proposal)):
        return await _done(case, agent, head)
    return await _refuse_after_intent(case, place)


async def standing(services: Services, proposal: Proposal) -> Subagent | None:
    """The proposal's own Agent; `None` when it is not there, somebody else's, or leaving."""
    agent = await services.agents.get(proposal.home, proposal.id)
    return agent if agent is not None and _ours(proposal, agent) and not agent.deleting else None


def _take(case: Case, head: Head, ledger: Ledger) -> tuple[Ledger, Decision]:
    pruned, id_ = ledger.pruned(case.now, case.since), case.proposal.id
    if id_ in pruned.live:
        return _taken_over(case, head, pruned)
    if id_ in pruned.used or not pruned.is_open(id_):
        return ledger, _denied(SPENT if id_ in pruned.used else LAPSED)
    room = case.policy.room("apply", case.caller, pruned, case.now)
    if room.outcome != "allowed":
        return ledger, room
    agent = case.caller.agent
    live = Live(case.now, case.nonce, case.proposal.request_digest, agent, _hashes(case))
    reserved = pruned.reserved(id_, live, Change(case.now, agent))
    return reserved.claimed(case.caller.account).anchored(head), room


def _taken_over(case: Case, head: Head, ledger: Ledger) -> tuple[Ledger, Decision]:
    """This attempt takes the place over, and repair counts from now: the create may be on its way for a while.

    Which attempt's credential the agent gets is not known before: the first that stores one wins, and all are kept.
    """
    id_ = case.proposal.id
    known = ledger.live[id_]
    if len(known.credentials) >= MOST_CREDENTIALS:
        return ledger, _denied(RETRIED)
    mine = replace(known, nonce=case.nonce, at=case.now, credentials=(*known.credentials, *_hashes(case)))
    return replace(ledger, live={**ledger.live, id_: mine}).anchored(head), HELD


def _hashes(case: Case) -> tuple[str, ...]:
    return (sha256(case.token.encode()).hexdigest(),) if case.token else ()


async def _create(case: Case, head: Head) -> Applied | Refusal:
    services, proposal = case.services, case.proposal
    try:
        if case.token:
            await services.keyring.put(proposal.home, proposal.id, case.token)
        agent = await services.agents.create(case.caller.root, proposal.id, json.loads(proposal.manifest))
    except (Conflict, Refused) as error:
        found = await standing(services, proposal)
        if found is None:
            return await _give_back(case, head, error)
        agent = found
    except UnknownOutcome:
        await services.audit.write(_record("apply.outcome", case, outcome="unknown"))
        raise
    return await _done(case, agent, head)


async def _give_back(case: Case, head: Head, error: Conflict | Refused) -> Refusal:
    """Refuse with what the cluster said. A place that can not be given back now is left to repair."""
    try:
        if await _fenced(case):
            await _release(case, head)
        else:
            case.services.later.wanted.set()
    except Upstream:
        case.services.later.wanted.set()
    reason = Reason(f"access.{error.code}", error.message) if isinstance(error, Refused) else TAKEN
    return await _refuse_after_intent(case, _denied(reason))


async def _release(case: Case, head: Head) -> None:
    depth = case.proposal.grant.depth
    await places.release(case.services, case.caller.root, case.proposal.id, head, depth=depth, nonce=case.nonce)


async def _fenced(case: Case) -> bool:
    """Whether no attempt at the same proposal has made its agent, or can any more: only then is its place free."""
    services, proposal = case.services, case.proposal
    try:
        await services.proposals.mark(proposal, "lapsed", reason="refused")
    except (Conflict, Missing):
        current = await services.proposals.get(proposal.id)
        if current is not None and current.phase not in FINAL_PHASES:
            return False
    there = await services.agents.get(proposal.home, proposal.id)
    return there is None or not _ours(proposal, there)


async def _done(case: Case, agent: Subagent, head: Head) -> Applied:
    case.services.later.start(_mark(case, agent, head))
    outcome = _record("apply.outcome", case, outcome="allowed", uid=agent.uid)
    case.services.later.start(case.services.audit.write(outcome))
    return applied(case.proposal, agent)


async def _mark(case: Case, agent: Subagent, head: Head) -> None:
    services, proposal = case.services, case.proposal
    try:
        await services.proposals.mark(proposal, "starting", agent_uid=agent.uid)
        announce(services, agent, "Created", "It was approved as it is, and starts.")
    except (Conflict, Missing):
        current = await services.proposals.get(proposal.id)
        # Given up, ended, or already become another Agent: a proposal makes one, so this one is taken back.
        if current is None or current.phase in FINAL_PHASES or current.agent_uid not in {"", agent.uid}:
            await services.audit.write(_record("apply.undone", case, outcome="lapsed", uid=agent.uid))
            await _take_back(case, agent, head)


async def _take_back(case: Case, agent: Subagent, head: Head) -> None:
    if await case.services.agents.delete(case.caller.root, agent.id, agent.uid):
        await _release(case, head)
    else:
        case.services.later.wanted.set()


def _ours(proposal: Proposal, agent: Subagent) -> bool:
    return agent.request_digest == proposal.request_digest and agent.id == proposal.id


def _denied(reason: Reason) -> Decision:
    return Decision((Finding("proposal", Deny((reason,))),))


async def _refuse_after_intent(case: Case, place: Decision) -> Refusal:
    codes = tuple(reason.code for reason in place.reasons)
    outcome: Outcome = "stale" if place.reasons == (LAPSED,) else "denied"
    await case.services.audit.write(replace(_record("apply.outcome", case, outcome=outcome), reasons=codes))
    return await refuse(
        case.services, case.caller, "apply_subagent", place.reasons, outcome=outcome, subject=case.proposal.id
    )


def _record(event: str, case: Case, outcome: str = "", uid: str = "") -> Record:
    details: dict[str, str | int] = {"digest": case.proposal.digest, "nonce": case.nonce}
    details |= {"uid": uid} if uid else {}
    details |= {"approved_by": ", ".join(case.approved_by)} if case.approved_by else {}
    return Record(event, case.caller.root.name, case.caller.agent, case.proposal.id, outcome=outcome, details=details)

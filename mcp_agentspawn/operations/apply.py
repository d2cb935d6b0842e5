"""Apply a proposal: judge it again, reserve its slot, create its one Agent, mark it. Safe to repeat at any point."""

import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from mcp_agentspawn.core.digest import proposal_digest
from mcp_agentspawn.core.errors import Conflict, Missing, Refused, UnknownOutcome
from mcp_agentspawn.core.guard import Asked, Rendered, decide
from mcp_agentspawn.core.ledger import Change, Head, Ledger, Live
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Proposal, Subagent
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Allow, Decision, Deny, Finding, Outcome, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Applied, Refusal
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse, refuse_by
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.operations.views import applied

UNKNOWN = Reason("proposal.unknown", "You have no such proposal.", "proposal")
DIGEST = Reason("proposal.digest", "This is not the digest of that proposal.", "digest")
EXPIRED = Reason("proposal.expired", "The proposal's time is over.")
LAPSED = Reason("proposal.lapsed", "The proposal was withdrawn or given up.")
SPENT = Reason("proposal.spent", "The proposal's one subagent has been made, and is gone.")
DRIFTED = Reason("proposal.template_changed", "The template is no longer what was rendered.", "template")
REBUILT = Reason("proposal.manifest_changed", "This server no longer makes such manifests.")
TAKEN = Reason("proposal.name_taken", "Another object bears the name of this subagent.")
HELD = Decision((Finding("proposal", Allow()),))


@dataclass(frozen=True, slots=True)
class Case:
    """One proposal on its way to its agent. `nonce` is this attempt's own."""

    services: Services
    caller: Caller
    policy: Policy
    proposal: Proposal
    nonce: str
    now: datetime


async def apply(services: Services, caller: Caller, proposal: str, digest: str) -> Applied | Refusal:
    """Create the proposal's one Agent, or say why not. Repeating the call finds the same Agent."""
    stored = await services.proposals.get(proposal)
    if stored is None or (stored.root, stored.parent) != (caller.root.name, caller.agent):
        return await refuse(services, caller, "apply_subagent", (UNKNOWN,))
    if digest != stored.digest or proposal_digest(stored.manifest, stored.grant) != stored.digest:
        return await refuse(services, caller, "apply_subagent", (DIGEST,), subject=proposal)
    if stored.phase != "proposed":
        return await _ended(services, caller, stored)
    return await _judge(services, caller, stored)


async def _ended(services: Services, caller: Caller, stored: Proposal) -> Applied | Refusal:
    if stored.phase == "lapsed":
        return await _stale(services, caller, stored, LAPSED)
    agent = await services.agents.get(stored.home, stored.id)
    if agent is not None and _ours(stored, agent) and not agent.deleting:
        return applied(agent)
    return await refuse(services, caller, "apply_subagent", (SPENT,), subject=stored.id)


async def _judge(services: Services, caller: Caller, stored: Proposal) -> Applied | Refusal:
    rules, facts = services.rules.current(), services.facts()
    policy, template = rules.policy_for(caller.root), rules.templates.get(stored.request.template)
    if policy is None:
        return await refuse(services, caller, "apply_subagent", (NO_POLICY,), subject=stored.id)
    if stored.expires_at <= facts.now:
        return await _stale(services, caller, stored, EXPIRED)
    asked = await decide(policy.before_rendering(Asked(caller, stored.request, template), facts, "apply"))
    if template is None or asked.outcome != "allowed":
        return await refuse_by(services, caller, "apply_subagent", asked, subject=stored.id)
    rendered = _rendered(services, caller, stored, template)
    if isinstance(rendered, Reason):
        return await _stale(services, caller, stored, rendered)
    case = Case(services, caller, policy, stored, secrets.token_hex(8), facts.now)
    judged = await _decide(case, rendered)
    if judged.outcome == "allowed":
        return await _reserve(case)
    services.later.wanted.set()
    return await refuse_by(services, caller, "apply_subagent", judged, subject=stored.id)


def _rendered(services: Services, caller: Caller, stored: Proposal, template: Template) -> Rendered | Reason:
    if template.hash != stored.template_hash:
        return DRIFTED
    manifest = json.loads(stored.manifest)
    try:
        return Rendered(caller, stored.request, template, stored.id, services.kind.read(manifest), manifest)
    except Refused:
        return REBUILT


async def _decide(case: Case, rendered: Rendered) -> Decision:
    facts, ledgers = case.services.facts(), case.services.ledgers
    held = case.proposal.id in (await ledgers.look(case.caller.root.name)).live
    judged = await decide(case.policy.once_rendered(rendered, facts, "apply", reserved=held))
    if judged.outcome == "allowed" or held:
        return judged
    if case.proposal.id in (await ledgers.look(case.caller.root.name, fresh=True)).live:
        return await decide(case.policy.once_rendered(rendered, facts, "apply", reserved=True))
    return judged


async def _reserve(case: Case) -> Applied | Refusal:
    services, caller = case.services, case.caller
    head = await services.audit.write(_record("apply.intent", case))
    place = await services.ledgers.change(caller.root.name, partial(_take, case, head))
    if place.outcome == "allowed":
        return await _create(case)
    if place.reasons in {(SPENT,), (LAPSED,)}:
        agent = await services.agents.get(case.proposal.home, case.proposal.id)
        if agent is not None and _ours(case.proposal, agent) and not agent.deleting:
            return await _done(case, agent)
    return await _refuse_after_intent(case, place)


def _take(case: Case, head: Head, ledger: Ledger) -> tuple[Ledger, Decision]:
    pruned, id_ = ledger.pruned(case.now), case.proposal.id
    if id_ in pruned.live:
        # This attempt takes the place over, and repair counts from now: the create may be on its way for a while.
        mine = replace(pruned.live[id_], nonce=case.nonce, at=case.now)
        return replace(pruned, live={**pruned.live, id_: mine}).anchored(head), HELD
    if id_ in pruned.used or not pruned.is_open(id_):
        return ledger, _denied(SPENT if id_ in pruned.used else LAPSED)
    room = case.policy.room("apply", case.caller, pruned, case.now)
    if room.outcome != "allowed":
        return ledger, room
    live = Live(case.now, case.nonce, case.proposal.request_digest, case.caller.agent)
    return pruned.reserved(id_, live, Change(case.now, case.caller.agent)).anchored(head), room


async def _create(case: Case) -> Applied | Refusal:
    services, proposal = case.services, case.proposal
    try:
        agent = await services.agents.create(case.caller.root, proposal.id, json.loads(proposal.manifest))
    except (Conflict, Refused) as error:
        found = await services.agents.get(proposal.home, proposal.id)
        if found is None or found.deleting or not _ours(proposal, found):
            return await _give_back(case, error)
        agent = found
    except UnknownOutcome:
        await services.audit.write(_record("apply.outcome", case, outcome="unknown"))
        raise
    return await _done(case, agent)


async def _give_back(case: Case, error: Conflict | Refused) -> Refusal:
    services, root = case.services, case.caller.root
    if await _fenced(case):
        await services.ledgers.change(root.name, lambda ledger: (ledger.released(case.proposal.id, case.nonce), None))
    else:
        services.later.wanted.set()
    reason = Reason(f"access.{error.code}", error.message) if isinstance(error, Refused) else TAKEN
    return await _refuse_after_intent(case, _denied(reason))


async def _fenced(case: Case) -> bool:
    """Whether no attempt at the same proposal has made its agent, or can any more: only then is its place free."""
    services, proposal = case.services, case.proposal
    try:
        await services.proposals.mark(proposal, "lapsed", reason="refused")
    except (Conflict, Missing):
        current = await services.proposals.get(proposal.id)
        if current is not None and current.phase not in FINAL_PHASES:
            return False
    standing = await services.agents.get(proposal.home, proposal.id)
    return standing is None or not _ours(proposal, standing)


async def _done(case: Case, agent: Subagent) -> Applied:
    case.services.later.start(_mark(case, agent))
    outcome = _record("apply.outcome", case, outcome="allowed", uid=agent.uid)
    case.services.later.start(case.services.audit.write(outcome))
    return applied(agent)


async def _mark(case: Case, agent: Subagent) -> None:
    services, proposal = case.services, case.proposal
    try:
        await services.proposals.mark(proposal, "starting", agent_uid=agent.uid)
    except (Conflict, Missing):
        current = await services.proposals.get(proposal.id)
        # Given up, ended, or already become another Agent: a proposal makes one, so this one is taken back.
        if current is None or current.phase in FINAL_PHASES or current.agent_uid not in {"", agent.uid}:
            await services.audit.write(_record("apply.undone", case, outcome="lapsed", uid=agent.uid))
            await _take_back(case, agent)


async def _take_back(case: Case, agent: Subagent) -> None:
    services, root = case.services, case.caller.root
    if await services.agents.delete(root, agent.id, agent.uid):
        await services.ledgers.change(root.name, lambda ledger: (ledger.released(agent.id, case.nonce), None))
    else:
        services.later.wanted.set()


def _ours(proposal: Proposal, agent: Subagent) -> bool:
    return agent.request_digest == proposal.request_digest and agent.id == proposal.id


def _denied(reason: Reason) -> Decision:
    return Decision((Finding("proposal", Deny((reason,))),))


async def _stale(services: Services, caller: Caller, proposal: Proposal, reason: Reason) -> Refusal:
    return await refuse(services, caller, "apply_subagent", (reason,), outcome="stale", subject=proposal.id)


async def _refuse_after_intent(case: Case, place: Decision) -> Refusal:
    codes = tuple(reason.code for reason in place.reasons)
    outcome: Outcome = "stale" if place.reasons == (LAPSED,) else "denied"
    await case.services.audit.write(replace(_record("apply.outcome", case, outcome=outcome), reasons=codes))
    return await refuse(
        case.services, case.caller, "apply_subagent", place.reasons, outcome=outcome, subject=case.proposal.id
    )


def _record(event: str, case: Case, outcome: str = "", uid: str = "") -> Record:
    details = {"digest": case.proposal.digest, "nonce": case.nonce} | ({"uid": uid} if uid else {})
    return Record(event, case.caller.root.name, case.caller.agent, case.proposal.id, outcome=outcome, details=details)

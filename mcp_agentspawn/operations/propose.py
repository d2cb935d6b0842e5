"""Propose a subagent: render it, judge it, reserve its id in the ledger, store it. The same request is one proposal."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from mcp_agentspawn.core.digest import canonical, proposal_digest, request_digest
from mcp_agentspawn.core.errors import Conflict, Refused
from mcp_agentspawn.core.guard import Asked, Rendered, decide
from mcp_agentspawn.core.ledger import Change, Head, Ledger, Open
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Proposal, RestsOn, Risk
from mcp_agentspawn.core.ports import AgentKind, Record
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.render import grant_of, proposal_id, render
from mcp_agentspawn.core.request import Ask, resolve
from mcp_agentspawn.core.risk import PEOPLE
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Decision, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations import places
from mcp_agentspawn.operations.answers import Proposed, Refusal
from mcp_agentspawn.operations.entries import OUTCOMES, read_entry
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse, refuse_by
from mcp_agentspawn.operations.reuse import handed_out
from mcp_agentspawn.operations.services import PROPOSAL_LIFETIME, LiveFacts, Services


@dataclass(frozen=True, slots=True)
class Case:
    """One request on its way: who asks, under which policy, and the digest that finds it again.

    `since` is when this root's counts began anew; `ended` are proposals of this very request that came to their end.
    """

    services: Services
    caller: Caller
    policy: Policy
    asked: Asked
    template: Template
    digest: str
    now: datetime
    since: datetime | None
    ended: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Place:
    """What the ledger says of a request: the id that it has, how risky it is by what is on record, and until when."""

    id: str
    risk: Risk
    until: datetime


async def propose(services: Services, caller: Caller, ask: Ask) -> Proposed | Refusal:
    """Freeze a request as a proposal, or say why not. Repeating the call finds the same proposal."""
    rules = services.rules.current()
    policy = rules.policy_for(caller.root)
    if policy is None:
        return await refuse(services, caller, "propose_subagent", (NO_POLICY,))
    facts = services.facts()
    alone = resolved(policy, caller, ask, rules.templates.get(ask.template), None)
    asked = await _with_entry(services, policy, ask, alone, facts)
    if isinstance(asked, Refusal):
        return asked
    decision = await decide(policy.before_rendering(asked, facts, "propose"))
    if decision.outcome != "allowed" or asked.template is None:
        return await refuse_by(services, caller, "propose_subagent", decision)
    digest = request_digest(caller, asked.request, asked.template.hash)
    since = (await facts.switches()).counts_since(caller.root.name)
    return await _find_or_make(Case(services, caller, policy, asked, asked.template, digest, facts.now, since))


async def _with_entry(services: Services, policy: Policy, ask: Ask, asked: Asked, facts: LiveFacts) -> Asked | Refusal:
    """The same, made of its registry entry if it names one; that is read only for what is not refused without it."""
    if not ask.registry_entry:
        return asked
    caller = asked.caller
    first = await decide(policy.before_reading(asked, facts, "propose"))
    if first.outcome != "allowed":
        return await refuse_by(services, caller, "propose_subagent", first)
    entry = await read_entry(services, policy, ask.registry_entry)
    if isinstance(entry, Reason):
        outcome = OUTCOMES.get(entry.code, "denied")
        return await refuse(services, caller, "propose_subagent", (entry,), outcome=outcome)
    return resolved(policy, caller, ask, asked.template, entry)


def resolved(policy: Policy, caller: Caller, ask: Ask, template: Template | None, entry: RegistryEntry | None) -> Asked:
    """What is asked, with the tools that the policy gives for the entry's tool servers."""
    return resolve(caller, ask, template, entry, policy.registry.tools_for(entry.tool_servers) if entry else ())


async def _find_or_make(case: Case) -> Proposed | Refusal:
    known, stored = await _standing(case)
    if stored is not None:
        return await handed_out(case.services, case.caller, case.policy, stored)
    rendered = _rendered(case, known or proposal_id(case.template.name, case.services.suffix()))
    facts = case.services.facts()
    decision = await decide(case.policy.once_rendered(rendered, facts, "propose", reserved=bool(known)))
    if decision.outcome != "denied":
        return await _open(case, rendered, await _rests_on(case, facts))
    _, stored = await _standing(case, fresh=True)
    if stored is not None:
        return await handed_out(case.services, case.caller, case.policy, stored)
    case.services.later.wanted.set()
    return await refuse_by(case.services, case.caller, "propose_subagent", decision)


async def _standing(case: Case, *, fresh: bool = False) -> tuple[str, Proposal | None]:
    """The id that stands for this request, and what is stored under it; `""` when there is none.

    What an old copy knows may have been retired since: only a fresh one says that it still stands. With `fresh`
    nothing is concluded from an old copy.
    """
    while known := (fresh or await _known(case, fresh=False)) and await _known(case, fresh=True):
        stored = await case.services.proposals.get(known)
        if stored is None or stored.phase not in FINAL_PHASES:
            return known, stored
        await _pass_over(case, stored)
    return "", None


async def _known(case: Case, *, fresh: bool) -> str:
    ledger = await case.services.ledgers.look(case.caller.root.name, fresh=fresh)
    return ledger.pruned(case.now, case.since).find(case.digest, case.ended)


async def _pass_over(case: Case, ended: Proposal) -> None:
    """Free the open place of a proposal that has ended. Where an agent may still come of it, its place goes later."""
    case.ended.add(ended.id)
    head = await case.services.audit.write(_record("proposal.closed", ended, case.caller))
    await places.close(case.services, case.caller.root.name, ended.id, head)


def rendered_anew(kind: AgentKind, asked: Asked, template: Template, digest: str, id_: str) -> Rendered:
    """The agent that this request, found again by this digest, becomes under this id."""
    caller, request = asked.caller, asked.request
    manifest = kind.manifest(render(id_, caller, request, template, digest))
    grant = grant_of(request, template)
    return Rendered(caller, request, template, id_, kind.read(manifest), manifest, grant)


def _rendered(case: Case, id_: str) -> Rendered:
    return rendered_anew(case.services.kind, case.asked, case.template, case.digest, id_)


async def _rests_on(case: Case, facts: LiveFacts) -> RestsOn:
    parent = await facts.parent_uid(case.caller)
    return RestsOn(case.policy.hash, await case.services.inventory.schema_hash(), parent)


async def _open(case: Case, rendered: Rendered, rests_on: RestsOn) -> Proposed | Refusal:
    services, caller = case.services, case.caller
    proposal = _proposal(case, rendered, rests_on)
    head = await services.audit.write(_record("proposal.intent", proposal, caller))
    place = await services.ledgers.change(caller.root.name, partial(_take, case, proposal.id, head))
    if isinstance(place, Decision):
        return await refuse_by(services, caller, "propose_subagent", place, subject=proposal.id)
    if place.id != proposal.id:
        proposal = _proposal(case, _rendered(case, place.id), rests_on)
    try:
        stored = await _store(services, replace(proposal, risk=place.risk, expires_at=place.until))
    except Refused as refusal:
        await places.close(services, caller.root.name, proposal.id, head)
        reason = Reason(f"proposal.{refusal.code}", "The cluster did not store the proposal.")
        return await refuse(
            services, caller, "propose_subagent", (reason,), subject=proposal.id, detail=refusal.message
        )
    if stored.phase in FINAL_PHASES:
        await _pass_over(case, stored)
        return await _find_or_make(case)
    answer = await handed_out(services, caller, case.policy, stored)
    services.later.start(services.audit.write(_record("proposal.outcome", stored, caller, outcome=answer.outcome)))
    return answer


def _take(case: Case, id_: str, head: Head, ledger: Ledger) -> tuple[Ledger, Place | Decision]:
    pruned = ledger.pruned(case.now, case.since)
    risk = case.policy.approval.risk(case.template, case.asked.request, outcomes=pruned.outcomes)
    until = case.now + (case.policy.approval.wait if PEOPLE[risk] else PROPOSAL_LIFETIME)
    if known := pruned.find(case.digest, case.ended):
        renewed = pruned.renewed(case.digest, until).anchored(head) if known == id_ else ledger
        return renewed, Place(known, risk, until)
    room = case.policy.room("propose", case.caller, pruned, case.now)
    if room.outcome != "allowed":
        return ledger, room
    caller = case.caller
    entry, change = Open(id_, until, caller.agent), Change(case.now, caller.agent)
    return pruned.opened(case.digest, entry, change).claimed(caller.account).anchored(head), Place(id_, risk, until)


async def _store(services: Services, proposal: Proposal) -> Proposal:
    try:
        return await services.proposals.create(proposal)
    except Conflict:
        stored = await services.proposals.get(proposal.id)
        if stored is None or stored.request_digest != proposal.request_digest or stored.root != proposal.root:
            raise
        return stored


def _proposal(case: Case, rendered: Rendered, rests_on: RestsOn) -> Proposal:
    """What is proposed; its risk, and until when it stands, are the ledger's to say."""
    manifest = canonical(rendered.manifest)
    return Proposal(
        id=rendered.id,
        root=case.caller.root.name,
        parent=case.caller.agent,
        home=case.caller.root.home,
        request=case.asked.request,
        template_hash=case.template.hash,
        request_digest=case.digest,
        digest=proposal_digest(manifest, rendered.grant),
        risk="high",
        expires_at=case.now,
        manifest=manifest,
        grant=rendered.grant,
        rests_on=rests_on,
    )


def _record(event: str, proposal: Proposal, caller: Caller, outcome: str = "") -> Record:
    request = proposal.request
    details = {"digest": proposal.digest, "request": proposal.request_digest, "template": request.template}
    details |= {"registry_entry": request.entry} if request.entry else {}
    return Record(event, caller.root.name, caller.agent, proposal.id, outcome=outcome, details=details)

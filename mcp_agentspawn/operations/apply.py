"""Apply a proposal: judge it again by the rules of this moment, wait for people if they are asked, and create it."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from mcp_agentspawn.core.decisions import approvers, counted
from mcp_agentspawn.core.digest import proposal_digest
from mcp_agentspawn.core.errors import Refused, Upstream
from mcp_agentspawn.core.guard import Asked, Rendered, decide
from mcp_agentspawn.core.model import Caller, Proposal
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.risk import PEOPLE
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Decision, Outcome, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Applied, Pending, Refusal
from mcp_agentspawn.operations.creating import LAPSED, SPENT, Case, new_case, reserve, standing
from mcp_agentspawn.operations.entries import UNANSWERED, read_entry
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse, refuse_by
from mcp_agentspawn.operations.reuse import ASK_ANEW
from mcp_agentspawn.operations.services import LiveFacts, Services
from mcp_agentspawn.operations.views import applied, pending

LOOK_EVERY_SECONDS = 1.0

UNKNOWN = Reason("proposal.unknown", "You have no such proposal.", "proposal")
DIGEST = Reason("proposal.digest", "This is not the digest of that proposal.", "digest")
EXPIRED = Reason("proposal.expired", "The proposal's time is over.")
DRIFTED = Reason("proposal.template_changed", "The template is no longer what was rendered.", "template")
REBUILT = Reason("proposal.manifest_changed", "This server no longer makes such manifests.")
POLICY = Reason("proposal.policy_changed", "The policy has changed since this was proposed.")
CRD = Reason("proposal.crd_changed", "The cluster's schema of agents has changed since this was proposed.")
ENTRY = Reason(
    "proposal.registry_entry_changed",
    "The registry entry is no longer what was rendered, or no longer there for you.",
    "registry_entry",
)
PARENT = Reason("proposal.parent_changed", "The parent is no longer the one for which this was proposed.")
OF_THE_MOMENT = frozenset({"access", "approval", "freeze", "quota", "rate"})
"""Guards that refuse for what is so right now, and not because something has changed since."""


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be applied, and by which rules: those of this moment.

    `entry` is the registry entry that it was made of, as it is now; `None` when it was made of none.
    """

    services: Services
    caller: Caller
    stored: Proposal
    policy: Policy
    template: Template | None
    facts: LiveFacts
    entry: RegistryEntry | None = None

    @property
    def asked(self) -> Asked:
        """What the guards of requests judge."""
        return Asked(self.caller, self.stored.request, self.template, entry=self.entry)


async def apply(
    services: Services, caller: Caller, proposal: str, digest: str, wait_seconds: int = 0
) -> Applied | Pending | Refusal:
    """Create the proposal's one Agent, or say why not. Repeating the call finds the same Agent.

    While people are to approve it, waits for them as long as `wait_seconds`.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_seconds
    known = frozenset[str]()
    answer = await _attempt(services, caller, proposal, digest)
    while isinstance(answer, Pending):
        if (left := until - loop.time()) <= 0:
            return await _held(services, caller, answer)
        await asyncio.sleep(min(LOOK_EVERY_SECONDS, left))
        decided = frozenset(approval.name for approval in await services.approvals.of(proposal))
        if decided != known:
            answer, known = await _attempt(services, caller, proposal, digest), decided
    return answer


async def _held(services: Services, caller: Caller, answer: Pending) -> Pending:
    codes = tuple(reason.code for reason in answer.reasons)
    outcome = answer.outcome
    await services.audit.write(
        Record("apply.held", caller.root.name, caller.agent, answer.proposal, outcome=outcome, reasons=codes)
    )
    return answer


async def _attempt(services: Services, caller: Caller, proposal: str, digest: str) -> Applied | Pending | Refusal:
    stored = await services.proposals.get(proposal)
    if stored is None or (stored.root, stored.parent) != (caller.root.name, caller.agent):
        return await refuse(services, caller, "apply_subagent", (UNKNOWN,))
    if digest != stored.digest or proposal_digest(stored.manifest, stored.grant) != stored.digest:
        return await refuse(services, caller, "apply_subagent", (DIGEST,), subject=proposal)
    if stored.phase != "proposed":
        return await _ended(services, caller, stored)
    rules, facts = services.rules.current(), services.facts()
    policy, template = rules.policy_for(caller.root), rules.templates.get(stored.request.template)
    if policy is None:
        return await refuse(services, caller, "apply_subagent", (NO_POLICY,), subject=stored.id)
    if stored.expires_at <= facts.now:
        return await _stale(services, caller, stored, EXPIRED)
    matter = Matter(services, caller, stored, policy, template, facts)
    return await (_judge_entry if stored.request.entry else _judge)(matter)


async def _judge_entry(matter: Matter) -> Applied | Pending | Refusal:
    """Judge it, unless the registry entry that it was made of has changed, or the registry does not say.

    The entry is read only for what is not refused without it.
    """
    first = await decide(matter.policy.before_reading(matter.asked, matter.facts, "apply"))
    if first.outcome != "allowed":
        return await _refuse(matter, first)
    entry = await read_entry(matter.services, matter.policy, matter.stored.request.entry)
    if not isinstance(entry, Reason):
        return await _judge(replace(matter, entry=entry))
    if entry is not UNANSWERED:
        return await _stale(matter.services, matter.caller, matter.stored, ENTRY)
    return await refuse(
        matter.services, matter.caller, "apply_subagent", (entry,), outcome="unavailable", subject=matter.stored.id
    )


async def _ended(services: Services, caller: Caller, stored: Proposal) -> Applied | Refusal:
    if stored.phase == "lapsed":
        return await _stale(services, caller, stored, LAPSED)
    if agent := await standing(services, stored):
        return applied(stored, agent)
    return await refuse(services, caller, "apply_subagent", (SPENT,), subject=stored.id)


async def _judge(matter: Matter) -> Applied | Pending | Refusal:
    stored, facts = matter.stored, matter.facts
    first = await decide(matter.policy.before_rendering(matter.asked, facts, "apply"))
    if matter.template is None or first.outcome != "allowed":
        return await _refuse(matter, first)
    rendered = as_stored(matter, matter.template)
    if isinstance(rendered, Reason):
        return await _stale(matter.services, matter.caller, stored, rendered)
    judged = await _decide(matter, rendered)
    if judged.outcome == "pending_approval":
        return _pending(stored, judged.reasons)
    if judged.outcome == "denied":
        matter.services.later.wanted.set()
        return await _refuse(matter, judged)
    return await reserve(await _case(matter, rendered))


def _pending(stored: Proposal, reasons: tuple[Reason, ...]) -> Pending:
    """The answer while people are waited for; of those who were never asked, none hears of it by itself."""
    answer = pending(stored, reasons)
    return answer if PEOPLE[stored.risk] else replace(answer, next_step=ASK_ANEW.format(id=stored.id))


async def _case(matter: Matter, rendered: Rendered) -> Case:
    services, caller, stored, facts = matter.services, matter.caller, matter.stored, matter.facts
    since = (await facts.switches()).counts_since(caller.root.name)
    case = new_case(services, caller, matter.policy, stored, facts.now, since)
    needed, _ = await matter.policy.approval.needed(rendered, facts)
    if not needed:
        return case
    decisions = counted(stored, await facts.approvals(stored.id))
    return replace(case, approved_by=tuple(sorted(approvers(decisions))))


def as_stored(matter: Matter, template: Template) -> Rendered | Reason:
    """What was rendered when it was proposed, to be judged again; why it is stale, when it is."""
    stored = matter.stored
    if template.hash != stored.template_hash:
        return DRIFTED
    manifest = json.loads(stored.manifest)
    try:
        agent = matter.services.kind.read(manifest)
    except Refused:
        return REBUILT
    return Rendered(matter.caller, stored.request, template, stored.id, agent, manifest, stored.grant, stored)


async def _decide(matter: Matter, rendered: Rendered) -> Decision:
    ledgers, root, id_ = matter.services.ledgers, matter.caller.root.name, matter.stored.id
    held = id_ in (await ledgers.look(root)).live
    judged = await decide(matter.policy.once_rendered(rendered, matter.facts, "apply", reserved=held))
    if judged.outcome != "denied" or held:
        return judged
    if id_ in (await ledgers.look(root, fresh=True)).live:
        return await decide(matter.policy.once_rendered(rendered, matter.facts, "apply", reserved=True))
    return judged


async def _refuse(matter: Matter, decision: Decision) -> Refusal:
    """Refuse, and say what has changed since it was proposed where that may be why."""
    changed: Sequence[Reason] = ()
    if not {reason.code.partition(".")[0] for reason in decision.reasons} <= OF_THE_MOMENT:
        changed = await changed_since(matter)
    outcome: Outcome = "stale" if {CRD, PARENT} & set(changed) else "denied"
    return await refuse_by(
        matter.services,
        matter.caller,
        "apply_subagent",
        decision,
        subject=matter.stored.id,
        outcome=outcome,
        more=changed,
    )


async def changed_since(matter: Matter) -> Sequence[Reason]:
    """What the proposal rests on that is no longer the same; of what can not be read now nothing is said."""
    was = matter.stored.rests_on
    changed = [POLICY] if matter.policy.hash != was.policy else []
    with suppress(Upstream):
        if await matter.services.inventory.schema_hash() != was.crd:
            changed.append(CRD)
    with suppress(Upstream):
        if await matter.facts.parent_uid(matter.caller) != was.parent:
            changed.append(PARENT)
    return changed


async def _stale(services: Services, caller: Caller, proposal: Proposal, reason: Reason) -> Refusal:
    return await refuse(services, caller, "apply_subagent", (reason,), outcome="stale", subject=proposal.id)

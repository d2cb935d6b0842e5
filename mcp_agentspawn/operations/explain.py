"""Explain what each guard says to a request or to a stored proposal: all are asked, and nothing comes of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mcp_agentspawn.core.digest import proposal_digest, request_digest
from mcp_agentspawn.core.errors import AgentSpawnError, Refused, Upstream
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, Guard, Rendered, Step, decide, verdict_of
from mcp_agentspawn.core.model import Caller, Manifest, Root
from mcp_agentspawn.core.registry import Handle, RegistryEntry
from mcp_agentspawn.core.render import proposal_id
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.core.verdict import Decision, Deny, Finding, Outcome, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.apply import DIGEST, ENTRY, EXPIRED, Matter, as_stored, changed_since
from mcp_agentspawn.operations.creating import LAPSED, SPENT, standing
from mcp_agentspawn.operations.entries import UNANSWERED, read_entry
from mcp_agentspawn.operations.propose import rendered_anew, resolved
from mcp_agentspawn.operations.refusing import NO_POLICY
from mcp_agentspawn.operations.services import Services

NOT_ONE_POLICY = "not exactly one policy is for this caller"
NO_ENTRY = "without the registry entry there is nothing to judge"
NO_TEMPLATE = "there is no template of that name, so nothing was rendered"
ENDED = "the proposal is no longer open"
HELD = "its place is reserved already"
CREATE_ANSWERS = "at apply the create itself is the answer"
IN_TIME = "not in time"
MOST_DETAIL = 300

Cause = Literal["forbidden", "unavailable", "failed", "unknown_registry", "registry_away"]
"""Why a guard has no answer: whoever asks may not know it, the cluster does not say it, the guard itself failed, or,
of a registry entry, there is no such registry here or it does not say what the entry is."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """A guard that was not asked, and why."""

    guard: str
    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A guard that was asked and could not learn what it judges by; `detail` is what it met, for operators.

    Of an entry, `detail` is the registry.
    """

    guard: str
    cause: Cause
    detail: str


Heard = Finding | Unanswered | Unasked


@dataclass(frozen=True, slots=True)
class Explained:
    """What would be said at this step, in the order in which it is asked.

    `policies` names all that match the caller. `known` is the proposal that stands for the same request already, or
    `""`. `changed` is what a proposal rests on and is no longer so. `manifest` is `None` when nothing was rendered.
    `entry` is the registry entry that was judged; `None` when there was none.
    """

    step: Step
    caller: Caller
    policies: tuple[str, ...]
    heard: tuple[Heard, ...]
    known: str = ""
    changed: tuple[Reason, ...] = ()
    manifest: Manifest | None = None
    entry: RegistryEntry | None = None

    @property
    def decision(self) -> Decision:
        """What those say who answered."""
        return Decision(tuple(one for one in self.heard if isinstance(one, Finding)))

    @property
    def unanswered(self) -> tuple[Unanswered, ...]:
        """Those who could not answer."""
        return tuple(one for one in self.heard if isinstance(one, Unanswered))

    @property
    def outcome(self) -> Outcome | Literal["unanswered"]:
        """What is known of the outcome: a denial stands whatever others would say, all else needs every answer."""
        denied = any(isinstance(finding.verdict, Deny) for finding in self.decision.findings)
        return "unanswered" if self.unanswered and not denied else self.decision.outcome

    @property
    def codes(self) -> tuple[str, ...]:
        """The reason codes of that outcome."""
        if self.outcome == "unanswered":
            return tuple(f"{one.guard}.unanswered" for one in self.unanswered)
        return tuple(reason.code for reason in self.decision.reasons)


async def explain_request(services: Services, caller: Caller, ask: Ask) -> Explained:
    """What `propose_subagent` would be answered. Raises `Upstream` when there is no way to ask."""
    rules, facts = services.rules.current(), services.facts()
    policies = rules.matching(caller.root)
    if len(policies) != 1:
        return _unruled("propose", caller, policies)
    policy = rules.policies[policies[0]]
    entry = await read_entry(services, policy, ask.registry_entry)
    if isinstance(entry, Reason):
        judged = _answer(services, ask.registry_entry, entry, Finding("registry", Deny((entry,))))
        return Explained("propose", caller, policies, _without_entry(judged, policy))
    asked = resolved(policy, caller, ask, rules.templates.get(ask.template), entry)
    ledger, rendered = await facts.ledger(caller, fresh=True), _rendered(services, asked)
    heard = await _heard(policy, "propose", asked, rendered, facts)
    if isinstance(rendered, str):
        return Explained("propose", caller, policies, heard, entry=entry)
    known = ledger.find(rendered.agent.lineage.request_digest)
    return Explained("propose", caller, policies, heard, known, manifest=rendered.manifest, entry=entry)


async def explain_proposal(services: Services, root: Root, id_: str, account: str = "") -> Explained | None:
    """What `apply_subagent` would be answered; `None` when this root has no such proposal.

    `account` is the uid of the root's service account, `""` when it is not known. Raises `Upstream` when there is no
    way to ask.
    """
    stored = await services.proposals.get(id_)
    if stored is None or stored.root != root.name:
        return None
    rules, home = services.rules.current(), replace(root, home=stored.home)
    caller = Caller(home, stored.parent) if stored.parent else Caller(home, account=account)
    policies = rules.matching(root)
    if len(policies) != 1:
        return _unruled("apply", caller, policies)
    template = rules.templates.get(stored.request.template)
    matter = Matter(services, caller, stored, rules.policies[policies[0]], template, services.facts())
    if stored.phase != "proposed":
        ending = Finding("proposal", verdict_of(await _ending(matter)))
        heard: tuple[Heard, ...] = (ending, *_unasked(matter.policy, ENDED))
        return Explained("apply", caller, policies, heard, manifest=json.loads(stored.manifest))
    entry = await read_entry(services, matter.policy, stored.request.entry)
    if isinstance(entry, Reason):
        judged = _answer(services, stored.request.entry, entry, Finding("proposal", Deny((ENTRY,))))
        heard = _without_entry(judged, matter.policy)
        return Explained("apply", caller, policies, heard, manifest=json.loads(stored.manifest))
    return await _open(replace(matter, entry=entry), policies)


def _answer(services: Services, handle: str, why: Reason, denial: Finding) -> Finding | Unanswered:
    """The denial, unless nobody said what the entry is: then which registry that was, or that there is none such."""
    named = Handle.read(handle)
    if why is not UNANSWERED or named is None:
        return denial
    there = named.registry in {standing.registry for standing in services.registries.standings()}
    return Unanswered("registry", "registry_away" if there else "unknown_registry", named.registry)


def _without_entry(answer: Finding | Unanswered, policy: Policy) -> tuple[Heard, ...]:
    """What is heard when there is no entry to judge."""
    return (answer, *(one for one in _unasked(policy, NO_ENTRY) if one.guard != answer.guard))


def _unruled(step: Step, caller: Caller, policies: tuple[str, ...]) -> Explained:
    heard: tuple[Heard, ...] = (Finding("policy", Deny((NO_POLICY,))), *_unasked(Policy(), NOT_ONE_POLICY))
    return Explained(step, caller, policies, heard)


def _rendered(services: Services, asked: Asked) -> Rendered | str:
    """What would be created, or why there is nothing."""
    if asked.template is None:
        return NO_TEMPLATE
    try:
        digest = request_digest(asked.caller, asked.request, asked.template.hash)
        id_ = proposal_id(asked.template.name, services.suffix())
        return rendered_anew(services.kind, asked, asked.template, digest, id_)
    except (AgentSpawnError, ValueError) as error:
        return f"nothing could be rendered: {error}"


async def _open(matter: Matter, policies: tuple[str, ...]) -> Explained:
    stored, facts, rendered = matter.stored, matter.facts, _as_it_was(matter)
    held = stored.id in (await facts.ledger(matter.caller, fresh=True)).live
    reasons = _staleness(matter) + ([rendered] if isinstance(rendered, Reason) else [])
    ready = rendered.message if isinstance(rendered, Reason) else rendered
    heard = await _heard(matter.policy, "apply", matter.asked, ready, facts, held=held)
    return Explained(
        "apply",
        matter.caller,
        policies,
        (Finding("proposal", verdict_of(reasons)), *heard),
        changed=tuple(await changed_since(matter)),
        manifest=json.loads(stored.manifest),
        entry=matter.entry,
    )


def _as_it_was(matter: Matter) -> Rendered | Reason | str:
    return as_stored(matter, matter.template) if matter.template else NO_TEMPLATE


def _staleness(matter: Matter) -> list[Reason]:
    stored = matter.stored
    forged = proposal_digest(stored.manifest, stored.grant) != stored.digest
    return [reason for reason, so in ((DIGEST, forged), (EXPIRED, stored.expires_at <= matter.facts.now)) if so]


async def _ending(matter: Matter) -> list[Reason]:
    """Why nothing comes of a proposal that is no longer open; nothing when its agent stands."""
    if matter.stored.phase == "lapsed":
        return [LAPSED]
    return [] if await standing(matter.services, matter.stored) else [SPENT]


async def _heard(
    policy: Policy, step: Step, asked: Asked, rendered: Rendered | str, facts: Facts, *, held: bool = False
) -> tuple[Heard, ...]:
    """Every guard in the order of the rule book; without something rendered, those that judge it are not asked."""
    questions = dict(policy.before_rendering(asked, facts, step))
    if isinstance(rendered, Rendered):
        questions |= policy.once_rendered(rendered, facts, step, reserved=held)
    findings = (await decide(questions, everyone=True)).findings
    found = {finding.guard: _answered(_detailed(finding, policy, asked)) for finding in findings}
    why = rendered if isinstance(rendered, str) else HELD
    here = policy.guards(step)
    return tuple(
        found.get(one.guard) or (one if one.guard in here else Unasked(one.guard, CREATE_ANSWERS))
        for one in _unasked(policy, why)
    )


def _detailed(finding: Finding, policy: Policy, asked: Asked) -> Finding:
    """A refused template, with what is missing: callers get one code whatever it is, operators have to know."""
    if finding.guard != "template" or finding.error or not isinstance(finding.verdict, Deny):
        return finding
    return replace(finding, detail=_missing(policy, asked))


def _missing(policy: Policy, asked: Asked) -> str:
    name, root = asked.request.template, asked.caller.root
    if asked.template is None:
        return "there is no template of that name"
    if name not in policy.template.allow:
        return "the policy does not list it"
    granting = f"agentspawn manifests --root {root.name} --namespace {root.home} --template {name}"
    return f"RBAC does not grant verb use on it; {granting}, with all other templates named likewise, prints what does"


def _answered(finding: Finding) -> Finding | Unanswered:
    """What the guard said; a denial for want of an answer is none."""
    error = finding.error
    if error is None:
        return finding
    if isinstance(error, TimeoutError):
        return Unanswered(finding.guard, "unavailable", IN_TIME)
    detail = str(error)[:MOST_DETAIL] if isinstance(error, Upstream) else finding.detail
    return Unanswered(finding.guard, _cause(error), detail)


def _cause(error: Exception) -> Cause:
    """One that was met on the way counts: some ports say of whatever they meet that there was no answer."""
    met: BaseException | None = error
    while met is not None:
        if isinstance(met, Refused) and met.code.startswith("forbidden"):
            return "forbidden"
        met = met.__cause__
    return "unavailable" if isinstance(error, Upstream) else "failed"


def _unasked(policy: Policy, why: str) -> Sequence[Unasked]:
    """All guards of the rule book, in order, for the same reason."""
    return [Unasked(name, why) for name in Policy.model_fields if isinstance(getattr(policy, name), Guard)]

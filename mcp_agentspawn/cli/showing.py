"""What `agentspawn show` prints. Whatever is not ours stands behind a gutter, escaped."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mcp_agentspawn.cli.differing import differences, minutes
from mcp_agentspawn.cli.escaping import block, escaped
from mcp_agentspawn.cli.leaves import manifest_lines, texts
from mcp_agentspawn.cli.people import moment
from mcp_agentspawn.cli.recalling import Denial
from mcp_agentspawn.cli.standing import OVER, state_of, tally
from mcp_agentspawn.cli.wording import fact, handle, odd, paragraph, section, sentence
from mcp_agentspawn.core.decisions import counted, is_denied
from mcp_agentspawn.core.lineage import excesses
from mcp_agentspawn.core.model import Approval, Grant, Proposal, Risk
from mcp_agentspawn.core.outcomes import Outcomes, outcomes_for
from mcp_agentspawn.core.risk import PEOPLE, highest, raised_by, risk_of
from mcp_agentspawn.core.template import MOST_LIFETIME, Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.approval import ApprovalGuard

NO_COUNT = "DOES NOT COUNT (no person, other bytes, or too late): "
NO_TEMPLATE = "can not be shown: the template that was rendered is not at hand (--templates FOLDER)"
OTHER_TEMPLATE = "can not be shown: the template at hand is not the one that was rendered"
NO_POLICY = "can not be shown: no policy for this root is at hand (--policies FOLDER)"
OTHER_POLICY = "can not be shown: the policy at hand is not the one that it was judged by"
AGREED = "request, manifest and grant agree on tools, model, lifetime, depth and tool approval"
UNCHECKED = (
    "NOT CHECKED, for want of the template that was rendered (--templates FOLDER): that the bytes are what it makes of "
    "this request, and the risk"
)
RISK_UNCHECKED = (
    "NOT CHECKED, for want of the policy that it was judged by (--policies FOLDER): whether the risk is higher"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """All there is to know of a proposal. `ancestors` are the proposals above it, nearest first.

    `template` is the very version that was rendered, `policy` the one that it was judged by; `None` where they are not
    at hand. `other_template` and `other_policy`: something by that name, or for that root, is. `templates` and
    `policies`: the folders that were looked into, as people wrote them.
    `denials`: what people denied before of the like of it. `outcomes`: how subagents of its root have done.
    """

    proposal: Proposal
    ancestors: Sequence[Proposal]
    decisions: Sequence[Approval]
    template: Template | None
    policy: Policy | None
    now: datetime
    other_template: bool = False
    other_policy: bool = False
    templates: str = "./templates"
    policies: str = "./policies"
    denials: Sequence[Denial] = ()
    outcomes: Mapping[str, Outcomes] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all ancestors were found."""
        return not [self.proposal, *self.ancestors][-1].parent


def lines(shown: Shown) -> Iterator[str]:
    """The whole page. The proposal was found to be what its digest is over before (`broken`, `disagreement`)."""
    yield from _summary(shown)
    yield from section("Who asks, and what for", _asking(shown.proposal))
    yield from section("Risk", _risk(shown))
    yield from section("Decisions of people", _decisions(shown))
    yield from section("What it may hold at most, beside its parent", _grants(shown))
    yield from section("Difference to the template's defaults", _difference(shown))
    yield from section(f"Manifest, whole: the Agent that {_created(shown)} created", _manifest(shown))
    yield from section("Digest", _digest(shown))


def _summary(shown: Shown) -> Iterator[str]:
    proposal = shown.proposal
    yield from fact("proposal", proposal.id)
    state = state_of(proposal, shown.now)
    when = (
        f" {'until' if state == 'open' else 'at'} {moment(proposal.expires_at)}" if proposal.phase == "proposed" else ""
    )
    yield from fact("state", f"{state}{when}; {tally(proposal, shown.decisions)}")
    yield from odd("it holds", [*texts(json.loads(proposal.manifest)), proposal.request.purpose])
    if understated := _understated(shown):
        yield from sentence("beware", understated)
    if shown.denials:
        yield from sentence("beware", _denied(shown.denials))
    yield from sentence("checked", _checked(shown))


def _denied(denials: Sequence[Denial]) -> str:
    known = [denial for denial in denials if not denial.gone]
    if known:
        return f"OTHERS WERE DENIED: {len(known)} proposals of this root for this template, in the last day"
    return (
        f"others were denied: {len(denials)} proposals for this template, in the last day; whose is not known any more"
    )


def _checked(shown: Shown) -> str:
    if shown.template is None:
        return f"{AGREED}\n{UNCHECKED}"
    made = f"re-rendered from {shown.templates}: same bytes"
    if shown.policy is None:
        return f"{made}\n{RISK_UNCHECKED}"
    return made if _understated(shown) else f"{made}; risk under {shown.policies}: not higher"


def _understated(shown: Shown) -> str:
    """What to say when the risk is less than what is at hand makes it; `""` when it is not."""
    stored, least = shown.proposal.risk, _least(shown)
    if highest(stored, least) == stored:
        return ""
    people = f"{PEOPLE[least]} different people must approve, and not {PEOPLE[stored]}"
    return f"ITS RISK IS STATED TOO LOW: it is {least}, and not {stored}; {people}"


def _least(shown: Shown) -> Risk:
    """How risky it is at least; where the template is not at hand, what little is known without it."""
    template, request = shown.template, shown.proposal.request
    if template is None:
        return "medium" if request.entry else "low"
    if shown.policy is None:
        return risk_of(template, request, at_least="low", long_life=MOST_LIFETIME)
    return shown.policy.approval.risk(template, request, outcomes=shown.outcomes)


def _asking(proposal: Proposal) -> Iterator[str]:
    yield from fact("root", proposal.root)
    yield from fact("parent", proposal.parent or "none: the root itself asks")
    yield from fact("template", proposal.request.template)
    if proposal.request.entry:
        yield from fact("registry", "made of the entry")
        yield from handle(proposal.request.entry, "  ")
    yield from fact("namespace", proposal.home)
    yield from fact("purpose", proposal.request.purpose)


def _risk(shown: Shown) -> Iterator[str]:
    proposal = shown.proposal
    yield from fact("this", proposal.risk)
    if understated := _understated(shown):
        yield from sentence("beware", understated)
    if proposal.parent:
        chain = highest(proposal.risk, *(ancestor.risk for ancestor in shown.ancestors))
        above = ", ".join(f"{ancestor.id} {ancestor.risk}" for ancestor in shown.ancestors)
        gone = "" if shown.complete else "; not all above it are there any more"
        yield from fact("whole chain", f"{chain}; above it: {above or 'nobody'}{gone}")
    for key, record in outcomes_for(proposal.request, shown.outcomes).items():
        yield from fact("record", f"{record.in_words}, of {key}")
    yield from sentence("why", _why(shown))


def _why(shown: Shown) -> str:
    if shown.template is None:
        return _no_template(shown)
    if shown.policy is None:
        return OTHER_POLICY if shown.other_policy else NO_POLICY
    rule = shown.policy.approval
    reasons = [f"the template says {shown.template.risk}", f"the policy says at least {rule.at_least}"]
    reasons += [*_why_foreign(shown), *_why_recorded(shown, rule)]
    return "\n".join([*reasons, *raised_by(shown.template, shown.proposal.request, long_life=rule.long_life)])


def _why_foreign(shown: Shown) -> Iterator[str]:
    if shown.template and shown.template.agent.image:
        yield "an image from a registry makes it high"
    elif shown.proposal.request.entry:
        yield "a registry entry makes it at least medium"


def _why_recorded(shown: Shown, rule: ApprovalGuard) -> Iterator[str]:
    if rule.doubts(shown.proposal.request, shown.outcomes):
        yield "a record as poor as the one above makes it at least medium"


def _no_template(shown: Shown) -> str:
    return OTHER_TEMPLATE if shown.other_template else NO_TEMPLATE


def _decisions(shown: Shown) -> Iterator[str]:
    counting = counted(shown.proposal, shown.decisions)
    for approval in shown.decisions:
        when = f", {moment(approval.decided_at)}" if approval.decided_at else ""
        against = "" if approval in counting else NO_COUNT
        yield from fact(approval.decision, f"{against}{approval.decider}{when}")
        if approval.reason:
            yield from block(approval.reason, "    ")
    if not shown.decisions:
        yield "  none yet"
    for denial in shown.denials:
        yield from fact("denied before", str(denial))
        if denial.reason:
            yield from block(denial.reason, "    ")


def _grants(shown: Shown) -> Iterator[str]:
    parent = shown.ancestors[0] if shown.ancestors else None
    above = _held(parent.grant) if parent else {}
    for label, held in _held(shown.proposal.grant).items():
        yield from fact(label, held)
        if parent:
            yield from fact("  its parent", above[label])
    if parent:
        beyond = [f"{excess.kind} {excess.what}" for excess in excesses(shown.proposal.grant, parent.grant)]
        yield from fact("beyond", ", ".join(beyond) or "nothing: it is within its parent's")
    else:
        yield from fact(
            "  its parent", "is gone" if shown.proposal.parent else "is the root, bound by its policy alone"
        )


def _held(grant: Grant) -> Mapping[str, str]:
    parameters = (f"{name} = {json.dumps(value)}" for name, value in sorted(grant.parameters.items()))
    held = {
        "tools": ", ".join(grant.tools),
        "ask first": ", ".join(grant.ask_first),
        "models": ", ".join(grant.models),
        "parameters": ", ".join(parameters),
    }
    named = {label: text or "none" for label, text in held.items()}
    life = f"{minutes(grant.lifetime)}{', and one task' if grant.single_task else ''}"
    return named | {"lifetime": life, "depth": str(grant.depth)}


def _difference(shown: Shown) -> Iterator[str]:
    if shown.template is None:
        yield from paragraph(_no_template(shown))
        return
    found = list(differences(shown.proposal.request, shown.template))
    for label, text in found:
        yield from fact(label, text)
    if not found:
        yield "  none"


def _manifest(shown: Shown) -> Iterator[str]:
    if shown.proposal.request.entry:
        yield from sentence("beware", _foreign(shown.template))
    yield from manifest_lines(shown.proposal.manifest)


def _foreign(template: Template | None) -> str:
    """Which part of the manifest a registry's author wrote, as far as that is known."""
    if template is None:
        part = "THE TEXT BETWEEN ITS FENCES, OR ITS IMAGE,"
    elif template.agent.image:
        part = "ITS IMAGE"
    else:
        part = f"THE TEXT BETWEEN THE FENCES OF {', '.join(sorted(template.filled))}"
    return f"{part} IS A STRANGER'S, from the registry entry above; it was not compared with the registry here"


def _digest(shown: Shown) -> Iterator[str]:
    yield "  recomputed:"
    yield f"  {escaped(shown.proposal.digest)}"
    yield from paragraph(
        "It is over the canonical bytes (RFC 8785) of the manifest and of what it may hold; not over this page."
    )
    if over := _over(shown):
        yield from paragraph(over)
        return
    yield "  A decision is bound to it:"
    yield f"  agentspawn approve {escaped(shown.proposal.id)} --digest {escaped(shown.proposal.digest)}"


def _over(shown: Shown) -> str:
    """Why there is nothing to approve; `""` when there is."""
    proposal, state = shown.proposal, state_of(shown.proposal, shown.now)
    if state != "open":
        return f"It can no longer be decided: {OVER[state]}."
    if is_denied(counted(proposal, shown.decisions)):
        return "It was denied: whoever approves now changes nothing."
    return "" if PEOPLE[proposal.risk] else "Nobody has to approve it; agentspawn deny stops it."


def _created(shown: Shown) -> str:
    """How to speak of the agent."""
    if state_of(shown.proposal, shown.now) == "applied":
        return "was"
    return "would be" if _over(shown) else "will be"

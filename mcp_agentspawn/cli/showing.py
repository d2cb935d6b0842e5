"""What `agentspawn show` prints. Whatever is not ours stands behind a gutter, escaped."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp_agentspawn.cli.differing import differences, minutes
from mcp_agentspawn.cli.escaping import behind_gutter, block, escaped, quoted, unusual
from mcp_agentspawn.cli.people import moment
from mcp_agentspawn.cli.recalling import Denial
from mcp_agentspawn.cli.standing import state_of, tally
from mcp_agentspawn.core.decisions import counted
from mcp_agentspawn.core.lineage import excesses
from mcp_agentspawn.core.model import Approval, Grant, Proposal, Risk
from mcp_agentspawn.core.risk import PEOPLE, highest, raised_by, risk_of
from mcp_agentspawn.core.template import MOST_LIFETIME, Template
from mcp_agentspawn.guards import Policy

PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
MOST_UNUSUAL = 20
LINE_END = "\n"
NO_COUNT = "DOES NOT COUNT (no person, other bytes, or too late): "
NO_TEMPLATE = "can not be shown: the template that was rendered is not at hand (--templates FOLDER)"
OTHER_TEMPLATE = "can not be shown: the template at hand is not the one that was rendered"
NO_POLICY = "can not be shown: no policy for this root is at hand (--policies FOLDER)"
OTHER_POLICY = "can not be shown: the policy at hand is not the one that it was judged by"
MADE = "of this request, the template at hand makes these very bytes"
AGREED = "tools, model, lifetime, depth and tool approval: request, manifest and grant agree on them"
UNCHECKED = (
    "NOT CHECKED, for want of the template that was rendered (--templates FOLDER): that the agent's texts, its depth, "
    "the tools that ask first and the values that narrow are what the template makes of this request; the risk"
)
RISK_UNCHECKED = (
    "NOT CHECKED, for want of the policy that it was judged by (--policies FOLDER): whether the risk is higher"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """All there is to know of a proposal. `ancestors` are the proposals above it, nearest first.

    `template` is the very version that was rendered, `policy` the one that it was judged by; `None` where they are not
    at hand. `other_template` and `other_policy`: something by that name, or for that root, is.
    `denials`: what people denied before of the like of it.
    """

    proposal: Proposal
    ancestors: Sequence[Proposal]
    decisions: Sequence[Approval]
    template: Template | None
    policy: Policy | None
    now: datetime
    other_template: bool = False
    other_policy: bool = False
    denials: Sequence[Denial] = ()

    @property
    def complete(self) -> bool:
        """Whether all ancestors were found."""
        return not [self.proposal, *self.ancestors][-1].parent


def lines(shown: Shown) -> Iterator[str]:
    """The whole page. The proposal was found to be what its digest is over before (`broken`, `disagreement`)."""
    yield from _summary(shown)
    yield from _section("Who asks, and what for", _asking(shown.proposal))
    yield from _section("Risk", _risk(shown))
    yield from _section("Decisions of people", _decisions(shown))
    yield from _section("What it may hold at most, beside its parent", _grants(shown))
    yield from _section("Difference to the template's defaults", _difference(shown))
    yield from _section("Manifest, whole: the Agent that will be created", _manifest(shown.proposal.manifest))
    yield from _section("Digest", _digest(shown.proposal))


def fact(label: str, text: str) -> Iterator[str]:
    """A label of ours, and beside it a text that may not be."""
    return block(text, f"  {label:<12} ")


def _section(heading: str, content: Iterable[str]) -> Iterator[str]:
    yield ""
    yield heading
    yield from content


def _summary(shown: Shown) -> Iterator[str]:
    proposal = shown.proposal
    yield from fact("proposal", proposal.id)
    state = state_of(proposal, shown.now)
    when = (
        f" {'until' if state == 'open' else 'at'} {moment(proposal.expires_at)}" if proposal.phase == "proposed" else ""
    )
    yield from fact("state", f"{state}{when}; {tally(proposal, shown.decisions)}")
    if found := unusual(*_texts(json.loads(proposal.manifest)), proposal.request.purpose):
        more = f" and {len(found) - MOST_UNUSUAL} more" if len(found) > MOST_UNUSUAL else ""
        yield from fact("beware", f"it holds unusual characters: {', '.join(found[:MOST_UNUSUAL])}{more}")
    if understated := _understated(shown):
        yield from fact("beware", understated)
    if shown.denials:
        yield from fact("beware", _denied(shown.denials))
    yield from fact("checked", _checked(shown))


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
    if shown.policy is None:
        return f"{MADE}\n{RISK_UNCHECKED}"
    return MADE if _understated(shown) else f"{MADE}, and the policy at hand no higher risk"


def _understated(shown: Shown) -> str:
    """What to say when the risk is less than what is at hand makes it; `""` when it is not."""
    stored, least = shown.proposal.risk, _least(shown)
    if highest(stored, least) == stored:
        return ""
    people = f"{PEOPLE[least]} different people must approve, and not {PEOPLE[stored]}"
    return f"ITS RISK IS STATED TOO LOW: it is {least}, and not {stored}; {people}"


def _least(shown: Shown) -> Risk:
    """How risky it is at least; `low` where the template is not at hand."""
    template, request = shown.template, shown.proposal.request
    if template is None:
        return "low"
    if shown.policy is None:
        return risk_of(template, request, at_least="low", long_life=MOST_LIFETIME)
    return shown.policy.approval.risk(template, request)


def _asking(proposal: Proposal) -> Iterator[str]:
    yield from fact("root", proposal.root)
    yield from fact("parent", proposal.parent or "none: the root itself asks")
    yield from fact("template", proposal.request.template)
    yield from fact("namespace", proposal.home)
    yield from fact("purpose", proposal.request.purpose)


def _risk(shown: Shown) -> Iterator[str]:
    proposal = shown.proposal
    yield from fact("this", proposal.risk)
    if understated := _understated(shown):
        yield from fact("beware", understated)
    if proposal.parent:
        chain = highest(proposal.risk, *(ancestor.risk for ancestor in shown.ancestors))
        above = ", ".join(f"{ancestor.id} {ancestor.risk}" for ancestor in shown.ancestors)
        gone = "" if shown.complete else "; not all above it are there any more"
        yield from fact("whole chain", f"{chain}; above it: {above or 'nobody'}{gone}")
    yield from fact("why", _why(shown))


def _why(shown: Shown) -> str:
    if shown.template is None:
        return _no_template(shown)
    if shown.policy is None:
        return OTHER_POLICY if shown.other_policy else NO_POLICY
    rule = shown.policy.approval
    reasons = [f"the template says {shown.template.risk}", f"the policy says at least {rule.at_least}"]
    return "\n".join([*reasons, *raised_by(shown.template, shown.proposal.request, long_life=rule.long_life)])


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
    return named | {"lifetime": minutes(grant.lifetime), "depth": str(grant.depth)}


def _difference(shown: Shown) -> Iterator[str]:
    if shown.template is None:
        yield f"  {_no_template(shown)}"
        return
    found = list(differences(shown.proposal.request, shown.template))
    for label, text in found:
        yield from fact(label, text)
    if not found:
        yield "  none"


def _manifest(manifest: str) -> Iterator[str]:
    for path, value in _leaves("", json.loads(manifest)):
        if isinstance(value, str) and "\n" in value:
            yield from behind_gutter([f"{path} = a text of {value.count(LINE_END) + 1} lines:"], "  ")
            yield from block(value, "      ")
        else:
            yield from behind_gutter([f"{path} = {_written(value)}"], "  ")


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Everything in a JSON value that holds nothing itself, by its path; the path is escaped."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            step = f".{key}" if PLAIN_KEY.match(key) else f"[{quoted(key)}]"
            yield from _leaves((path + step).removeprefix("."), part)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _leaves(f"{path}[{number}]", part)
    else:
        yield path, value


def _written(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _texts(value: Any) -> Iterator[str]:
    """Every key and every text in a JSON value."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


def _digest(proposal: Proposal) -> Iterator[str]:
    yield from fact("recomputed", proposal.digest)
    yield "  It is over the canonical bytes (RFC 8785) of the manifest and of what it may hold; not over this page."
    yield "  A decision is bound to it:"
    yield f"  agentspawn approve {escaped(proposal.id)} --digest {escaped(proposal.digest)}"

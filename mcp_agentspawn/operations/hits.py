"""What a finding is worth to a caller: with which template it can be spawned, and what stands in the way.

The guards `registry`, `parameters`, `content` and `manifest` judge here as they will judge the proposal, as far as no
caller has to say anything for it. What depends on the moment and on the whole request is for the proposal.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_agentspawn.content.rules import group_of
from mcp_agentspawn.core.digest import request_digest
from mcp_agentspawn.core.guard import Asked
from mcp_agentspawn.core.model import Caller, Risk
from mcp_agentspawn.core.outcomes import Outcomes, key_of_entry, key_of_template
from mcp_agentspawn.core.registry import TEMPLATE_SOURCE, Blueprint, Finding, RegistryEntry
from mcp_agentspawn.core.render import proposal_id
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Allow, Reason, Verdict
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.lineage import NO_IMAGE
from mcp_agentspawn.guards.registry import no_template
from mcp_agentspawn.operations.answers import Hit
from mcp_agentspawn.operations.propose import rendered_anew, resolved
from mcp_agentspawn.operations.services import LiveFacts, Services
from mcp_agentspawn.operations.weighing import reordered, weighed

PURPOSE = "Search"
MOST_TAKERS = 4
"""So many templates are tried for one entry."""


@dataclass(frozen=True, slots=True)
class Looking:
    """Who searches, by which rules, the templates that it may use, and how its subagents have done."""

    services: Services
    caller: Caller
    policy: Policy
    usable: Mapping[str, Template]
    facts: LiveFacts
    outcomes: Mapping[str, Outcomes] = field(default_factory=dict)

    def record(self, finding: Finding) -> Outcomes:
        """How the subagents of this very template, or of this very entry, have done."""
        found = [key_of_template(finding.blueprint.name)] if finding.blueprint else []
        found += [key_of_entry(finding.entry.handle)] if finding.entry else []
        return self.outcomes.get(found[0], Outcomes())

    def risk(self, template: Template, asked: Asked) -> Risk:
        """How risky a proposal of this would be."""
        return self.policy.approval.risk(template, asked.request, outcomes=self.outcomes)


async def hits_of(looking: Looking, findings: Sequence[Finding]) -> tuple[Hit, ...]:
    """The findings as the caller reads them. Other calls run between any two, so that none waits for a whole page."""
    hits = []
    for finding in reordered(findings, lambda one: one.place, looking.record):
        hits.append(await hit_of(looking, finding))
        await asyncio.sleep(0)
    return tuple(hits)


async def hit_of(looking: Looking, finding: Finding) -> Hit:
    """The finding as the caller reads it."""
    if finding.entry is not None:
        return await _of_entry(looking, finding, finding.entry)
    assert finding.blueprint is not None  # noqa: S101 - a finding is one of the two
    return _of_template(looking, finding, finding.blueprint)


def _of_template(looking: Looking, finding: Finding, blueprint: Blueprint) -> Hit:
    template = looking.usable[blueprint.name]
    asked = resolved(looking.policy, looking.caller, Ask(template.name, PURPOSE), template, None)
    return Hit(
        handle=template.name,
        source=TEMPLATE_SOURCE,
        name=template.name,
        description=template.description,
        labels=tuple(template.keywords),
        score=weighed(finding.place.score, looking.record(finding)),
        matched=finding.matched,
        spawnable=True,
        template=template.name,
        risk=looking.risk(template, asked),
        record=_words(looking.record(finding)),
    )


async def _of_entry(looking: Looking, finding: Finding, entry: RegistryEntry) -> Hit:
    asked, reasons = await _judged(looking, entry)
    template = asked.template
    return Hit(
        handle=str(entry.handle),
        source=entry.registry,
        name=entry.title or entry.name,
        description=entry.description,
        labels=entry.label_words,
        score=weighed(finding.place.score, looking.record(finding)),
        matched=finding.matched,
        spawnable=not reasons,
        blocked_by=tuple(dict.fromkeys(reasons)),
        template=template.name if template else "",
        risk=looking.risk(template, asked) if template else "",
        flags=tuple(dict.fromkeys(f"content.{group_of(rule)}" for rule in entry.suspected_by)),
        running=entry.running,
        record=_words(looking.record(finding)),
    )


def _words(record: Outcomes) -> str:
    return record.in_words if record.counted else ""


async def _judged(looking: Looking, entry: RegistryEntry) -> tuple[Asked, Sequence[Reason]]:
    """The request with the first template that can take it, or else with the first that may, and what is in its way."""
    takers: Sequence[Template | None] = looking.policy.registry.takers(entry, looking.usable)[:MOST_TAKERS] or [None]
    judged: list[tuple[Asked, Sequence[Reason]]] = []
    for taker in takers:
        ask = Ask(taker.name if taker else "", PURPOSE)
        asked = resolved(looking.policy, looking.caller, ask, taker, entry)
        judged.append((asked, await _objections(looking, asked, entry)))
        if not judged[-1][1]:
            return judged[-1]
    return judged[0]


async def _objections(looking: Looking, asked: Asked, entry: RegistryEntry) -> Sequence[Reason]:
    """What the guards have against it, apart from values that only a caller can give."""
    policy, facts, template = looking.policy, looking.facts, asked.template
    against = _reasons(await policy.registry.check(asked, facts))
    if template is None:
        return against if entry.form == "other" else [*against, no_template("No template that you may use can", entry)]
    if entry.missing_prompt:
        return against
    if template.agent.image and looking.caller.agent:
        against = [*against, NO_IMAGE]
    filled = {f"parameters.{name}" for name in template.filled}
    values = _reasons(await policy.parameters.check(asked, facts))
    unfit = [reason for reason in values if reason.field in filled or reason.code == "parameters.too_large"]
    if unfit:
        return [*against, *unfit]
    return [*against, *_reasons(await policy.content.check(asked, facts)), *await _misfits(looking, asked, template)]


async def _misfits(looking: Looking, asked: Asked, template: Template) -> Sequence[Reason]:
    """What the manifest would lack or hold too much of."""
    digest = request_digest(asked.caller, asked.request, template.hash)
    rendered = rendered_anew(looking.services.kind, asked, template, digest, proposal_id(template.name, "search"))
    return _reasons(await looking.policy.manifest.check(rendered, looking.facts))


def _reasons(verdict: Verdict) -> Sequence[Reason]:
    return () if isinstance(verdict, Allow) else verdict.reasons

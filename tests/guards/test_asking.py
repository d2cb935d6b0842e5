"""Guards are asked about the very thing, with the very facts, at the very step and moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, LedgerGuard, ManifestGuard, Rendered, RequestGuard, Step, decide
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Manifest
from mcp_agentspawn.core.verdict import Allow, Deny, Reason, Verdict
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.access import ClusterAccess
from mcp_agentspawn.guards.manifest import ManifestInvariants
from tests.builders import CALLER, NOON
from tests.guards.cases import ID, FixedFacts, asked, ledger, rendered

NO = Deny((Reason("probe.no", "No."),))
HEARD: list[tuple[Any, ...]] = []


class OfRequest(RequestGuard):
    async def check(self, asked: Asked, facts: Facts) -> Verdict:
        HEARD.append(("request", asked, facts))
        return Allow()


class OfManifest(ManifestGuard):
    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        HEARD.append(("manifest", rendered, facts))
        return Allow()


class OfLedger(LedgerGuard):
    def judge(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Verdict:
        HEARD.append(("ledger", step, caller, ledger, now))
        return NO


class Probing(Policy):
    """The rule book with three more rules, which write down how they are asked."""

    of_request: OfRequest = OfRequest()
    of_manifest: OfManifest = OfManifest()
    of_ledger: OfLedger = OfLedger()


def heard(kind: str) -> list[tuple[Any, ...]]:
    """What was written down, once."""
    found = [entry[1:] for entry in HEARD if entry[0] == kind]
    HEARD.clear()
    return found


async def test_a_request_is_judged_with_its_facts() -> None:
    question, facts = asked(), FixedFacts()
    await Probing().before_rendering(question, facts, "propose")["of_request"]()

    assert heard("request") == [(question, facts)]


async def test_a_manifest_is_judged_with_its_facts() -> None:
    made, facts = rendered(), FixedFacts()
    await Probing().once_rendered(made, facts, "propose")["of_manifest"]()

    assert heard("manifest") == [(made, facts)]


async def test_a_ledger_is_judged_again_afresh_before_anybody_is_refused() -> None:
    old, new = ledger(opened=1), ledger(opened=2)
    facts = Asking(held=new, stale=old)
    await Probing().once_rendered(rendered(), facts, "apply")["of_ledger"]()

    assert facts.callers == [("ledger", CALLER, False), ("ledger", CALLER, True)]
    assert heard("ledger") == [("apply", CALLER, old, NOON), ("apply", CALLER, new, NOON)]


def test_inside_the_change_a_ledger_is_judged_as_it_is_then_and_by_name() -> None:
    decision = Probing().room("apply", CALLER, ledger(), NOON)

    assert heard("ledger") == [("apply", CALLER, ledger(), NOON)]
    assert [finding.guard for finding in decision.findings] == ["rate", "quota", "of_ledger"]


async def test_a_place_that_is_reserved_is_not_asked_for_again() -> None:
    questions = Probing().once_rendered(rendered(), FixedFacts(), "apply", reserved=True)

    assert not {"rate", "quota", "of_ledger"} & set(questions)
    assert "of_manifest" in questions


async def test_every_rule_answers_about_a_good_request() -> None:
    policy = Policy.model_validate({"template": {"allow": ["researcher"]}})
    first = await decide(policy.before_rendering(asked(), FixedFacts(), "propose"), everyone=True)
    then = await decide(policy.once_rendered(rendered(), FixedFacts(), "propose"), everyone=True)

    assert [(finding.guard, finding.verdict) for finding in first.findings] == [
        (guard, Allow()) for guard in ("freeze", "template", "registry", "parameters", "content")
    ]
    assert [(finding.guard, finding.verdict) for finding in then.findings] == [
        (guard, Allow()) for guard in ("manifest", "crd", "lineage", "rate", "quota", "access", "approval")
    ]


async def test_a_step_has_its_own_ceilings() -> None:
    policy = Policy.model_validate({"quota": {"open_proposals": 0}})
    at_propose = await policy.once_rendered(rendered(), FixedFacts(), "propose")["quota"]()
    at_apply = await policy.once_rendered(rendered(), FixedFacts(), "apply")["quota"]()

    assert (isinstance(at_propose, Deny), at_apply) == (True, Allow())


@dataclass
class Asking(FixedFacts):
    """Facts that write down for whom they were asked."""

    callers: list[Any] = field(default_factory=list)

    async def models(self, caller: Caller, *, fresh: bool = False) -> frozenset[str]:
        self.callers.append(("models", caller, fresh))
        return frozenset()

    async def tools(self, caller: Caller, *, fresh: bool = False) -> Mapping[str, frozenset[str]]:  # type: ignore[override]  # a test's double answers with less
        self.callers.append(("tools", caller, fresh))
        return {}

    async def ledger(self, caller: Caller, *, fresh: bool = False) -> Ledger:
        self.callers.append(("ledger", caller, fresh))
        return await super().ledger(caller, fresh=fresh)

    async def trial(self, caller: Caller, proposal: str, manifest: Manifest) -> Manifest:
        self.callers.append(("trial", caller, proposal, manifest))
        return manifest


async def test_what_is_there_is_asked_for_the_caller_and_again_afresh() -> None:
    facts = Asking()
    await ManifestInvariants().check(rendered(), facts)

    assert facts.callers == [(kind, CALLER, fresh) for fresh in (False, True) for kind in ("models", "tools")]


async def test_the_trial_is_of_this_callers_very_manifest() -> None:
    facts, made = Asking(), rendered()
    await ClusterAccess().check(made, facts)

    assert facts.callers == [("trial", CALLER, ID, made.manifest)]

"""Every guard is heard about a request or a stored proposal, and nothing comes of it."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core import guard
from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable, Upstream
from mcp_agentspawn.core.model import Proposal
from mcp_agentspawn.core.switches import Freeze
from mcp_agentspawn.core.verdict import Finding
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.explain import (
    CREATE_ANSWERS,
    ENDED,
    HELD,
    IN_TIME,
    NO_TEMPLATE,
    NOT_ONE_POLICY,
    Explained,
    Unanswered,
    Unasked,
    explain_proposal,
    explain_request,
)
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, OTHER, ROOT, Bench, ask, bench, guard_names, policy, template
from tests.guards.cases import ledger
from tests.operations.doubles import failing


async def proposed(setup: Bench, **changes: Any) -> Proposed:
    answer = await propose(setup.services, CALLER, ask(**changes))
    assert isinstance(answer, Proposed), answer.reasons
    await setup.services.later.settle()
    return answer


async def applied(setup: Bench, made: Proposed) -> None:
    answer = await apply(setup.services, CALLER, made.proposal, made.digest)
    assert isinstance(answer, Applied), answer.reasons
    await setup.services.later.settle()


async def of(setup: Bench, made: Proposed) -> Explained:
    explained = await explain_proposal(setup.services, ROOT, made.proposal)
    assert explained is not None
    return explained


async def put_back(setup: Bench, made: Proposed, **changes: Any) -> Proposal:
    """Store the proposal again, not as the server would."""
    stored = await setup.world.proposals.get(made.proposal)
    assert stored is not None
    changed = replace(stored, **changes)
    setup.world.proposals._stored[made.proposal] = changed
    return changed


def codes(explained: Explained) -> list[str]:
    return list(explained.codes)


def changed(explained: Explained) -> list[str]:
    return [reason.code for reason in explained.changed]


def guards(explained: Explained) -> list[str]:
    return [one.guard for one in explained.heard]


def unasked(explained: Explained) -> dict[str, str]:
    return {one.guard: one.why for one in explained.heard if isinstance(one, Unasked)}


async def test_everyone_is_heard_about_a_request_in_the_order_of_the_rule_book() -> None:
    explained = await explain_request(bench().services, CALLER, ask())

    assert guards(explained) == guard_names()
    assert unasked(explained) == {}
    assert (explained.step, explained.policies, explained.decision.outcome) == ("propose", ("default",), "allowed")
    assert explained.manifest is not None
    assert explained.manifest["spec"]["declarative"]["modelConfig"] == "default-model-config"


async def test_a_refusal_ends_nothing() -> None:
    setup = bench(quota={"open_proposals": 0}, rate={"changes_per_minute": 0})
    await setup.world.switchboard.set(Freeze("everywhere", frozen=True))
    explained = await explain_request(setup.services, CALLER, ask(model="gpt-9"))

    assert codes(explained)[:2] == ["freeze.frozen", "manifest.model_not_allowed"]
    assert {"rate.changes_per_minute", "quota.open_proposals"} <= set(codes(explained))
    assert guards(explained) == guard_names()


async def test_nothing_is_reserved_stored_or_recorded() -> None:
    setup = bench(approval={"at_least": "medium"})
    made = await proposed(setup)
    before = len(setup.audit.records)
    ledger_before = await setup.world.ledgers.look(ROOT.name)
    for explained in (await explain_request(setup.services, CALLER, ask(purpose="Other")), await of(setup, made)):
        assert explained.decision.outcome == "pending_approval"

    assert len(setup.audit.records) == before
    assert await setup.world.ledgers.look(ROOT.name) is ledger_before
    assert len(await setup.world.proposals.all()) == 1
    assert not setup.services.later.wanted.is_set()


async def test_without_a_template_nobody_is_asked_about_a_manifest() -> None:
    explained = await explain_request(bench().services, CALLER, ask(template="unknown"))

    assert codes(explained)[0] == "template.not_allowed"
    assert set(unasked(explained).values()) == {NO_TEMPLATE}
    assert {"manifest", "quota", "access"} <= set(unasked(explained))
    assert explained.manifest is None


@pytest.mark.parametrize(
    ("name", "listed", "missing"),
    [
        ("unknown", ["unknown"], "no template of that name"),
        ("researcher", [], "policy does not list"),
        (
            "researcher",
            ["researcher"],
            "manifests --root agents/orchestrator --namespace subagents --template researcher",
        ),
    ],
)
async def test_operators_learn_which_half_of_the_right_to_a_template_is_missing(
    name: str, listed: list[str], missing: str
) -> None:
    setup = bench(template={"allow": listed})
    setup.world.access.granted.clear()
    explained = await explain_request(setup.services, CALLER, ask(template=name))

    assert codes(explained)[0] == "template.not_allowed"
    (said,) = (one.detail for one in explained.heard if isinstance(one, Finding) and one.guard == "template")
    assert missing in said


async def test_a_template_that_is_allowed_has_no_detail() -> None:
    explained = await explain_request(bench().services, CALLER, ask())

    assert {one.detail for one in explained.heard if isinstance(one, Finding)} == {""}


@pytest.mark.parametrize("topic", ["<<<DATA", "\udc80\udc80\udc80"])
async def test_what_can_not_be_rendered_is_not_asked_about(topic: str) -> None:
    explained = await explain_request(bench().services, CALLER, ask(parameters=(("topic", topic),)))

    assert explained.decision.outcome == "denied"
    assert "manifest" in unasked(explained)
    assert "parameters" not in unasked(explained)


def wrapped(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FORBIDDEN = Refused("forbidden.rbac", "You may not.")


@pytest.mark.parametrize(
    ("error", "cause", "detail"),
    [
        (Unavailable("It is away."), "unavailable", "It is away."),
        (Missing("It is gone."), "unavailable", "It is gone."),
        (Refused("unserved", "It serves none."), "unavailable", "It serves none."),
        (Upstream("Long. " * 100), "unavailable", ("Long. " * 100)[:300]),
        (FORBIDDEN, "forbidden", "You may not."),
        (wrapped(Unavailable("It can not be read."), FORBIDDEN), "forbidden", "It can not be read."),
        (KeyError("spec"), "failed", "KeyError: 'spec'"),
    ],
)
async def test_why_a_guard_has_no_answer_is_there_for_operators(error: Exception, cause: str, detail: str) -> None:
    setup = bench()
    setup.world.inventory.violations = failing(error)  # type: ignore[method-assign] # a bad day
    explained = await explain_request(setup.services, CALLER, ask())

    assert [(one.guard, one.cause, one.detail) for one in explained.unanswered] == [("crd", cause, detail)]
    assert (explained.outcome, codes(explained)) == ("unanswered", ["crd.unanswered"])


async def test_a_guard_that_takes_too_long_is_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    setup = bench()
    setup.world.inventory.violations = never  # type: ignore[method-assign,assignment] # a bad day
    monkeypatch.setattr(guard, "ANSWER_WITHIN_SECONDS", 0.05)

    explained = await explain_request(setup.services, CALLER, ask())
    assert Unanswered("crd", "unavailable", IN_TIME) in explained.unanswered


async def test_a_denial_stands_whatever_others_would_say_and_a_hold_does_not() -> None:
    for rules, outcome in (({"rate": {"changes_per_minute": 0}}, "denied"), ({"approval": {"at_least": "high"}}, "")):
        setup = bench(**rules)
        setup.world.inventory.violations = failing(FORBIDDEN)  # type: ignore[method-assign] # not everybody may ask
        explained = await explain_request(setup.services, CALLER, ask())

        assert explained.outcome == (outcome or "unanswered")
        assert codes(explained) == (["rate.changes_per_minute"] if outcome else ["crd.unanswered"])


@pytest.mark.parametrize("names", [(), ("default", "second")])
async def test_without_exactly_one_policy_nobody_is_asked(names: tuple[str, ...]) -> None:
    setup = bench()
    made = await proposed(setup)
    setup.rules.policies = {name: policy() for name in reversed(names)}
    for explained in (await explain_request(setup.services, CALLER, ask()), await of(setup, made)):
        assert explained.policies == names
        assert codes(explained) == ["policy.none"]
        assert guards(explained) == ["policy", *guard_names()]
        assert set(unasked(explained).values()) == {NOT_ONE_POLICY}


async def test_the_proposal_that_stands_for_the_same_request_is_named() -> None:
    setup = bench()
    made = await proposed(setup)

    assert (await explain_request(setup.services, CALLER, ask())).known == made.proposal
    assert (await explain_request(setup.services, CALLER, ask(purpose="Other"))).known == ""


async def test_an_open_proposal_is_judged_as_an_apply_would_be() -> None:
    setup = bench(quota={"live_per_parent": 1})
    made = await proposed(setup)
    explained = await of(setup, made)
    assert (explained.step, guards(explained)) == ("apply", ["proposal", *guard_names()])
    assert unasked(explained) == {"access": CREATE_ANSWERS}
    assert (explained.decision.outcome, changed(explained)) == ("allowed", [])
    assert explained.manifest == made.manifest

    await setup.world.ledgers.change(ROOT.name, lambda _: (ledger(live=1), None))
    assert codes(await of(setup, made)) == ["quota.live_per_parent"]


async def test_a_place_that_is_reserved_already_is_not_judged_again() -> None:
    setup = bench()
    made = await proposed(setup)
    setup.world.agents.create = failing(Unavailable("The API server is away."))  # type: ignore[method-assign] # a bad day
    with pytest.raises(Unavailable):
        await apply(setup.services, CALLER, made.proposal, made.digest)
    explained = await of(setup, made)

    assert explained.decision.outcome == "allowed"
    assert {guard for guard, why in unasked(explained).items() if why == HELD} == {"rate", "quota"}


async def test_what_a_proposal_rests_on_and_has_changed_is_named() -> None:
    setup = bench()
    made = await proposed(setup)
    setup.rules.policies["default"] = policy(manifest={"most_tools": 5})
    explained = await of(setup, made)

    assert (explained.decision.outcome, changed(explained)) == ("allowed", ["proposal.policy_changed"])


async def test_a_template_that_changed_makes_it_stale_and_one_that_is_gone_refused() -> None:
    setup = bench()
    made = await proposed(setup)
    setup.rules.templates["researcher"] = template(description="Another one.")
    stale = await of(setup, made)
    assert codes(stale) == ["proposal.template_changed"]
    assert "manifest" in unasked(stale)

    del setup.rules.templates["researcher"]
    gone = await of(setup, made)
    assert codes(gone)[0] == "template.not_allowed"
    assert set(unasked(gone).values()) == {NO_TEMPLATE, CREATE_ANSWERS}


async def test_a_proposal_that_is_over_forged_or_of_another_make_says_so() -> None:
    setup = bench()
    made = await proposed(setup)
    setup.clock.advance(minutes=15)
    assert codes(await of(setup, made)) == ["proposal.expired"]
    setup.clock.advance(minutes=-15)

    await put_back(setup, made, digest="sha256:forged")
    assert codes(await of(setup, made)) == ["proposal.digest"]
    other = json.loads(canonical(made.manifest)) | {"kind": "Other"}
    await put_back(setup, made, digest=made.digest, manifest=canonical(other))
    assert set(codes(await of(setup, made))) == {"proposal.digest", "proposal.manifest_changed"}


async def test_nobody_is_asked_about_a_proposal_that_has_come_to_its_end() -> None:
    setup = bench()
    withdrawn, live, spent = [await proposed(setup, purpose=purpose) for purpose in ("a", "b", "c")]
    await retire(setup.services, CALLER, withdrawn.proposal)
    for made in (live, spent):
        await applied(setup, made)
    await retire(setup.services, CALLER, spent.proposal)

    said = [await of(setup, made) for made in (withdrawn, live, spent)]
    assert [codes(explained) for explained in said] == [["proposal.lapsed"], [], ["proposal.spent"]]
    assert [explained.decision.outcome for explained in said] == ["denied", "allowed", "denied"]
    assert all(set(unasked(explained).values()) == {ENDED} for explained in said)


async def test_a_proposal_of_another_root_is_none() -> None:
    setup = bench()
    made = await proposed(setup)

    assert await explain_proposal(setup.services, OTHER, made.proposal) is None
    assert await explain_proposal(setup.services, ROOT, "sub-researcher-unknown") is None


async def test_a_proposal_is_looked_at_where_its_subagent_would_live() -> None:
    setup = bench()
    made = await proposed(setup)
    explained = await explain_proposal(setup.services, replace(ROOT, home="elsewhere"), made.proposal)

    assert explained is not None
    assert explained.caller == CALLER

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.core.errors import Conflict, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Caller, Proposal
from mcp_agentspawn.operations.answers import Applied, Proposed, Refusal
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from tests.builders import CALLER, OTHER, ROOT, Bench, ask, bench, template
from tests.guards.cases import ledger
from tests.operations.doubles import OldLook, failing


async def proposal(setup: Bench, **changes: Any) -> Proposed:
    answer = await propose(setup.services, CALLER, ask(**changes))
    assert isinstance(answer, Proposed), answer.reasons
    await setup.services.later.settle()
    return answer


async def applied(setup: Bench, made: Proposed) -> Applied:
    answer = await apply(setup.services, CALLER, made.proposal, made.digest)
    assert isinstance(answer, Applied), answer.reasons
    await setup.services.later.settle()
    return answer


async def refused(
    setup: Bench, made: Proposed, outcome: str = "denied", caller: Caller = CALLER, **changes: str
) -> list[str]:
    handle = {"proposal": made.proposal, "digest": made.digest} | changes
    answer = await apply(setup.services, caller, handle["proposal"], handle["digest"])
    await setup.services.later.settle()
    assert isinstance(answer, Refusal)
    assert answer.outcome == outcome
    return [reason.code for reason in answer.reasons]


async def stored(setup: Bench, made: Proposed) -> Proposal:
    found = await setup.world.proposals.get(made.proposal)
    assert found is not None
    return found


async def test_a_proposal_becomes_exactly_what_was_shown() -> None:
    setup = bench()
    made = await proposal(setup)
    answer = await applied(setup, made)
    agent = await setup.world.agents.get("subagents", made.proposal)

    assert agent is not None
    assert (answer.agent, answer.uid, answer.phase) == (made.proposal, agent.uid, "starting")
    assert answer.a2a_url == f"http://{made.proposal}.subagents:8080/"
    assert answer.agent_expires_at == "2026-11-21T12:30:00Z"
    assert agent.manifest["spec"] == made.manifest["spec"]
    assert ((await stored(setup, made)).phase, (await stored(setup, made)).agent_uid) == ("starting", agent.uid)
    held = await setup.world.ledgers.look(ROOT.name)
    assert (set(held.live), set(held.used), held.open, held.spawned) == ({made.proposal}, {made.proposal}, {}, 1)
    assert setup.audit.events()[-2:] == [("apply.intent", ""), ("apply.outcome", "allowed")]


async def test_the_same_apply_is_one_agent_also_at_the_same_moment() -> None:
    setup = bench()
    made = await proposal(setup)
    answers = await asyncio.gather(*(apply(setup.services, CALLER, made.proposal, made.digest) for _ in range(8)))
    again = await applied(setup, made)

    assert {answer.uid for answer in answers if isinstance(answer, Applied)} == {again.uid}
    assert all(isinstance(answer, Applied) for answer in answers)
    assert (await setup.world.ledgers.look(ROOT.name)).spawned == 1


async def test_the_same_request_while_its_agent_lives_is_the_same_proposal() -> None:
    setup = bench()
    made = await proposal(setup)
    await applied(setup, made)
    again = await proposal(setup)

    assert (again.proposal, again.digest, again.phase) == (made.proposal, made.digest, "starting")


async def test_what_is_not_the_callers_does_not_exist_for_it() -> None:
    setup = bench()
    made = await proposal(setup)

    assert await refused(setup, made, proposal="sub-researcher-other") == ["proposal.unknown"]
    assert await refused(setup, made, caller=Caller(OTHER)) == ["proposal.unknown"]
    assert await refused(setup, made, caller=Caller(ROOT, "sub-child")) == ["proposal.unknown"]


async def test_another_digest_is_refused() -> None:
    setup = bench()
    made, other = await proposal(setup), await proposal(setup, purpose="Other")

    assert await refused(setup, made, digest=other.digest) == ["proposal.digest"]
    assert await refused(setup, made, digest="") == ["proposal.digest"]


async def test_a_proposal_that_was_altered_where_it_is_stored_is_refused() -> None:
    setup = bench()
    made = await proposal(setup)
    manifest = json.loads((await stored(setup, made)).manifest)
    manifest["spec"]["declarative"]["modelConfig"] = "fast-model-config"
    altered = replace(await stored(setup, made), manifest=json.dumps(manifest))
    longer = replace(altered.grant, lifetime=timedelta(hours=4))

    for bad in (altered, replace(await stored(setup, made), grant=longer)):
        setup.world.proposals._stored[made.proposal] = bad
        assert await refused(setup, made) == ["proposal.digest"]


async def test_a_proposal_whose_time_is_over_is_stale() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.clock.advance(minutes=15)

    assert await refused(setup, made, "stale") == ["proposal.expired"]


async def test_a_proposal_whose_template_changed_is_stale() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.rules.templates["researcher"] = template(keywords=["other"])

    assert await refused(setup, made, "stale") == ["proposal.template_changed"]


async def test_what_todays_rules_refuse_is_refused() -> None:
    setup = bench()
    made = await proposal(setup)
    policies = setup.rules.policies
    before = policies["default"]
    for changed, code in (
        ({"template": {"allow": []}}, "template.not_allowed"),
        ({"manifest": {"most_tools": 0}}, "manifest.too_many_tools"),
        ({"parameters": {"most_bytes": 1}}, "parameters.too_large"),
        ({"quota": {"live_per_root": 0}}, "quota.live_per_root"),
        ({"rate": {"changes_per_minute": 1}}, "rate.changes_per_minute"),
    ):
        policies["default"] = type(before).model_validate(before.model_dump(exclude_unset=True) | changed)
        drifted = [] if code.startswith(("quota", "rate")) else ["proposal.policy_changed"]
        assert await refused(setup, made) == [code, *drifted]
    policies.clear()
    assert await refused(setup, made) == ["policy.none"]
    setup.rules.templates.clear()
    policies["default"] = before
    assert await refused(setup, made) == ["template.not_allowed"]


async def test_what_is_no_longer_there_or_granted_is_refused() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.world.inventory.models_in["subagents"] = {"fast-model-config"}
    assert await refused(setup, made) == ["manifest.model_missing"]
    setup.world.access.granted.clear()
    assert await refused(setup, made) == ["template.not_allowed"]


async def test_concurrent_applies_take_exactly_the_places_there_are() -> None:
    setup = bench(quota={"live_per_parent": 3, "open_proposals": 40}, rate={"changes_per_minute": 100})
    made = [await proposal(setup, purpose=f"N {n}") for n in range(20)]
    answers = await asyncio.gather(*(apply(setup.services, CALLER, one.proposal, one.digest) for one in made))
    await setup.services.later.settle()

    assert sum(isinstance(answer, Applied) for answer in answers) == 3
    assert len(await setup.world.agents.of_root(ROOT)) == 3
    assert {answer.reasons[0].code for answer in answers if isinstance(answer, Refusal)} == {"quota.live_per_parent"}


async def test_the_clusters_refusal_gives_the_slot_back_and_still_counts() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.world.agents.limits["subagents"] = 0

    assert await refused(setup, made) == ["access.forbidden.quota"]
    held = await setup.world.ledgers.look(ROOT.name)
    assert (held.live, set(held.used), len(held.changes)) == ({}, {made.proposal}, 2)
    assert (await stored(setup, made)).phase == "lapsed"
    assert await refused(setup, made, "stale") == ["proposal.lapsed"]
    setup.world.agents.limits.clear()
    assert (await proposal(setup)).proposal != made.proposal


async def test_a_lost_answer_keeps_the_slot_and_the_retry_finds_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    create = setup.world.agents.create

    async def created_unheard(*arguments: Any) -> None:
        await create(*arguments)
        raise UnknownOutcome("504")

    monkeypatch.setattr(setup.world.agents, "create", created_unheard)
    with pytest.raises(UnknownOutcome):
        await apply(setup.services, CALLER, made.proposal, made.digest)
    assert set((await setup.world.ledgers.look(ROOT.name)).live) == {made.proposal}
    assert setup.audit.events()[-1] == ("apply.outcome", "unknown")
    monkeypatch.setattr(setup.world.agents, "create", create)
    answer = await applied(setup, made)
    assert [agent.uid for agent in await setup.world.agents.of_root(ROOT)] == [answer.uid]


@pytest.mark.parametrize("limits", [{}, {"subagents": 1}])
async def test_an_apply_that_was_interrupted_before_its_mark_goes_on(
    limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = bench(quota={"live_per_parent": 1})
    made = await proposal(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "mark", failing(Unavailable("gone")))
        first = await applied(setup, made)
        assert setup.services.later.wanted.is_set()
    setup.world.agents.limits |= limits
    second = await applied(setup, made)

    assert (first.uid, (await stored(setup, made)).phase) == (second.uid, "starting")
    assert (await setup.world.ledgers.look(ROOT.name)).spawned == 1


async def test_a_reservation_that_another_replica_made_is_taken_over_although_the_limit_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench(quota={"live_per_parent": 1})
    made = await proposal(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(UnknownOutcome("lost")))
        with pytest.raises(UnknownOutcome):
            await apply(setup.services, CALLER, made.proposal, made.digest)
    before = (await setup.world.ledgers.look(ROOT.name)).live[made.proposal].nonce
    old = OldLook(setup.world.ledgers, ledger(live=1))
    answer = await apply(replace(setup.services, ledgers=old), CALLER, made.proposal, made.digest)

    assert isinstance(answer, Applied)
    assert (await setup.world.ledgers.look(ROOT.name)).live[made.proposal].nonce != before


async def test_a_strangers_agent_of_that_name_is_never_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made, other = await proposal(setup), await proposal(setup, purpose="Other")
    theirs = await applied(setup, other)
    stranger = await setup.world.agents.get("subagents", theirs.agent)

    monkeypatch.setattr(setup.world.agents, "create", failing(Conflict("taken")))
    for found in (stranger, None):
        monkeypatch.setattr(setup.world.agents, "get", found_always(found))
        await refused_once(setup, await proposal(setup, purpose=f"{found}"[:20]))
    assert made.proposal not in (await setup.world.ledgers.look(ROOT.name)).live


async def refused_once(setup: Bench, made: Proposed) -> None:
    assert await refused(setup, made) == ["proposal.name_taken"]


def found_always(agent: Any) -> Any:
    async def get(*_: object) -> Any:
        return agent

    return get


async def test_an_agent_that_has_been_made_and_is_gone_is_not_made_again() -> None:
    setup = bench()
    made = await proposal(setup)
    answer = await applied(setup, made)
    await setup.world.agents.expire("subagents", answer.agent, answer.uid)

    assert await refused(setup, made) == ["proposal.spent"]


async def test_a_slot_that_was_freed_while_the_mark_was_missing_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "mark", failing(Unavailable("gone")))
        answer = await applied(setup, made)
    await setup.world.ledgers.change(ROOT.name, lambda held: (held.released(made.proposal), None))

    assert (await applied(setup, made)).uid == answer.uid
    await setup.world.agents.expire("subagents", answer.agent, answer.uid)
    setup.world.proposals._stored[made.proposal] = replace(await stored(setup, made), phase="proposed")
    assert await refused(setup, made) == ["proposal.spent"]


async def test_a_proposal_whose_place_was_given_up_is_stale() -> None:
    setup = bench()
    made = await proposal(setup)
    await setup.world.ledgers.change(ROOT.name, lambda held: (held.closed(made.proposal), None))

    assert await refused(setup, made, "stale") == ["proposal.lapsed"]


async def test_an_apply_that_was_fenced_takes_its_own_agent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    create = setup.world.agents.create

    async def paused(*arguments: Any) -> Any:
        await setup.world.proposals.mark(await stored(setup, made), "lapsed", reason="abandoned")
        return await create(*arguments)

    monkeypatch.setattr(setup.world.agents, "create", paused)
    await apply(setup.services, CALLER, made.proposal, made.digest)
    await setup.services.later.settle()

    assert await setup.world.agents.of_root(ROOT) == []
    assert (await setup.world.ledgers.look(ROOT.name)).live == {}
    assert ("apply.undone", "lapsed") in setup.audit.events()


async def test_a_proposal_that_vanished_takes_its_agent_with_it() -> None:
    setup = bench()
    made = await proposal(setup)
    await apply(setup.services, CALLER, made.proposal, made.digest)
    del setup.world.proposals._stored[made.proposal]
    await setup.services.later.settle()

    assert await setup.world.agents.of_root(ROOT) == []


async def test_a_mark_that_another_apply_has_set_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    create = setup.world.agents.create

    async def marked_by_another(*arguments: Any) -> Any:
        agent = await create(*arguments)
        await setup.world.proposals.mark(await stored(setup, made), "starting", agent_uid=agent.uid)
        return agent

    monkeypatch.setattr(setup.world.agents, "create", marked_by_another)
    answer = await applied(setup, made)
    assert [agent.uid for agent in await setup.world.agents.of_root(ROOT)] == [answer.uid]


async def test_without_an_audit_no_agent_is_made() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.audit.failing = Unavailable("disk full")

    with pytest.raises(Unavailable):
        await apply(setup.services, CALLER, made.proposal, made.digest)
    assert await setup.world.agents.of_root(ROOT) == []


async def test_a_refusal_by_rbac_names_it() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.world.agents.may_write.discard(ROOT)

    assert await refused(setup, made) == ["access.forbidden.rbac"]


async def test_a_manifest_that_the_builder_would_not_make_any_more_is_stale() -> None:
    setup = bench()
    made = await proposal(setup)
    services = replace(setup.services, kind=KagentAgent(runtime="python"))
    answer = await apply(services, CALLER, made.proposal, made.digest)

    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("stale", ["proposal.manifest_changed"])


async def test_a_limit_that_another_replica_has_just_reached_is_kept() -> None:
    setup = bench(quota={"live_per_parent": 1})
    first, second = await proposal(setup), await proposal(setup, purpose="Other")
    old = OldLook(setup.world.ledgers, ledger())
    await applied(setup, first)
    answer = await apply(replace(setup.services, ledgers=old), CALLER, second.proposal, second.digest)

    assert [reason.code for reason in answer.reasons] == ["quota.live_per_parent"]
    assert setup.audit.events()[-2:] == [("apply.outcome", "denied"), ("refused", "denied")]


async def test_a_rule_that_can_not_be_checked_refuses_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    monkeypatch.setattr(setup.world.inventory, "models", failing(Unavailable("gone")))

    assert await refused(setup, made) == ["manifest.unanswered"]

"""What a proposal rests on changes before it is applied: the second judgement sees it, and says what drifted."""

from typing import Any

from tests.attacks.orchestrators import Orchestrator
from tests.builders import RESEARCHER
from tests.drift.stages import Stage, policy
from tests.localplane.waiting import until

Answer = dict[str, Any]


async def said(caller: Orchestrator, proposal: Answer) -> tuple[str, set[str]]:
    answer = await caller.apply(proposal)
    return answer["outcome"], {reason["code"] for reason in answer["reasons"]}


async def stands(stage: Stage, proposal: Answer) -> bool:
    """Whether its agent does; a place must be held for it then, and for no other."""
    agents = await stage.agents()
    assert set((await stage.cluster.ledger_of(stage.orchestrator.root))["live"]) == agents
    return proposal["proposal"] in agents


async def test_what_nothing_has_changed_for_is_created(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()

    assert await said(stage.orchestrator, proposal) == ("allowed", set())
    assert await stands(stage, proposal)


async def test_a_changed_template_makes_a_proposal_stale(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    await stage.template("researcher", RESEARCHER | {"description": "Answers one question, in other words."})

    assert await said(stage.orchestrator, proposal) == ("stale", {"proposal.template_changed"})
    assert not await stands(stage, proposal)
    assert await said(stage.orchestrator, await stage.orchestrator.propose()) == ("allowed", set())


async def test_a_template_that_became_riskier_is_not_applied_at_the_risk_of_before(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    await stage.template("researcher", RESEARCHER | {"risk": "high"})

    assert await said(stage.orchestrator, proposal) == ("stale", {"proposal.template_changed"})
    assert (await stage.orchestrator.propose())["risk"] == "high"


async def test_a_template_that_is_gone_is_refused(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    await stage.template("researcher", None)
    outcome, codes = await said(stage.orchestrator, proposal)

    assert outcome == "denied"
    assert "template.not_allowed" in codes
    assert not await stands(stage, proposal)


async def test_a_changed_policy_refuses_what_it_refuses_today_and_is_named(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    await stage.policy(policy(manifest={"most_tools": 0}))

    assert await said(stage.orchestrator, proposal) == (
        "denied",
        {"manifest.too_many_tools", "proposal.policy_changed"},
    )
    assert not await stands(stage, proposal)


async def test_a_changed_policy_that_still_allows_it_lets_it_through(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    await stage.policy(policy(manifest={"most_tools": 5}))

    assert await said(stage.orchestrator, proposal) == ("allowed", set())


async def test_a_caller_whose_policy_is_gone_applies_nothing(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    await stage.policy(policy(callers={"namespaces": ["somewhere-else"]}))

    assert await said(stage.orchestrator, proposal) == ("denied", {"policy.none"})
    assert not await stands(stage, proposal)


async def test_a_policy_that_asks_for_people_since_holds_what_needed_none(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    assert proposal["outcome"] == "allowed"
    await stage.policy(policy(approval={"at_least": "medium"}))
    assert await said(stage.orchestrator, proposal) == ("pending_approval", {"approval.waiting"})
    assert not await stands(stage, proposal)

    await stage.approve(proposal, "alice")
    assert await said(stage.orchestrator, proposal) == ("allowed", set())


async def test_a_schema_that_refuses_it_since_makes_a_proposal_stale(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()

    async def is_known() -> bool:
        answer = await stage.orchestrator.propose("Is it known?")
        return "crd.violation" in {reason["code"] for reason in answer["reasons"]}

    async with stage.kind(most_characters=1):
        await until(is_known)
        assert await said(stage.orchestrator, proposal) == ("stale", {"crd.violation", "proposal.crd_changed"})
        assert not await stands(stage, proposal)


async def test_a_schema_that_still_takes_it_lets_it_through(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose()
    async with stage.kind(most_characters=100_000):
        assert await said(stage.orchestrator, proposal) == ("allowed", set())


async def test_a_parent_that_was_made_again_is_another_parent(stage: Stage) -> None:
    leader = await stage.leader()
    proposal = await leader.propose(lifetime_minutes=10)
    assert proposal["outcome"] == "allowed", proposal
    await stage.recreate(leader.agent)

    assert await said(leader, proposal) == ("stale", {"lineage.parent_recreated", "proposal.parent_changed"})


async def test_a_parent_that_is_gone_applies_nothing(stage: Stage) -> None:
    leader = await stage.leader()
    proposal = await leader.propose(lifetime_minutes=10)
    await stage.orchestrator.retire(leader.agent)
    refused = await leader.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})

    assert refused.status_code == 401
    assert await said(stage.orchestrator, proposal) == ("denied", {"proposal.unknown"})
    assert not await stands(stage, proposal)


async def test_a_decision_that_was_taken_back_counts_no_longer(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose(template="careful")
    await stage.approve(proposal, "alice")
    await stage.take_back(proposal, "alice")

    assert await said(stage.orchestrator, proposal) == ("pending_approval", {"approval.waiting"})
    assert not await stands(stage, proposal)


async def test_a_person_who_is_against_it_since_is_heard(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose(template="careful")
    await stage.approve(proposal, "alice")
    await stage.approve(proposal, "bob", "deny")

    assert await said(stage.orchestrator, proposal) == ("denied", {"approval.denied"})
    assert not await stands(stage, proposal)


async def test_an_approval_is_of_one_person_also_when_two_are_asked_for_since(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose(template="careful")
    await stage.approve(proposal, "alice")
    await stage.policy(policy(approval={"at_least": "high"}))
    assert await said(stage.orchestrator, proposal) == ("pending_approval", {"approval.waiting"})

    await stage.approve(proposal, "bob")
    assert await said(stage.orchestrator, proposal) == ("allowed", set())


async def test_an_approval_does_not_outweigh_what_drifted(stage: Stage) -> None:
    proposal = await stage.orchestrator.propose(template="careful")
    await stage.approve(proposal, "alice")
    await stage.policy(policy(quota={"live_per_parent": 0}))

    assert await said(stage.orchestrator, proposal) == ("denied", {"quota.live_per_parent"})
    assert not await stands(stage, proposal)

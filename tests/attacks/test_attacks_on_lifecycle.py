"""A subagent is one object with one uid: never a namesake's, never a stranger's, and gone only when it is gone."""

from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import Orchestrator, codes
from tests.faults.cluster import AGENTS


async def test_a_name_that_is_taken_is_never_adopted_and_says_nothing_of_its_holder(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    proposal = await orchestrator.propose()
    async with field.human_agent(proposal["proposal"]) as human:
        answer = await orchestrator.apply(proposal)
        standing = await field.cluster.get(f"{AGENTS}/{proposal['proposal']}")

    assert codes(answer) == {"proposal.name_taken"}
    assert human["metadata"]["uid"] not in str(answer)
    assert standing is not None
    assert standing["metadata"]["uid"] == human["metadata"]["uid"]


async def test_an_agent_that_people_made_is_not_seen_and_not_retired(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    async with field.human_agent("sub-by-hand") as human:
        assert codes(await orchestrator.retire("sub-by-hand")) == {"agent.unknown"}
        assert codes(await orchestrator.call("get_subagent", agent="sub-by-hand")) == {"agent.unknown"}
        standing = await field.cluster.get(f"{AGENTS}/sub-by-hand")

    assert standing is not None
    assert standing["metadata"]["uid"] == human["metadata"]["uid"]


async def test_a_name_that_somebody_used_again_is_not_the_agent_that_was(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    agent = await orchestrator.spawn()
    await field.cluster.remove(f"{AGENTS}/{agent}")
    async with field.human_agent(agent) as human:
        await orchestrator.retire(agent)
        standing = await field.cluster.get(f"{AGENTS}/{agent}")

    assert standing is not None
    assert standing["metadata"]["uid"] == human["metadata"]["uid"]
    assert "deletionTimestamp" not in standing["metadata"]


async def test_retired_means_that_it_is_gone_and_once_more_changes_nothing(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    agent = await orchestrator.spawn()
    first, second = await orchestrator.retire(agent), await orchestrator.retire(agent)

    assert (first["phase"], second["phase"]) == ("retired", "retired")
    assert await field.cluster.get(f"{AGENTS}/{agent}") is None
    assert (await field.cluster.ledger_of(orchestrator.root))["live"] == {}


async def test_a_retired_agent_stays_gone_whatever_is_called_then(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    proposal = await orchestrator.propose()
    agent = (await orchestrator.apply(proposal))["agent"]
    await orchestrator.retire(agent)
    for url in field.urls:
        assert codes(await orchestrator.at(url).apply(proposal)) == {"proposal.spent"}

    assert (await orchestrator.call("get_subagent", agent=agent))["phase"] == "retired"
    assert await field.cluster.agents_of(orchestrator.root) == []


async def test_retiring_goes_on_when_the_policy_allows_nothing_any_more(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    agent = await orchestrator.spawn()
    async with field.without_policy():
        assert codes(await orchestrator.propose("More")) == {"policy.none"}
        assert (await orchestrator.retire(agent))["phase"] == "retired"

    assert await field.cluster.agents_of(orchestrator.root) == []

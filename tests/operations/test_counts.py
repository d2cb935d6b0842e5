"""Counts that nothing but time and a person can reset."""

from dataclasses import replace

from mcp_agentspawn.core.switches import Reset
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.browse import list_subagents
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, ROOT, Bench, ask, bench
from tests.operations.work import given, refused, worker


async def spawn(setup: Bench, purpose: str = "Find out") -> list[str]:
    """The codes of what refused it; none when it was spawned."""
    made = await propose(setup.services, CALLER, ask(purpose=purpose))
    if not isinstance(made, Proposed):
        return [reason.code for reason in made.reasons]
    answer = await apply(setup.services, CALLER, made.proposal, made.digest)
    await setup.services.later.settle()
    if isinstance(answer, Applied):
        await retire(setup.services, CALLER, answer.agent)
    return [reason.code for reason in answer.reasons]


async def test_retiring_and_spawning_again_ends_at_the_days_limit() -> None:
    setup = bench(quota={"spawned_per_root_per_day": 2}, rate={"changes_per_minute": 100})

    assert [await spawn(setup, f"Number {n}") for n in range(3)] == [[], [], ["quota.spawned_per_root_per_day"]]


async def test_a_person_resets_what_was_counted_until_then() -> None:
    setup = bench(quota={"spawned_per_root_per_day": 1}, rate={"changes_per_minute": 2})
    assert await spawn(setup) == []
    assert await spawn(setup, "Another") == ["rate.changes_per_minute"]
    await setup.world.switchboard.reset(Reset("one", ROOT.name, counts=True, reason="checked", by="alice"))
    setup.clock.advance(seconds=1)

    assert await spawn(setup, "Another") == []
    assert await spawn(setup, "One more") == ["rate.changes_per_minute"]


async def test_a_reset_of_another_root_changes_nothing() -> None:
    setup = bench(rate={"changes_per_minute": 2})
    assert await spawn(setup) == []
    await setup.world.switchboard.reset(Reset("one", "agents/other", counts=True, reason="checked", by="alice"))

    assert await spawn(setup, "Another") == ["rate.changes_per_minute"]


async def test_what_lives_still_counts_after_a_reset() -> None:
    setup = bench(quota={"live_per_parent": 1})
    made = await propose(setup.services, CALLER, ask())
    assert isinstance(made, Proposed)
    assert isinstance(await apply(setup.services, CALLER, made.proposal, made.digest), Applied)
    await setup.world.switchboard.reset(Reset("one", ROOT.name, counts=True, reason="checked", by="alice"))

    assert await spawn(setup, "Another") == ["quota.live_per_parent"]


async def test_a_recreated_service_account_goes_on_only_after_a_person_said_so() -> None:
    setup = bench()
    first, again = replace(CALLER, account="uid-1"), replace(CALLER, account="uid-2")
    assert isinstance(await propose(setup.services, first, ask()), Proposed)
    refused = await propose(setup.services, again, ask(purpose="Another"))
    assert [reason.code for reason in refused.reasons] == ["lineage.account_recreated"]
    assert (await list_subagents(setup.services, again)).outcome == "allowed"

    await setup.world.switchboard.reset(Reset("one", ROOT.name, account="uid-2", reason="moved", by="alice"))
    assert isinstance(await propose(setup.services, again, ask(purpose="Another")), Proposed)
    refused = await propose(setup.services, first, ask(purpose="A third"))
    assert [reason.code for reason in refused.reasons] == ["lineage.account_recreated"]


async def test_a_recreated_service_account_gives_no_work_to_the_old_tree_before_a_person_said_so() -> None:
    setup = bench()
    first, again = replace(CALLER, account="uid-1"), replace(CALLER, account="uid-2")
    agent = await worker(setup, caller=first)
    task = (await given(setup, agent, caller=first)).task
    assert await refused(setup, agent, caller=again) == ("denied", "lineage.account_recreated")
    assert await refused(setup, agent, "Go on", task, caller=again) == ("denied", "lineage.account_recreated")
    assert await refused(setup, "sub-nowhere", caller=again) == ("denied", "agent.unknown")
    assert len(setup.remote_agents.said) == 1

    await setup.world.switchboard.reset(Reset("one", ROOT.name, account="uid-2", reason="moved", by="alice"))
    assert (await given(setup, agent, "Go on", task, caller=again)).state == "completed"

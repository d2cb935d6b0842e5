from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Conflict, Missing, Unavailable
from mcp_agentspawn.core.ledger import Live
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.operations import retire as module
from mcp_agentspawn.operations.answers import Applied, Refusal, Retired
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, NOON, OTHER, ROOT, Bench, bench
from tests.operations.doubles import failing
from tests.operations.trees import proposed


async def spawned(setup: Bench) -> Applied:
    made = await proposed(setup)
    agent = await apply(setup.services, CALLER, made.proposal, made.digest)
    assert isinstance(agent, Applied)
    await setup.services.later.settle()
    return agent


async def retired(setup: Bench, agent: str, reason: str = "") -> Retired:
    answer = await retire(setup.services, CALLER, agent, reason)
    assert isinstance(answer, Retired), answer.reasons
    await setup.services.later.settle()
    return answer


async def refused(setup: Bench, agent: str, caller: Caller = CALLER) -> list[str]:
    answer = await retire(setup.services, caller, agent)
    assert isinstance(answer, Refusal)
    return [reason.code for reason in answer.reasons]


async def phase(setup: Bench, id_: str) -> str:
    stored = await setup.world.proposals.get(id_)
    assert stored is not None
    return stored.phase


async def test_a_retired_agent_is_gone_and_its_place_is_free() -> None:
    setup = bench()
    agent = await spawned(setup)
    answer = await retired(setup, agent.agent, "done")
    held = await setup.world.ledgers.look(ROOT.name)

    assert (answer.phase, answer.retired, answer.not_yet) == ("retired", (agent.agent,), ())
    assert await setup.world.agents.get("subagents", agent.agent) is None
    assert (held.live, set(held.used)) == ({}, {agent.agent})
    assert await phase(setup, agent.agent) == "retired"
    assert setup.audit.events()[-2:] == [("retire.intent", ""), ("retire.outcome", "retired")]


async def test_retiring_twice_is_fine() -> None:
    setup = bench()
    agent = await spawned(setup)
    await retired(setup, agent.agent)

    assert (await retired(setup, agent.agent)).phase == "retired"


async def test_after_it_was_retired_the_same_request_is_a_new_proposal() -> None:
    setup = bench()
    agent = await spawned(setup)
    await retired(setup, agent.agent)

    assert (await proposed(setup)).proposal != agent.agent


async def test_an_open_proposal_is_withdrawn() -> None:
    setup = bench()
    made = await proposed(setup)
    answer = await retired(setup, made.proposal)

    assert (answer.phase, await phase(setup, made.proposal)) == ("lapsed", "lapsed")
    assert (await setup.world.ledgers.look(ROOT.name)).open == {}
    assert (await retired(setup, made.proposal)).phase == "lapsed"
    applied = await apply(setup.services, CALLER, made.proposal, made.digest)
    assert (applied.outcome, [reason.code for reason in applied.reasons]) == ("stale", ["proposal.lapsed"])


async def test_what_is_not_the_callers_does_not_exist_for_it() -> None:
    setup = bench()
    agent, made = await spawned(setup), await proposed(setup, purpose="Other")

    assert await refused(setup, "sub-researcher-nothing") == ["agent.unknown"]
    assert await refused(setup, agent.agent, Caller(OTHER)) == ["agent.unknown"]
    assert await refused(setup, made.proposal, Caller(OTHER)) == ["agent.unknown"]
    assert await setup.world.agents.get("subagents", agent.agent) is not None


async def test_retiring_never_counts_against_the_rate() -> None:
    setup = bench(rate={"changes_per_minute": 2})
    agent = await spawned(setup)

    assert (await retired(setup, agent.agent)).phase == "retired"
    assert len((await setup.world.ledgers.look(ROOT.name)).changes) == 2


async def test_an_agent_that_was_deleted_by_hand_frees_its_place() -> None:
    setup = bench()
    agent = await spawned(setup)
    await setup.world.agents.expire("subagents", agent.agent, agent.uid)

    assert (await retired(setup, agent.agent)).phase == "retired"
    assert (await setup.world.ledgers.look(ROOT.name)).live == {}


async def test_a_place_is_not_free_while_the_agent_is_on_its_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await spawned(setup)
    monkeypatch.setattr(module, "GONE_WITHIN_SECONDS", 0.02)
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.001)

    async def on_its_way(*_: object) -> bool:
        return False

    monkeypatch.setattr(setup.world.agents, "delete", on_its_way)
    answer = await retired(setup, agent.agent)
    assert (answer.phase, answer.not_yet, answer.retired) == ("retiring", (agent.agent,), ())
    assert set((await setup.world.ledgers.look(ROOT.name)).live) == {agent.agent}


async def test_it_waits_until_the_agent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await spawned(setup)
    expire = setup.world.agents.expire

    async def slowly(*_: object) -> bool:
        setup.services.later.start(expire("subagents", agent.agent, agent.uid))
        return False

    monkeypatch.setattr(setup.world.agents, "delete", slowly)
    assert (await retired(setup, agent.agent)).phase == "retired"


async def test_the_clusters_refusal_is_passed_on() -> None:
    setup = bench()
    agent = await spawned(setup)
    setup.world.agents.may_write.discard(ROOT)

    assert await refused(setup, agent.agent) == ["access.forbidden.rbac"]
    assert set((await setup.world.ledgers.look(ROOT.name)).live) == {agent.agent}


async def test_without_an_audit_nothing_is_removed() -> None:
    setup = bench()
    agent = await spawned(setup)
    setup.audit.failing = Unavailable("disk full")

    with pytest.raises(Unavailable):
        await retire(setup.services, CALLER, agent.agent)
    assert await setup.world.agents.get("subagents", agent.agent) is not None


@pytest.mark.parametrize("error", [Conflict("changed"), Missing("gone")])
async def test_a_withdrawal_that_loses_a_race_looks_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    mark, tries = setup.world.proposals.mark, iter([error])

    async def once(*arguments: Any, **words: Any) -> Any:
        if failed := next(tries, None):
            raise failed
        return await mark(*arguments, **words)

    monkeypatch.setattr(setup.world.proposals, "mark", once)
    assert (await retired(setup, made.proposal)).phase == "lapsed"


async def test_an_agent_that_was_made_while_its_proposal_was_withdrawn_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    made = await proposed(setup)
    get, looks = setup.world.agents.get, iter([True])

    async def too_early(*arguments: Any) -> Any:
        return None if next(looks, False) else await get(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "mark", failing(Unavailable("later")))
        await apply(setup.services, CALLER, made.proposal, made.digest)
        await setup.services.later.settle()
    monkeypatch.setattr(setup.world.agents, "get", too_early)
    answer = await retired(setup, made.proposal)

    assert answer.phase == "retired"
    assert await setup.world.agents.of_root(ROOT) == []
    assert (await setup.world.ledgers.look(ROOT.name)).live == {}


@pytest.mark.parametrize(("reason", "shown"), [("work is done", True), ("a\u202eb", False), ("x" * 500, True)])
async def test_the_reason_is_kept_where_people_can_read_it(
    reason: str,
    shown: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    agent = await spawned(setup)
    mark, said = setup.world.proposals.mark, []

    async def listening(*arguments: Any, **words: Any) -> Any:
        said.append(words.get("reason", ""))
        return await mark(*arguments, **words)

    monkeypatch.setattr(setup.world.proposals, "mark", listening)
    await retired(setup, agent.agent, reason)
    assert said == [reason[:200] if shown else ""]
    assert reason not in repr(setup.audit.records)


async def test_a_mark_is_not_set_on_what_has_ended_or_is_gone() -> None:
    setup = bench()
    agent = await spawned(setup)
    stored = await setup.world.proposals.get(agent.agent)
    assert stored is not None
    await setup.world.proposals.delete(stored)
    await retired(setup, agent.agent)

    assert await setup.world.proposals.all() == []
    assert replace(Live(NOON, "n", "r")) == Live(NOON, "n", "r")


async def test_an_agent_in_a_home_that_the_root_had_before_is_removed_there_or_not_said_to_be() -> None:
    setup = bench()
    agent = (await spawned(setup)).agent
    answer = await retire(setup.services, Caller(replace(ROOT, home="elsewhere")), agent)
    await setup.services.later.settle()

    assert isinstance(answer, Retired)
    assert (answer.retired, await setup.world.agents.get(ROOT.home, agent)) == ((agent,), None)

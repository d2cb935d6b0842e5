"""Two attempts at one proposal: a place is free only when no agent of either stands or can still come."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Refused, UnknownOutcome
from mcp_agentspawn.core.ledger import Live
from mcp_agentspawn.core.model import Subagent
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.repair import repair
from tests.builders import CALLER, ROOT, Bench, bench
from tests.operations.doubles import failing
from tests.operations.trees import proposed, tried

FULL = Refused("forbidden.quota", "exceeded quota: agentspawn")


async def held(setup: Bench) -> dict[str, Live]:
    return dict((await setup.world.ledgers.look(ROOT.name)).live)


def overtaken(setup: Bench, made: Proposed) -> Any:
    """An API server that refuses this attempt's create, and takes another's just after this one looked."""
    get, create = setup.world.agents.get, setup.world.agents.create

    async def looked(home: str, id_: str) -> Subagent | None:
        seen = await get(home, id_)
        if seen is None:
            agent = await create(ROOT, made.proposal, made.manifest)
            stored = await setup.world.proposals.get(made.proposal)
            assert stored
            await setup.world.proposals.mark(stored, "starting", agent_uid=agent.uid)
        return seen

    return looked


async def test_a_refused_attempt_leaves_the_place_of_the_one_that_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "get", overtaken(setup, made))
        patch.setattr(setup.world.agents, "create", failing(FULL))
        answer = await tried(setup, made)
    await repair(setup.services)

    assert [reason.code for reason in answer.reasons] == ["access.forbidden.quota"]
    assert set(await held(setup)) == {made.proposal}
    assert [agent.id for agent in await setup.world.agents.of_root(ROOT)] == [made.proposal]
    assert setup.services.later.wanted.is_set()


async def test_a_place_is_not_free_while_an_agent_that_will_be_taken_back_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    made = await proposed(setup)
    get, create = setup.world.agents.get, setup.world.agents.create

    async def looked(home: str, id_: str) -> Subagent | None:
        stored = await setup.world.proposals.get(made.proposal)
        if stored and stored.phase == "lapsed" and await get(home, id_) is None:
            await create(ROOT, made.proposal, made.manifest)
        return await get(home, id_)

    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "get", looked)
        patch.setattr(setup.world.agents, "create", failing(FULL))
        await tried(setup, made)
    assert set(await held(setup)) == {made.proposal}

    await repair(setup.services)
    assert (await setup.world.agents.of_root(ROOT), await held(setup)) == ([], {})


async def test_the_last_of_two_refused_attempts_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)

    async def refused_after_another(*_: object) -> None:
        stored = await setup.world.proposals.get(made.proposal)
        assert stored
        await setup.world.proposals.mark(stored, "lapsed", reason="refused")
        raise FULL

    monkeypatch.setattr(setup.world.agents, "create", refused_after_another)
    answer = await tried(setup, made)

    assert [reason.code for reason in answer.reasons] == ["access.forbidden.quota"]
    assert await held(setup) == {}


async def test_an_agent_that_is_taken_back_keeps_its_place_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    create = setup.world.agents.create

    async def fenced(*arguments: Any) -> Subagent:
        stored = await setup.world.proposals.get(made.proposal)
        assert stored
        await setup.world.proposals.mark(stored, "lapsed", reason="abandoned")
        return await create(*arguments)

    async def on_its_way(*_: object) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", fenced)
        patch.setattr(setup.world.agents, "delete", on_its_way)
        await tried(setup, made)
    assert set(await held(setup)) == {made.proposal}
    assert setup.services.later.wanted.is_set()

    await repair(setup.services)
    assert (await setup.world.agents.of_root(ROOT), await held(setup)) == ([], {})


async def test_repair_counts_from_the_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(UnknownOutcome("lost")))
        for _ in range(2):
            with pytest.raises(UnknownOutcome):
                await apply(setup.services, CALLER, made.proposal, made.digest)
            setup.clock.advance(seconds=60)

    assert await repair(setup.services) == []
    setup.clock.advance(seconds=30)
    assert [action.verb for action in await repair(setup.services)] == ["fence"]


async def test_an_agent_on_its_way_out_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    assert isinstance(await tried(setup, made), Applied)
    get = setup.world.agents.get

    async def leaving(home: str, id_: str) -> Subagent | None:
        found = await get(home, id_)
        return replace(found, deleting=True) if found else None

    monkeypatch.setattr(setup.world.agents, "get", leaving)
    answer = await tried(setup, made)

    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("denied", ["proposal.spent"])

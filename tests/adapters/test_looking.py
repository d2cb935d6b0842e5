"""Whoever looks only changes nothing, and what may not be tried is not known."""

import pytest

from mcp_agentspawn.adapters.looking import AgentsForLooking, AuditForLooking, ForgetfulAudit
from mcp_agentspawn.adapters.memory import MemoryWorld
from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.ports import Record
from tests.builders import ROOT
from tests.operations.doubles import failing

ID = "sub-researcher-a"


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld([ROOT])


async def test_nothing_is_recorded_by_whoever_looks() -> None:
    with pytest.raises(Unavailable):
        await AuditForLooking().write(Record("apply.intent", ROOT.name, ""))


async def test_a_world_that_is_thrown_away_has_an_audit_that_goes_on() -> None:
    audit = ForgetfulAudit()
    heads = [await audit.write(Record("apply.intent", ROOT.name, "")) for _ in range(2)]

    assert [head.sequence for head in heads] == [1, 2]


async def test_nothing_is_created_or_removed(world: MemoryWorld) -> None:
    agents = AgentsForLooking(world.agents)
    for change in (
        agents.create(ROOT, ID, {}),
        agents.trial_delete(ROOT, ID, "uid"),
        agents.delete(ROOT, ID, "uid"),
        agents.expire(ROOT.home, ID, "uid"),
    ):
        with pytest.raises(Refused):
            await change

    assert await agents.get(ROOT.home, ID) is None
    assert (await agents.of_root(ROOT), await agents.of_home(ROOT.home)) == ([], [])


async def test_that_the_asker_may_not_act_as_the_root_is_no_answer_about_the_root(world: MemoryWorld) -> None:
    agents = AgentsForLooking(world.agents)
    refusals = {
        'User "bob" cannot impersonate-on:user-info:create resource "agents"': Unavailable,
        'User "agentspawn:agents:orchestrator" cannot create resource "agents"': Refused,
    }
    for message, kind in refusals.items():
        world.agents.trial = failing(Refused("forbidden.rbac", message))  # type: ignore[method-assign] # its answer
        with pytest.raises(kind):
            await agents.trial(ROOT, ID, {})

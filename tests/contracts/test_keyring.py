"""The own credentials of subagents: put there once, for their pods alone, and taken away."""

from mcp_agentspawn.core.names import CREDENTIAL_PREFIX
from tests.contracts.stages import Stage, fresh
from tests.faults.cluster import HOME


def credential(agent: str, ending: str = "one") -> str:
    return f"{CREDENTIAL_PREFIX}agents/contract-a/{agent}/{ending}"


async def test_a_credential_lies_there_as_it_was_put(stage: Stage) -> None:
    agent = fresh()

    await stage.world.keyring.put(HOME, agent, credential(agent))

    assert await stage.credential(agent) == credential(agent)


async def test_of_two_attempts_the_first_one_counts(stage: Stage) -> None:
    agent = fresh()

    await stage.world.keyring.put(HOME, agent, credential(agent))
    await stage.replica.keyring.put(HOME, agent, credential(agent, "another"))

    assert await stage.credential(agent) == credential(agent)


async def test_what_is_removed_is_gone_and_stays_gone(stage: Stage) -> None:
    agent, other = fresh(), fresh()
    for name in (agent, other):
        await stage.world.keyring.put(HOME, name, credential(name))

    await stage.world.keyring.remove(HOME, agent)
    await stage.replica.keyring.remove(HOME, agent)

    assert (await stage.credential(agent), await stage.credential(other)) == ("", credential(other))


async def test_another_may_be_put_where_one_was_removed(stage: Stage) -> None:
    agent = fresh()
    await stage.world.keyring.put(HOME, agent, credential(agent))
    await stage.world.keyring.remove(HOME, agent)

    await stage.world.keyring.put(HOME, agent, credential(agent, "another"))

    assert await stage.credential(agent) == credential(agent, "another")

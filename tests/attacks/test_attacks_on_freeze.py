"""A person's switch stops every new spawn on every server, and nothing else."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import Orchestrator, codes
from tests.attacks.people import FREEZES, OPERATORS, Person
from tests.localplane.waiting import until

FROZEN = {"freeze.frozen"}
PLACES: dict[str, dict[str, str]] = {
    "everywhere": {},
    "namespace.agents": {"namespace": "agents"},
    "namespace.subagents": {"namespace": "subagents"},
    "root": {"root": "its own"},
}


@pytest_asyncio.fixture
async def oscar(field: Battlefield) -> AsyncIterator[Person]:
    """An operator who leaves nothing frozen."""
    oscar = Person(field.cluster, "oscar", (OPERATORS,))
    yield oscar
    for name in PLACES:
        await oscar.unfreeze(name)


@pytest.mark.parametrize("place", PLACES)
async def test_a_freeze_stops_propose_and_apply_on_every_server_and_retiring_goes_on(
    field: Battlefield, orchestrator: Orchestrator, oscar: Person, place: str
) -> None:
    agent, proposal = await orchestrator.spawn(), await orchestrator.propose("Another")
    name, where = _named(place, orchestrator)
    assert await oscar.freeze(name, **where) in {200, 201}
    for caller in [orchestrator.at(url) for url in field.urls]:
        await until(partial(_stopped, caller))
        assert codes(await caller.apply(proposal)) == FROZEN
    assert len((await orchestrator.call("list_subagents"))["subagents"]) == 2
    assert (await orchestrator.call("get_subagent", agent=agent))["outcome"] == "allowed"
    assert (await orchestrator.retire(agent))["phase"] == "retired"
    assert await field.cluster.agents_of(orchestrator.root) == []

    assert await oscar.unfreeze(name) == 200
    await until(partial(_made, orchestrator, proposal))


async def test_a_freeze_of_one_root_stops_no_other(
    field: Battlefield, orchestrator: Orchestrator, oscar: Person
) -> None:
    name, where = _named("root", orchestrator)
    await oscar.freeze(name, **where)
    await until(partial(_stopped, orchestrator))

    assert (await (await field.newcomer()).propose())["outcome"] == "allowed"
    await oscar.unfreeze(name)


async def test_nobody_on_the_agents_side_unfreezes(
    field: Battlefield, orchestrator: Orchestrator, oscar: Person
) -> None:
    name, where = _named("root", orchestrator)
    await oscar.freeze(name, **where)
    account = f"system:serviceaccount:{orchestrator.root.namespace}:{orchestrator.root.account}"
    for user in (account, orchestrator.root.virtual_user):
        assert await Person(field.cluster, user, (OPERATORS,)).unfreeze(name) == 422
    token = await field.cluster.token_of(orchestrator.root, audience="")
    context = field.cluster.plane.connection("").ssl_context()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.delete(f"{field.cluster.plane.url}{FREEZES}/{name}", ssl=context) as response,
    ):
        assert response.status == 403

    await until(partial(_stopped, orchestrator))
    await oscar.unfreeze(name)


def _named(place: str, orchestrator: Orchestrator) -> tuple[str, dict[str, str]]:
    if place == "root":
        return f"root.{orchestrator.root.key}", {"root": orchestrator.root.name}
    return place, PLACES[place]


async def _stopped(caller: Orchestrator) -> bool:
    """Whether this server has seen it; the API server, which sees it first, refuses in other words."""
    answer = await caller.propose("While it is frozen")
    return answer["outcome"] == "denied" and codes(answer) == FROZEN


async def _made(caller: Orchestrator, proposal: dict[str, Any]) -> bool:
    return bool((await caller.apply(proposal))["outcome"] == "allowed")

"""How ledgers are asked for; what they promise is in `tests/contracts`, how they are written in `test_group_commit`."""

import asyncio

from mcp_agentspawn.adapters.kubernetes.ledgers import KNOWN_SECONDS, KubernetesLedgers
from mcp_agentspawn.core.errors import Unavailable
from tests.adapters.kubernetes.fake_api import Scripted, Time

NOTHING = (404, {"kind": "Status", "reason": "NotFound", "message": "x"})
ROOT = "agents/orchestrator"


async def test_many_who_look_at_the_same_moment_cost_one_reading() -> None:
    wire = Scripted([NOTHING])
    ledgers = KubernetesLedgers(wire.client(), Time())

    seen = await asyncio.gather(*(ledgers.look(ROOT) for _ in range(20)), ledgers.look("agents/other"))

    assert {ledger.root for ledger in seen} == {ROOT, "agents/other"}
    assert len(wire.calls) == 2


async def test_what_was_seen_is_known_for_two_seconds_and_no_longer() -> None:
    wire, time = Scripted([NOTHING]), Time()
    ledgers = KubernetesLedgers(wire.client(), time)
    asked = []

    for moment in (0.0, KNOWN_SECONDS, KNOWN_SECONDS + 0.1):
        time.now = moment
        await ledgers.look(ROOT)
        asked.append(len(wire.calls))

    assert asked == [1, 1, 2]


async def test_who_insists_gets_a_reading_of_their_own() -> None:
    wire = Scripted([NOTHING])
    ledgers = KubernetesLedgers(wire.client(), Time())

    await asyncio.gather(ledgers.look(ROOT), *(ledgers.look(ROOT, fresh=True) for _ in range(3)))

    assert len(wire.calls) == 4


async def test_a_ledger_that_was_stored_before_there_were_outcomes_has_none() -> None:
    spec = {"root": ROOT, "account": "", "open": {}, "live": {}, "used": {}, "changes": [], "spawned": 3, "audit": {}}
    wire = Scripted([(200, {"metadata": {"resourceVersion": "7"}, "spec": spec})])

    found = await KubernetesLedgers(wire.client(), Time()).look(ROOT)

    assert (found.spawned, found.outcomes) == (3, {})


async def test_a_reading_that_failed_is_everybodys_and_is_not_known() -> None:
    wire = Scripted([(503, {}), NOTHING])
    ledgers = KubernetesLedgers(wire.client(), Time())

    said = await asyncio.gather(*(ledgers.look(ROOT) for _ in range(3)), return_exceptions=True)

    assert [type(error) for error in said] == [Unavailable] * 3
    assert (await ledgers.look(ROOT)).root == ROOT
    assert len(wire.calls) == 2

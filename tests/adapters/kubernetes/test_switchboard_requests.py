"""How the switches are asked for and switched; what they mean is in `tests/contracts` and `tests/core`."""

import asyncio
import json
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.switchboard import MOST_TRIES, KubernetesSwitchboard
from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.switches import Freeze
from tests.adapters.kubernetes.fake_api import Scripted, Time

EVERYWHERE = Freeze("everywhere", frozen=True, reason="A fire", by="alice")
SPEC = {"frozen": False, "namespace": "", "root": "", "reason": "", "by": "installation"}
TAKEN = (409, {"kind": "Status", "reason": "AlreadyExists", "message": "x"})
CHANGED = (409, {"kind": "Status", "reason": "Conflict", "message": "x"})
GONE = (404, {"kind": "Status", "reason": "NotFound", "message": "x"})
DONE: tuple[int, dict[str, Any]] = (200, {})


def stored(version: str = "7", **spec: Any) -> dict[str, Any]:
    metadata = {
        "name": "everywhere",
        "resourceVersion": version,
        "uid": "1",
        "labels": {"app.kubernetes.io/part-of": "agentspawn"},
        "annotations": {"note": "x"},
        "creationTimestamp": "2026-11-21T12:00:00Z",
        "managedFields": [{}],
    }
    return {"metadata": metadata, "spec": SPEC | spec}


def page(*items: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"metadata": {}, "items": list(items)}


async def test_both_kinds_are_listed_together_and_again_after_half_a_second() -> None:
    wire, time = Scripted([page(stored()), page(), page(stored(frozen=True)), page()]), Time()
    switchboard = KubernetesSwitchboard(wire.client(), time)
    said = []

    for moment in (0.0, 0.4, 0.5):
        time.now = moment
        said.append((await switchboard.current()).freezes[0].frozen)

    assert said == [False, False, True]
    assert [call.path.rpartition("/")[2] for call in wire.calls] == ["spawnfreezes", "spawnresets"] * 2


async def test_many_who_ask_at_the_same_moment_cost_one_reading() -> None:
    wire = Scripted([page(stored()), page()])
    switchboard = KubernetesSwitchboard(wire.client(), Time())

    await asyncio.gather(*(switchboard.current() for _ in range(20)))

    assert len(wire.calls) == 2


async def test_who_insists_is_not_given_what_is_known() -> None:
    wire = Scripted([page(stored()), page(), page(stored(frozen=True)), page()])
    switchboard = KubernetesSwitchboard(wire.client(), Time())

    assert not (await switchboard.current()).freezes[0].frozen
    assert (await switchboard.current(fresh=True)).freezes[0].frozen
    assert [call.query.get("resourceVersion") for call in wire.calls] == ["0", "0", None, None]


@pytest.mark.parametrize("which", [0, 1], ids=["freezes", "resets"])
@pytest.mark.parametrize("answer", [(503, {}), (403, {}), (404, {}), (429, {}), (200, {})])
async def test_without_both_lists_nothing_is_known_and_nothing_old_is_given(
    answer: tuple[int, dict[str, Any]], which: int
) -> None:
    failing = [page(stored()), page()]
    failing[which] = answer
    wire, time = Scripted([page(stored()), page(), *failing]), Time()
    switchboard = KubernetesSwitchboard(wire.client(), time)
    await switchboard.current()
    time.now = 0.5

    with pytest.raises(Unavailable):
        await switchboard.current()


@pytest.mark.parametrize("broken", [{"frozen": "false"}, {"frozen": None}, {"frozen": 0}])
async def test_a_freeze_that_says_neither_is_no_answer(broken: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        await KubernetesSwitchboard(Scripted([page(stored(**broken)), page()]).client()).current()


async def test_a_freeze_that_lacks_a_field_is_no_answer() -> None:
    lacking = stored()
    del lacking["spec"]["root"]

    with pytest.raises(Unavailable):
        await KubernetesSwitchboard(Scripted([page(lacking), page()]).client()).current()


async def test_what_is_there_is_replaced_and_keeps_what_others_wrote_on_it() -> None:
    wire = Scripted([(200, stored()), DONE])

    await KubernetesSwitchboard(wire.client()).set(EVERYWHERE)

    sent = json.loads(wire.calls[1].body or b"")
    kept = {key: stored()["metadata"][key] for key in ("name", "resourceVersion", "labels", "annotations")}
    assert [call.method for call in wire.calls] == ["GET", "PUT"]
    assert sent["metadata"] == {"namespace": "agentspawn-system", **kept}
    assert sent["spec"] == {"frozen": True, "namespace": "", "root": "", "reason": "A fire", "by": "alice"}


async def test_only_the_freeze_that_is_switched_is_read_and_it_is_said_what_it_was() -> None:
    wire = Scripted([(200, stored(frozen=True, by="bob")), CHANGED, (200, stored(by="carol")), DONE])

    replaced = await KubernetesSwitchboard(wire.client()).set(EVERYWHERE)

    assert replaced == Freeze("everywhere", frozen=False, by="carol")
    assert {call.path.rpartition("/")[2] for call in wire.calls} == {"everywhere"}


@pytest.mark.parametrize("broken", [{"frozen": "false"}, {"by": None, "frozen": None}])
async def test_a_freeze_that_can_not_be_read_is_replaced_all_the_same(broken: dict[str, Any]) -> None:
    wire = Scripted([(200, stored(**broken)), DONE])

    assert await KubernetesSwitchboard(wire.client()).set(EVERYWHERE) is None
    assert json.loads(wire.calls[1].body or b"")["spec"]["frozen"] is True


async def test_what_is_not_there_is_made_without_a_version() -> None:
    wire = Scripted([GONE, (201, {})])

    assert await KubernetesSwitchboard(wire.client()).set(EVERYWHERE) is None

    assert [call.method for call in wire.calls] == ["GET", "POST"]
    assert "resourceVersion" not in json.loads(wire.calls[1].body or b"")["metadata"]


async def test_whoever_was_faster_is_looked_at_again() -> None:
    wire = Scripted([GONE, TAKEN, (200, stored("1")), CHANGED, (200, stored("2")), GONE, (200, stored("3")), DONE])

    await KubernetesSwitchboard(wire.client()).set(EVERYWHERE)

    assert [call.method for call in wire.calls] == ["GET", "POST"] + ["GET", "PUT"] * 3
    assert json.loads(wire.calls[-1].body or b"")["metadata"]["resourceVersion"] == "3"


async def test_it_is_not_tried_for_ever() -> None:
    wire = Scripted([CHANGED if number % 2 else (200, stored()) for number in range(2 * MOST_TRIES)])

    with pytest.raises(Unavailable):
        await KubernetesSwitchboard(wire.client()).set(EVERYWHERE)

    assert len(wire.calls) == 2 * MOST_TRIES


@pytest.mark.parametrize(("code", "kind"), [(403, Refused), (500, UnknownOutcome)])
async def test_what_was_not_switched_is_not_said_to_be(code: int, kind: type[Exception]) -> None:
    wire = Scripted([(200, stored()), (code, {})])

    with pytest.raises(kind):
        await KubernetesSwitchboard(wire.client()).set(EVERYWHERE)

    assert len(wire.calls) == 2

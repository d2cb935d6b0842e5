"""What a replica takes for leadership when the API server is slow, silent or says no."""

import asyncio
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.lease import (
    LEASE_SECONDS,
    MARGIN_SECONDS,
    RENEW_SECONDS,
    REQUEST_SECONDS,
    KubernetesLeadership,
    this_process,
)
from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from tests.adapters.kubernetes.fake_api import Scripted, Time
from tests.builders import FixedClock

CONFLICT = (409, {"kind": "Status", "reason": "AlreadyExists", "message": "x"})
MISSING = (404, {"kind": "Status", "reason": "NotFound", "message": "x"})
FAILURES = [
    Unavailable("x"),
    UnknownOutcome("x"),
    Refused("forbidden", "x"),
    (403, {}),
    (500, {}),
    (200, {"metadata": {}}),
    CONFLICT,
]


def lease(holder: str = "me", version: str = "1", **spec: Any) -> tuple[int, dict[str, Any]]:
    said = {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3} | spec
    return 200, {"metadata": {"resourceVersion": version}, "spec": said}


class Replica:
    """One process, its clock, and what the API server answers it."""

    def __init__(self, *answers: Any) -> None:
        self.wire = Scripted(list(answers))
        self.time = Time()
        self.leadership = KubernetesLeadership(self.wire.client(), FixedClock(), "me", self.time)

    async def held_after(self, seconds: float) -> bool:
        self.time.now += seconds
        return await self.leadership.held()

    @property
    def asked(self) -> list[str]:
        return [call.method for call in self.wire.calls]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_who_can_not_ask_does_not_lead(failure: Any) -> None:
    assert not await Replica(failure).leadership.held()


@pytest.mark.parametrize("failure", FAILURES[:-1], ids=str)
async def test_who_can_not_renew_leads_until_its_time_is_over(failure: Any) -> None:
    replica = Replica(MISSING, lease(), failure)
    assert await replica.leadership.held()

    assert await replica.held_after(LEASE_SECONDS - MARGIN_SECONDS - 0.1)
    assert not await replica.held_after(0.1)
    assert not await replica.held_after(1000)


async def test_why_it_can_not_be_had_is_known_until_it_can() -> None:
    replica = Replica(Refused("forbidden", "no right"), MISSING, lease(), Unavailable("no answer"), lease(version="2"))

    problems = []
    for _ in range(4):
        await replica.held_after(6)
        problems.append(replica.leadership.problem)

    assert problems == ["no right", "", "no answer", ""]


@pytest.mark.parametrize("answers", [[lease("another")], [lease(""), CONFLICT], [MISSING, CONFLICT]], ids=str)
async def test_that_another_one_has_it_is_no_problem(answers: list[Any]) -> None:
    replica = Replica(*answers)

    assert not await replica.leadership.held()
    assert replica.leadership.problem == ""


async def test_who_holds_it_asks_nobody_for_a_while() -> None:
    replica = Replica(MISSING, lease(), lease(version="2"))

    assert [await replica.held_after(0) for _ in range(3)] == [True] * 3
    assert await replica.held_after(RENEW_SECONDS - 0.1)
    assert replica.asked == ["GET", "POST"]
    assert await replica.held_after(0.1)
    assert replica.asked == ["GET", "POST", "PUT"]


async def test_the_time_counts_from_before_the_write() -> None:
    replica = Replica(MISSING, lease(), Unavailable("x"))
    send = replica.wire.send

    async def slowly(call: Any) -> Any:
        answer = await send(call)
        replica.time.now += LEASE_SECONDS - MARGIN_SECONDS
        return answer

    replica.wire.send = slowly  # type: ignore[method-assign] # a slow wire

    assert not await replica.leadership.held()


async def test_a_renewal_whose_answer_was_lost_is_found_again() -> None:
    replica = Replica(MISSING, lease(), UnknownOutcome("x"), CONFLICT, lease(version="2"), lease(version="3"))
    assert await replica.leadership.held()

    assert [await replica.held_after(6), await replica.held_after(2)] == [True, True]
    assert replica.asked == ["GET", "POST", "PUT", "PUT", "GET", "PUT"]


async def test_who_lost_it_to_another_one_knows_at_once() -> None:
    replica = Replica(MISSING, lease(), CONFLICT, lease("another"))
    assert await replica.leadership.held()

    assert not await replica.held_after(6)
    assert not await replica.held_after(0)


async def test_a_race_for_what_is_free_has_one_winner() -> None:
    replica = Replica(lease("", version="7"), CONFLICT)

    assert not await replica.leadership.held()


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": None}, {"holderIdentity": ""}])
async def test_a_lease_without_a_holder_is_free(spec: dict[str, Any]) -> None:
    free = (200, {"metadata": {"resourceVersion": "7"}, "spec": spec})
    replica = Replica(free, lease(version="8"))

    assert await replica.leadership.held()
    assert b'"resourceVersion":"7"' in (replica.wire.calls[1].body or b"")


async def test_releasing_never_fails_and_is_asked_for_once() -> None:
    replica = Replica(MISSING, lease(), Unavailable("x"))
    assert await replica.leadership.held()

    await replica.leadership.release()
    await replica.leadership.release()

    assert replica.asked == ["GET", "POST", "PUT"]
    assert b"holderIdentity" not in (replica.wire.calls[-1].body or b"")


async def test_who_released_it_has_to_take_it_again() -> None:
    free = (200, {"metadata": {"resourceVersion": "2"}, "spec": {}})
    replica = Replica(MISSING, lease(), free, lease("another"))
    assert await replica.leadership.held()

    await replica.leadership.release()

    assert not await replica.leadership.held()


async def test_another_one_is_waited_for_as_long_as_it_is_seen_to_live() -> None:
    first, second = lease("another", renewTime="1"), lease("another", renewTime="2")
    replica = Replica(first, first, second, second, second, lease())

    assert [await replica.held_after(after) for after in (0, 14, 14, 14, 2)] == [False] * 4 + [True]


def test_a_leader_stops_while_a_request_can_still_end_before_another_one_begins() -> None:
    assert (LEASE_SECONDS, MARGIN_SECONDS) == (15, 5.0)
    assert RENEW_SECONDS + REQUEST_SECONDS < LEASE_SECONDS - MARGIN_SECONDS


async def test_many_who_ask_at_once_are_one_question() -> None:
    replica = Replica(MISSING, lease())
    send = replica.wire.send

    async def slowly(call: Any) -> Any:
        await asyncio.sleep(0)
        return await send(call)

    replica.wire.send = slowly  # type: ignore[method-assign] # a slow wire

    assert await asyncio.gather(*(replica.leadership.held() for _ in range(5))) == [True] * 5
    assert replica.asked == ["GET", "POST"]


def test_no_two_processes_have_one_name() -> None:
    assert len({this_process() for _ in range(100)}) == 100

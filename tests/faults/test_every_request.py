"""A fault at every request that an operation makes, one at a time, whatever requests those are.

Each operation runs once without a fault; then once for each of its requests and each kind of fault. SOAK=1 has every
kind of fault, with and without a retry.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.invariants import (
    agrees,
    all_slots_are_to_be_had,
    at_rest,
    audit_is_whole,
    nothing_was_spent_twice,
    watched,
)
from tests.faults.matrix import Case, Step, a_case, nobody_else, steps
from tests.faults.mess import mess
from tests.faults.nursery import nursery
from tests.faults.proxy import Effect, FaultProxy
from tests.faults.replicas import start
from tests.faults.servers import Answer, Server, Start, Unserved
from tests.faults.spawning import approved_lead, credential, lead, spawned_by
from tests.localplane.waiting import until

SOAK = bool(os.environ.get("SOAK"))
ANSWERS_WITHIN_SECONDS = 20.0
LIMIT = 3
EFFECTS: dict[str, Effect] = {"unheard": faults.cut_after}
if SOAK:
    EFFECTS |= {
        "unsent": faults.cut_before,
        "timeout": faults.gateway_timeout,
        "error": faults.answers(500),
        "slowed": faults.answers(429, Retry_After="1"),
        "late": faults.delay(2.0),
    }
READS_FAIL_IN = {"propose", "apply-lead", "repair"}
"""Operations whose reads fail, too, outside of a soak: between them they make all that there are."""
KILLS: Mapping[str, Effect] = {"before": faults.hold} | ({"after": faults.hold_answer} if SOAK else {})

pytestmark = pytest.mark.timeout(1800 if SOAK else 240)


async def _nothing(_case: Case, _server: Server) -> Answer:
    return {}


async def _proposal(_case: Case, server: Server) -> Answer:
    return await server.propose()


async def _lead(case: Case, server: Server) -> Answer:
    return await approved_lead(case.cluster, server)


async def _agent(case: Case, server: Server) -> Answer:
    made = await server.apply(await server.propose())
    await _marked(case, made["agent"])
    return made


async def _tree(case: Case, server: Server) -> Answer:
    top = await lead(case.cluster, server)
    below = await spawned_by(server.of(await credential(case.cluster, top)))
    for agent in (top, below["agent"]):
        await _marked(case, agent)
    return {"agent": top}


async def _marked(case: Case, agent: str) -> None:
    async def marked() -> bool:
        return await case.cluster.phase_of(agent) == "starting"

    await until(marked)


@dataclass(frozen=True)
class Operation:
    """What is there before, and the call; without a call it is what a server does by itself when it starts."""

    prepare: Callable[[Case, Server], Awaitable[Answer]]
    call: Callable[[Server, Answer], Awaitable[Answer]] | None

    async def prepared(self, case: Case) -> Answer:
        """Do what comes before, in a life of its own of the server, so that it remembers nothing of it."""
        if self.call is None:  # no server is there to look after it already
            await mess(case.cluster, case.root)
            return {}
        async with case.server() as server:
            return await self.prepare(case, server)


OPERATIONS = {
    "propose": Operation(_nothing, lambda server, _: server.propose()),
    "apply": Operation(_proposal, lambda server, made: server.apply(made)),
    "apply-lead": Operation(_lead, lambda server, made: server.apply(made)),
    "retire": Operation(_agent, lambda server, made: server.retire(made["agent"])),
    "retire-tree": Operation(_tree, lambda server, made: server.retire(made["agent"])),
    "withdraw": Operation(_proposal, lambda server, made: server.retire(made["proposal"])),
    "repair": Operation(_nothing, None),
}


class Stage(NamedTuple):
    """What cases are made of."""

    cluster: Cluster
    proxy: FaultProxy
    start: Start
    folder: Path

    def case(self) -> AbstractAsyncContextManager[Case]:
        """A new one."""
        self.proxy.clear()
        return a_case(self.cluster, self.proxy, self.start, self.folder)


@pytest.fixture(scope="module")
def starts(cluster: Cluster) -> Iterator[Start]:
    with nursery(cluster.plane._group) as ready:
        yield ready.start


@pytest_asyncio.fixture
async def stage(cluster: Cluster, proxy: FaultProxy, starts: Start, tmp_path: Path) -> Stage:
    await nobody_else(cluster)
    return Stage(cluster, proxy, starts, tmp_path)


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_killed_at_any_request_it_is_finished_or_undone_by_the_next_start(
    stage: Stage, name: str, kill: str
) -> None:
    operation = OPERATIONS[name]
    recorded = await _recorded(stage, operation)
    for step, retry in _cases(recorded, reads=SOAK):
        async with _right_in_the_end(stage, operation, step, retry=retry) as (case, prepared):
            await _killed(case, operation, prepared, step, KILLS[kill])


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_any_request_may_fail_and_nothing_is_lost_and_nothing_is_twice(
    stage: Stage, name: str, effect: str
) -> None:
    operation = OPERATIONS[name]
    recorded = await _recorded(stage, operation)
    for step, retry in _cases(recorded, reads=SOAK or name in READS_FAIL_IN):
        async with _right_in_the_end(stage, operation, step, retry=retry) as (case, prepared):
            await _struck(case, operation, prepared, step, EFFECTS[effect])


def _cases(recorded: list[Step], *, reads: bool) -> list[tuple[Step, bool]]:
    """Each request; every other time the caller calls again afterwards.

    In a soak both, and also what is read again, or to say whether the server is ready.
    """
    if SOAK:
        return [(step, retry) for step in recorded if step.changes or reads for retry in (True, False)]
    chosen = [step for step in recorded if step.changes or (reads and step.nth == 1 and not step.is_of_a_probe)]
    assert chosen
    return [(step, number % 2 == 0) for number, step in enumerate(chosen)]


async def _recorded(stage: Stage, operation: Operation) -> list[Step]:
    """The requests of a run without a fault."""
    async with stage.case() as case:
        prepared = await operation.prepared(case)
        async with case.server(through_the_proxy=True) as server:
            await case.looked_after(server)
            if operation.call is not None:
                case.proxy.clear()
                answer = await operation.call(server, prepared)
                assert answer["outcome"] == "allowed", answer
                await case.proxy.quiet()
            return steps(case.proxy.forwarded)


@asynccontextmanager
async def _right_in_the_end(
    stage: Stage, operation: Operation, step: Step, *, retry: bool
) -> AsyncIterator[tuple[Case, Answer]]:
    """A case in which something happens; then the server starts again, perhaps hears the same call, and is right."""
    try:
        async with stage.case() as case, watched(case.cluster, case.root) as sight:
            prepared = await operation.prepared(case)
            yield case, prepared
            async with case.server() as server, start(case.cluster, case.root) as replica:
                if retry and operation.call is not None:
                    answer = await operation.call(server, prepared)
                    assert answer["outcome"] == "allowed", answer
                await at_rest(replica.later())
                await agrees(case.cluster, case.root, replica)
                await nothing_was_spent_twice(case.cluster, case.root)

                assert {len(uids) for uids in sight.uids.values()} <= {1}, sight.told()
                await audit_is_whole(server, replica)
                if SOAK:
                    await all_slots_are_to_be_had(case.cluster, case.root, replica, LIMIT)
    except BaseException as error:
        error.add_note(f"at {step}, {'with' if retry else 'without'} a retry")
        raise


async def _killed(case: Case, operation: Operation, prepared: Answer, step: Step, effect: Effect) -> None:
    """Kill the server when this request has come to the proxy, or when it was done."""
    if operation.call is None:
        fault = case.strike(step, effect)
        living = asyncio.ensure_future(_life(case))
        await _reached(fault, step, effect, living)
        case.kill()
        await asyncio.wait([living])
        living.exception()  # a start that was cut short is what was wanted
        return
    async with case.server(through_the_proxy=True) as server:
        await case.proxy.quiet()
        fault = case.strike(step, effect)
        calling = asyncio.ensure_future(_answer(operation.call(server, prepared)))
        await _reached(fault, step, effect, calling)
        case.kill()
        await calling


async def _struck(case: Case, operation: Operation, prepared: Answer, step: Step, effect: Effect) -> None:
    """Let this request fail; the call is answered in time all the same."""
    if operation.call is None:
        fault = case.strike(step, effect)
        await _life(case)
    else:
        async with case.server(through_the_proxy=True) as server:
            await case.proxy.quiet()
            fault = case.strike(step, effect)
            answer = await _answer(operation.call(server, prepared))
            assert answer is None or "server.failed" not in {reason["code"] for reason in answer["reasons"]}
            await case.proxy.quiet()
    assert fault.came or not step.changes


async def _life(case: Case) -> None:
    """The server starts, repairs, and is killed when it is quiet."""
    async with case.server(through_the_proxy=True) as server:
        await case.looked_after(server)


async def _reached(fault: faults.Fault, step: Step, effect: Effect, work: "asyncio.Future[Any]") -> None:
    """Wait for the request; one that only reads may be spared by what is remembered."""
    reached = asyncio.ensure_future(fault.forwarded() if effect is faults.hold_answer else fault.arrived())
    await asyncio.wait([work, reached], return_when=asyncio.FIRST_COMPLETED)
    if not fault.came and not step.changes:
        reached.cancel()
    else:
        await reached


async def _answer(call: Awaitable[Answer]) -> Answer | None:
    """What a caller hears in time; `None` when the server has ended, or could not tell who calls."""
    try:
        return await asyncio.wait_for(call, ANSWERS_WITHIN_SECONDS)
    except (aiohttp.ClientError, Unserved):
        return None

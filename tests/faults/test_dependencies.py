"""The API server is away, slow or lying: whatever changes anything is refused in time, and nothing ends or hangs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.operations.answers import Refusal
from mcp_agentspawn.server.calls import ANSWER_WITHIN_SECONDS
from tests.faults import proxy as faults
from tests.faults.cluster import Cluster
from tests.faults.invariants import agrees, all_slots_are_to_be_had, at_rest, audit_is_whole
from tests.faults.nursery import nursery
from tests.faults.proxy import Effect, FaultProxy
from tests.faults.replicas import Replica, start
from tests.faults.servers import LEGACY, Answer, Rules, Server, Start, serve
from tests.localplane.waiting import until

LIMIT = 3
GRACE_SECONDS = 3.0
REFUSED, UNANSWERED = {"denied", "unavailable"}, {"server.unavailable", "server.unknown_outcome"}
EVERYTHING_ELSE, REVIEWS = r"^(?!.*tokenreviews)", r"tokenreviews"
STATUS = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}})
FAILURES: dict[str, Effect] = {
    "away": faults.cut_before,
    "unheard": faults.cut_after,
    "hanging": faults.hold,
    "hanging-afterwards": faults.hold_answer,
    "broken": faults.answers(500, "etcdserver: no leader"),
    "overloaded": faults.answers(503),
    "slowing": faults.answers(429, Retry_After="1"),
    "turning-away": faults.answers(429),
    "elsewhere": faults.answers(302, Location="http://127.0.0.1:1/"),
    "saying-html": faults.answers(200, "<html>Sign in</html>"),
    "saying-nothing": faults.answers(200),
    "saying-little": faults.answers(200, "{}"),
    "saying-a-list": faults.answers(200, "[]"),
    "saying-something-else": faults.answers(200, STATUS),
    "saying-nonsense": faults.answers(200, '{"items": 1, "metadata": [], "spec": null, "status": "yes"}'),
    "saying-half": faults.answers(201, '{"kind": "Agent", "metadata": {"na'),
    "saying-it-too-deep": faults.answers(200, "[" * 100_000),
    "broken-and-too-deep": faults.answers(500, "[" * 100_000),
}
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def starts(cluster: Cluster) -> Iterator[Start]:
    with nursery(cluster.plane._group) as ready:
        yield ready.start


@dataclass
class Bench:
    """A server behind the proxy that has one agent and one open proposal, and how the world looked then."""

    cluster: Cluster
    root: Root
    proxy: FaultProxy
    server: Server
    agent: Answer
    proposal: Answer

    def calls(self) -> dict[str, Any]:
        """One of each tool's calls."""
        return {
            "propose": self.server.propose("Something new"),
            "apply": self.server.apply(self.proposal),
            "retire": self.server.retire(self.agent["agent"]),
            "list": self.server.call("list_subagents"),
            "get": self.server.call("get_subagent", agent=self.agent["agent"]),
            "templates": self.server.call("list_templates"),
            "search": self.server.call("search_agents_agentregistry", query="research"),
        }


@pytest_asyncio.fixture
async def bench(cluster: Cluster, root: Root, proxy: FaultProxy, starts: Start, tmp_path: Path) -> AsyncIterator[Bench]:
    rules = Rules(tmp_path)
    rules.write()
    async with serve(cluster, [root], rules, proxy, start=starts) as server:
        agent = await server.apply(await server.propose())
        proposal = await server.propose("To be applied")
        await proxy.quiet()
        yield Bench(cluster, root, proxy, server, agent, proposal)


@asynccontextmanager
async def _failing(bench: Bench, effect: Effect, path: str) -> AsyncIterator[None]:
    weather = bench.proxy.always(".*", path, effect)
    try:
        yield
    finally:
        weather.end()
        await bench.proxy.quiet()


@pytest.mark.parametrize("failure", list(FAILURES))
async def test_without_the_api_server_changes_are_refused_in_time_and_afterwards_all_goes_on(
    bench: Bench, failure: str
) -> None:
    async with _failing(bench, FAILURES[failure], EVERYTHING_ELSE):
        answers = await _in_time(bench.calls())
        assert {answers[name]["outcome"] for name in ("propose", "apply", "retire")} <= REFUSED, answers
        for answer in answers.values():
            assert answer["outcome"] == "allowed" or _is_for_want_of_an_answer(answer), answer
        await _lives(bench.server, ready=False)
    assert (await bench.server.retire(bench.agent["agent"]))["phase"] == "retired"
    await _lives(bench.server, ready=True)
    await _is_right_in_the_end(bench)


@pytest.mark.parametrize("failure", list(FAILURES))
async def test_a_credential_that_can_not_be_reviewed_is_nobodys_and_not_for_longer_than_that(
    bench: Bench, failure: str
) -> None:
    unknown = bench.server.of(await bench.cluster.token_of(bench.root))
    weather = bench.proxy.always(".*", REVIEWS, FAILURES[failure])
    began = time.monotonic()
    assert await _status(unknown) in {401, 503}
    assert time.monotonic() - began < ANSWER_WITHIN_SECONDS + GRACE_SECONDS
    weather.end()

    async def heard() -> bool:
        return await _status(unknown) == 200

    await until(heard)
    await _lives(bench.server, ready=True)


@pytest.mark.parametrize("failure", ["away", "hanging", "saying-nonsense"])
async def test_no_answer_rests_on_a_watch(
    cluster: Cluster, root: Root, proxy: FaultProxy, starts: Start, tmp_path: Path, failure: str
) -> None:
    watches = proxy.always("GET", r"[?&]watch=", FAILURES[failure])
    rules = Rules(tmp_path)
    rules.write()
    async with serve(cluster, [root], rules, proxy, start=starts) as server:
        applied = await server.apply(await server.propose())
        listed = await server.call("list_subagents")
        retired = await server.retire(applied["agent"])
        await until(lambda: watches.came)
        watches.end()

    assert [entry["agent"] for entry in listed["subagents"]] == [applied["agent"]]
    assert retired["phase"] == "retired"


@pytest.mark.parametrize("steps", [[1, -1], [-1, 1], [25, -26, 1], [-25, 50, -25]])
async def test_when_the_clock_steps_nothing_is_lost_and_nothing_is_twice(
    cluster: Cluster, root: Root, steps: list[int]
) -> None:
    async with start(cluster, root) as replica, start(cluster, root) as punctual:
        made = [await _lived_through(replica, number, timedelta(hours=hours)) for number, hours in enumerate(steps)]
        assert len({uid for uid in made if uid}) == len([uid for uid in made if uid])
        await at_rest(punctual.later())
        await agrees(cluster, root, punctual)
        await all_slots_are_to_be_had(cluster, root, punctual, LIMIT)


async def _lived_through(replica: Replica, number: int, step: timedelta) -> str:
    """Propose, let the clock step, apply and repair; the uid of the agent, or nothing when it was too late."""
    proposal = await replica.propose(purpose=f"Question {number}")
    replica.clock.ahead += step
    answer = await replica.applied(proposal)
    await replica.services.later.settle()
    await replica.repair()
    if isinstance(answer, Refusal):
        assert {reason.code for reason in answer.reasons} <= {"proposal.expired", "quota.live_per_parent"}
        return ""
    return str(getattr(answer, "uid", ""))


async def _in_time(calls: dict[str, Any]) -> dict[str, Answer]:
    """What each of them hears, all at the same time, within what a caller waits."""
    async with asyncio.timeout(ANSWER_WITHIN_SECONDS + GRACE_SECONDS):
        return dict(zip(calls, await asyncio.gather(*calls.values()), strict=True))


def _is_for_want_of_an_answer(answer: Answer) -> bool:
    codes = {reason["code"] for reason in answer["reasons"]}
    return all(code in UNANSWERED or code.endswith(".unanswered") for code in codes)


async def _lives(server: Server, *, ready: bool) -> None:
    assert server.process.poll() is None
    async with server.session.get(f"{server.url}/healthz") as response:
        assert response.status == 200

    async def as_it_should_be() -> bool:
        return await server.is_ready() == ready

    await until(as_it_should_be)
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


async def _is_right_in_the_end(bench: Bench) -> None:
    async with start(bench.cluster, bench.root) as replica:
        await at_rest(replica.later())
        await agrees(bench.cluster, bench.root, replica)
        await audit_is_whole(bench.server, replica)


async def _status(server: Server) -> int:
    """The HTTP status that its credential gets."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = LEGACY | {"X-Agentspawn-Token": server.token}
    async with server.session.post(f"{server.url}/mcp", json=message, headers=headers) as response:
        return response.status

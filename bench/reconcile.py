"""What thousands of subagents cost the server that watches them, and those who call it.

    python -m bench.reconcile [--agents N] [--only sync|expiry|calls] [--save]

How long after a start everything is watched, the memory that this takes, how late an expiry is acted on, and what
listing and applying cost beside few subagents and beside all.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from bench.contenders import TOPIC, Bare, measured
from bench.figures import percentile, save
from bench.helpers import megabytes
from bench.population import Population
from bench.spawn import LIMITS, bare_contender
from mcp_agentspawn.adapters.kubernetes.world import connect
from mcp_agentspawn.core.model import Root, Subagent
from mcp_agentspawn.localplane import Binaries, ControlPlane, find_or_build
from tests.faults.cluster import AGENTS, Cluster, equip
from tests.faults.replicas import kubeconfig
from tests.faults.servers import LEADS, Rules, Server, serve

ROOTS = 50
FEW = 100
CALLERS_OWN = 10
CALLS, ROUNDS = 20, 5
EXPIRIES = 5
LIFETIME = timedelta(seconds=8)
QUIET_SECONDS = 5.0
LOOK_SECONDS = 0.02
MOST_WAIT_SECONDS = 300.0
IN_SYNC = "agentspawn_reconciler_in_sync 1.0"
AIMS = {
    "sync_seconds": 30.0,
    "watch_megabytes": 50.0,
    "expiry_late_seconds": 2.0,
    "list_at_scale_ratio": 1.2,
    "apply_at_scale_ratio": 1.2,
}
WORDS = {
    "sync_seconds": "from a start until everything is watched, s",
    "watch_megabytes": "memory above a server that watches nothing, MB",
    "expiry_late_seconds": "an Agent gone after its time, the latest, s",
    "list_at_scale_ratio": f"list_subagents, against the same beside {FEW}",
    "apply_at_scale_ratio": f"apply_subagent, against the same beside {FEW}",
}
Figures = dict[str, float]


@dataclass(frozen=True)
class Field:
    """A control plane, the roots whose subagents fill it, and one that calls."""

    cluster: Cluster
    population: Population
    caller: Root
    rules: Rules
    bare: Bare
    agents: int

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Server]:
        """A server for all roots, ready; it is killed in the end."""
        async with serve(self.cluster, [self.caller, *self.population.roots], self.rules) as server:
            yield server


@asynccontextmanager
async def prepared(binaries: Binaries, agents: int) -> AsyncIterator[Field]:
    """Everything but the subagents."""
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(ControlPlane(binaries))
        cluster = await stack.enter_async_context(equip(plane))
        caller, *roots = [await cluster.onboard(f"crowd-{number}") for number in range(ROOTS + 1)]
        rules = Rules(Path(stack.enter_context(TemporaryDirectory())))
        rules.write(**LIMITS)
        world = await stack.enter_async_context(connect([caller, *roots], kubeconfig=kubeconfig(cluster, caller)))
        population = Population(cluster, world, roots)
        await population.make_room()
        (sample,) = await population.settle(caller, 1)
        bare = await stack.enter_async_context(bare_contender(cluster, dict(sample.manifest)))
        yield Field(cluster, population, caller, rules, bare, agents)


async def run(binaries: Binaries, agents: int, only: str) -> Figures:
    """The figures that were asked for; the subagents are made once for all."""
    figures: Figures = {}
    async with prepared(binaries, agents) as field:
        async with field.server() as server:
            await told(server, IN_SYNC)
            await asyncio.sleep(QUIET_SECONDS)
            idle = megabytes(server.process.pid, "VmRSS")
        await field.population.grow(FEW)
        before = await _called(field) if only in {"", "calls"} else {}
        await field.population.grow(agents - FEW)
        if only in {"", "sync"}:
            figures |= await _synced(field, idle)
        if only in {"", "expiry"}:
            figures |= await _expired(field)
        if only in {"", "calls"}:
            after = await _called(field)
            figures |= {f"{name}_at_scale_ratio": after[name] / before[name] for name in before}
    return figures


async def told(server: Server, line: str) -> None:
    """Wait until the server's metrics say this."""
    await _until(lambda: server.tells(line))


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(MOST_WAIT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - a bounded wait for another process
            await asyncio.sleep(LOOK_SECONDS)


async def _synced(field: Field, idle: float) -> Figures:
    began = time.perf_counter()
    async with field.server() as server:
        await told(server, IN_SYNC)
        seconds = time.perf_counter() - began
        await asyncio.sleep(QUIET_SECONDS)
        taken = megabytes(server.process.pid, "VmRSS") - idle
        most = megabytes(server.process.pid, "VmHWM") - idle
    return {"sync_seconds": seconds, "watch_megabytes": taken, "watch_most_megabytes": most}


async def _expired(field: Field) -> Figures:
    async with field.server() as server:
        await told(server, LEADS)
        await told(server, IN_SYNC)
        mortal = await field.population.settle(field.population.roots[0], EXPIRIES, LIFETIME)
        late = await asyncio.gather(*(_late(field.cluster, agent) for agent in mortal))
    return {"expiry_late_seconds": max(late)}


async def _late(cluster: Cluster, agent: Subagent) -> float:
    async def gone() -> bool:
        return await cluster.get(f"{AGENTS}/{agent.id}") is None

    await asyncio.sleep((agent.expires_at - datetime.now(UTC)).total_seconds() - 1)
    await _until(gone)
    return (datetime.now(UTC) - agent.expires_at).total_seconds()


async def _called(field: Field) -> Figures:
    """What a list and an apply cost, as multiples of a bare POST in the same rounds."""
    token = await field.cluster.token_of(field.caller)
    async with field.server() as server:
        await told(server, IN_SYNC)
        caller = server.of(token)
        rounds = [await _one_round(field, caller) for _ in range(ROUNDS)]
    return {name: statistics.median(taken[name] for taken in rounds) for name in rounds[0]}


async def _one_round(field: Field, server: Server) -> Figures:
    (bare,) = await field.bare.run(1, CALLS)
    questions = [partial(_asked, server, "propose_subagent", **_question(number)) for number in range(CALLERS_OWN)]
    _, proposals = await measured("propose", 1, questions)
    applies = [
        partial(_asked, server, "apply_subagent", proposal=made["proposal"], digest=made["digest"])
        for made in proposals
    ]
    applied, agents = await measured("apply", 1, applies)
    listed, _ = await measured("list", 1, [partial(_asked, server, "list_subagents")] * CALLS)
    await measured("retire", 1, [partial(_asked, server, "retire_subagent", agent=made["agent"]) for made in agents])
    base = percentile(bare.seconds, 0.5)
    return {"list": percentile(listed.seconds, 0.5) / base, "apply": percentile(applied.seconds, 0.5) / base}


def _question(number: int) -> dict[str, Any]:
    parameters = [{"name": "topic", "value": TOPIC}]
    purpose = f"Question {number} at {time.monotonic_ns()}"
    return {"template": "researcher", "purpose": purpose, "parameters": parameters}


async def _asked(server: Server, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await server.call(tool, **arguments)
    assert answer["outcome"] == "allowed", answer
    return answer


def shown(figures: Figures, agents: int) -> str:
    """A line for each figure; `!` marks one that misses its aim."""
    lines: Sequence[str] = [
        f"{WORDS[name]:55}{figures[name]:>8.2f}  (aim <= {aim:g}){'' if figures[name] <= aim else ' !'}"
        for name, aim in AIMS.items()
        if name in figures
    ]
    return "\n".join([f"{agents} subagents of {ROOTS} roots", *lines])


def main() -> None:
    """Measure, print, and save when asked to."""
    parser = argparse.ArgumentParser(description="What thousands of subagents cost the server that watches them.")
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--only", choices=["", "sync", "expiry", "calls"], default="", help="this part alone")
    parser.add_argument("--save", action="store_true", help="keep it in bench/results.json")
    asked = parser.parse_args()
    binaries = find_or_build()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(run(binaries, asked.agents, asked.only))
    print(shown(figures, asked.agents))
    if asked.save:
        save((), **figures)


if __name__ == "__main__":
    main()

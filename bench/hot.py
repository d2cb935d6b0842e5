"""What one hot root costs: many applies of one orchestrator at once, over two replicas, against a bare POST.

    python -m bench.hot [--rounds N] [--save]

All of them change one ledger by compare-and-swap, and each replica writes it once for everyone who waits.
"""

import argparse
import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.contenders import TOPIC, Bare, measured
from bench.figures import percentile, save
from bench.spawn import LIMITS, bare_contender
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import Binaries, ControlPlane, find_or_build
from tests.faults.cluster import Cluster, equip
from tests.faults.servers import Answer, Rules, Server, serve

CONCURRENCY = 32
CALLS = 48
AIM = 4.0


@asynccontextmanager
async def replicas(binaries: Binaries, rounds: int) -> AsyncIterator[tuple[Cluster, list[Root], Bare, list[Server]]]:
    """A control plane, a root for each round, and two servers for all of them."""
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(ControlPlane(binaries))
        cluster = await stack.enter_async_context(equip(plane))
        roots = [await cluster.onboard(f"hot-{number}") for number in range(rounds + 1)]
        rules = Rules(Path(stack.enter_context(TemporaryDirectory())))
        rules.write(**LIMITS)
        servers = [await stack.enter_async_context(serve(cluster, roots, rules)) for _ in range(2)]
        sample = (await servers[0].propose("A sample"))["manifest"]
        roots.pop(0)
        yield cluster, roots, await stack.enter_async_context(bare_contender(cluster, sample)), servers


async def one_round(cluster: Cluster, root: Root, bare: Bare, servers: Sequence[Server]) -> tuple[float, float, float]:
    """The ratio of the p50s, and p50 and p99 of an apply in milliseconds."""
    token = await cluster.token_of(root)
    own = [server.of(token) for server in servers]
    proposals = [await own[number % 2].propose(f"{TOPIC} {number}") for number in range(CALLS)]
    base = (await bare.run(CONCURRENCY, CALLS))[0]
    calls = [partial(_applied, own[number % 2], made) for number, made in enumerate(proposals)]
    batch, agents = await measured("mcp apply", CONCURRENCY, calls)
    await asyncio.gather(*(own[0].retire(agent) for agent in agents[:8]))
    p50 = percentile(batch.seconds, 0.5)
    return p50 / percentile(base.seconds, 0.5), 1000 * p50, 1000 * percentile(batch.seconds, 0.99)


async def _applied(server: Server, proposal: Answer) -> str:
    answer = await server.apply(proposal)
    assert answer["outcome"] == "allowed", answer
    return str(answer["agent"])


async def run(binaries: Binaries, rounds: int) -> list[tuple[float, float, float]]:
    """All rounds, each with a root of its own."""
    async with replicas(binaries, rounds) as (cluster, roots, bare, servers):
        return [await one_round(cluster, root, bare, servers) for root in roots]


def main() -> None:
    """Measure, print, and save when asked to."""
    parser = argparse.ArgumentParser(description="Applies of one root over two replicas, against a bare POST.")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--save", action="store_true", help="keep it in bench/results.json")
    asked = parser.parse_args()
    binaries = find_or_build()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        taken = runner.run(run(binaries, asked.rounds))
    ratio, p50, p99 = (statistics.median(values) for values in zip(*taken, strict=True))
    low, high = min(round_[0] for round_ in taken), max(round_[0] for round_ in taken)
    print(
        f"One hot root, {CONCURRENCY} at once over two replicas, through MCP: p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
        f"{ratio:.2f} times a bare POST at the same concurrency (rounds {low:.2f} - {high:.2f}, aim <= {AIM})"
    )
    if asked.save:
        save(hot_root_ratio=ratio, hot_root_p50_ms=p50, hot_root_p99_ms=p99)


if __name__ == "__main__":
    main()

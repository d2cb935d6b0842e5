"""What a guarded spawn costs, against a bare POST of the same Agent, interleaved in one run.

    python -m bench.spawn [--rounds N] [--save] [--profile FILE]

Ratios are what to read: the API server, the client and everybody else share this machine's cores.
"""

import argparse
import asyncio
import cProfile
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvloop
import yaml

from bench.chain import chain_milliseconds
from bench.contenders import Bare, Mcp, Operations
from bench.figures import Batch, Row, rows, save, shown
from mcp_agentspawn.adapters.audit_log import opened
from mcp_agentspawn.adapters.kubernetes.world import connect
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.localplane import Binaries, ControlPlane, find_or_build, install
from mcp_agentspawn.operations.services import Services
from tests.builders import FixedRules, policy, services_on, template
from tests.faults.cluster import Cluster, equip, token_of
from tests.faults.replicas import kubeconfig
from tests.faults.servers import Rules, Server, serve

CONCURRENCIES = {1: 10, 8: 24}
"""How many calls at once, and of how many in a round: few enough that a ledger looks as it does in life."""
LIMITS: dict[str, Any] = {
    "rate": {"changes_per_minute": 1000},
    "quota": {"open_proposals": 60, "live_per_parent": 60, "live_per_root": 60, "spawned_per_root_per_day": 1000},
}
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Field:
    """Everything that is compared, on one control plane."""

    cluster: Cluster
    roots: list[Root]
    bare: Bare
    operations: Operations
    mcp: Mcp


@asynccontextmanager
async def prepared(binaries: Binaries, rounds: int) -> AsyncIterator[Field]:
    """Start all of it; each round and layer gets a root of its own."""
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(ControlPlane(binaries))
        cluster = await stack.enter_async_context(equip(plane))
        roots = [await cluster.onboard(f"bench-{number}") for number in range(1 + 2 * len(CONCURRENCIES) * rounds)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = await stack.enter_async_context(_services(cluster, roots, folder))
        rules = Rules(folder)
        rules.write(**LIMITS)
        server = await stack.enter_async_context(serve(cluster, roots, rules))
        operations = Operations(services)
        sample = await operations.propose(Caller(roots.pop()))
        bare = await stack.enter_async_context(bare_contender(cluster, sample.manifest))
        yield Field(cluster, roots, bare, operations, Mcp(server))


@asynccontextmanager
async def _services(cluster: Cluster, roots: Sequence[Root], folder: Path) -> AsyncIterator[Services]:
    rules = FixedRules({"researcher": template()}, {"default": policy(**LIMITS)})
    async with (
        connect(roots, kubeconfig=kubeconfig(cluster, roots[0])) as world,
        opened(folder / "audit.jsonl", "bench", world.clock) as audit,
    ):
        yield services_on(world, audit, rules)


@asynccontextmanager
async def bare_contender(cluster: Cluster, manifest: dict[str, Any]) -> AsyncIterator[Bare]:
    """What all is compared with."""
    async with cluster.plane.connection(await _bare_token(cluster)).session() as session:
        yield Bare(session, "/apis/kagent.dev/v1alpha2/namespaces/bare/agents", manifest)


async def _bare_token(cluster: Cluster) -> str:
    """A service account that may write Agents where nothing guards."""
    group, name = "rbac.authorization.k8s.io", {"name": "bare", "namespace": "bare"}
    rule = {"apiGroups": ["kagent.dev"], "resources": ["agents"], "verbs": ["create", "delete"]}
    reference = {"apiGroup": group, "kind": "Role", "name": "bare"}
    subject = {"kind": "ServiceAccount", **name}
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": name, "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": name,
            "roleRef": reference,
            "subjects": [subject],
        },
    ]
    file = cluster.plane.folder / "bare.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    await install(cluster.plane.admin, [file])
    return await token_of(cluster.admin, "bare", "bare", "")


async def one_round(field: Field) -> list[Batch]:
    """Everybody once at each concurrency, after a call of each that is not counted."""
    batches: list[Batch] = []
    for concurrency, calls in CONCURRENCIES.items():
        direct, through = field.roots.pop(), field.roots.pop()
        token = await field.cluster.token_of(through)
        await field.bare.run(1, 1)
        await field.operations.run(direct, 1, 1)
        await field.mcp.run(token, 1, 1)
        batches += await field.bare.run(concurrency, calls)
        batches += await field.operations.run(direct, concurrency, calls)
        batches += await field.mcp.run(token, concurrency, calls)
    return batches


async def measured(binaries: Binaries, rounds: int, profile: Path | None) -> tuple[list[Row], float, float]:
    """The table, and the server's megabytes when idle at the start and after all rounds."""
    async with prepared(binaries, rounds) as field:
        idle = _megabytes(field.mcp.server)
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        taken = [await one_round(field) for _ in range(rounds)]
        if profile:
            profiler.disable()
            profiler.dump_stats(profile)
        return rows(taken), idle, _megabytes(field.mcp.server)


def _megabytes(server: Server) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss / MEGABYTE)


def main() -> None:
    """Measure, print, and save when asked to."""
    parser = argparse.ArgumentParser(description="What a guarded spawn costs, against a bare POST of the same Agent.")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--save", action="store_true", help="keep it in bench/results.json")
    parser.add_argument("--profile", type=Path, help="write a profile of this process here (it slows all down)")
    asked = parser.parse_args()
    binaries = find_or_build()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        table, idle, after = runner.run(measured(binaries, asked.rounds, asked.profile))
    chain = chain_milliseconds()
    print(shown(table))
    print(f"\nCPU of the chain itself: propose {chain['propose']:.2f} ms, apply {chain['apply']:.2f} ms (aim < 1)")
    print(f"Memory of the server: idle {idle:.0f} MB (aim < 160), after all rounds {after:.0f} MB")
    if asked.save:
        figures = {f"chain_{step}_ms": value for step, value in chain.items()}
        save(table, idle_megabytes=idle, after_megabytes=after, **figures)


if __name__ == "__main__":
    main()

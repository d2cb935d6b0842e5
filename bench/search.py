"""What a search costs over 10,000 entries of a registry, while it is read again and while it is not.

    python -m bench.search [--rounds N] [--entries N] [--save]

Each search is followed by a call of list_templates, which searches nothing: the API server, the client, the registry
and the server's helpers share this machine's cores, and all are slower when one of them is busy.
"""

import argparse
import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import uvloop
import yaml

from bench import crowd
from bench.figures import save
from bench.helpers import Helpers, forget_peak, megabytes
from bench.search_figures import Round, Taken, figures, shown
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import Binaries, ControlPlane, find_or_build
from tests.faults.cluster import RBAC, REPOSITORY, SYSTEM, Cluster, equip
from tests.faults.servers import Rules, Server, serve
from tests.localplane.waiting import until

ENTRIES = 10_000
CHANGED = 100
"""So many entries are others at each reading between the first one and the last."""
CROWD = 8
CALLS = 50
WARM = 60
REGISTRY = "main"
REFRESH = "15s"
SEARCH, BARE = "search_agents_agentregistry", "list_templates"

Call = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Field:
    """A server that reads the registry, and what is asked of it."""

    server: Server
    registry: crowd.Registry
    helpers: Helpers
    queries: Iterator[str]

    async def search(self) -> float:
        """Milliseconds of one search."""
        return await self._timed(SEARCH, query=next(self.queries))

    async def bare(self) -> float:
        """Milliseconds of a call that searches nothing."""
        return await self._timed(BARE)

    async def knows_registry(self) -> bool:
        """Whether entries of the registry are found."""
        answer = await self.server.call(SEARCH, query="", source=REGISTRY)
        return bool(answer["hits"])

    async def _timed(self, tool: str, **arguments: Any) -> float:
        started = perf_counter()
        answer = await self.server.call(tool, **arguments)
        assert answer["outcome"] == "allowed", answer
        return 1000 * (perf_counter() - started)


@asynccontextmanager
async def prepared(binaries: Binaries, entries: int) -> AsyncIterator[Field]:
    """Start all of it."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(crowd.served(entries))
        plane = await stack.enter_async_context(ControlPlane(binaries))
        cluster = await stack.enter_async_context(equip(plane))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        root = await _onboarded(cluster, _write_rules(folder))
        _write(folder / "registries" / f"{REGISTRY}.yaml", _source(registry))
        server = await stack.enter_async_context(
            serve(cluster, [root], Rules(folder), registries=folder / "registries")
        )
        helpers = await stack.enter_async_context(Helpers(server.process.pid))
        yield Field(server, registry, helpers, crowd.asked(entries))


def _source(registry: crowd.Registry) -> dict[str, Any]:
    return {"url": registry.url, "private_addresses": True, "refresh": REFRESH}


def _write_rules(folder: Path) -> Sequence[str]:
    """The rules that are shipped, for all namespaces of the registry; the templates' names."""
    shutil.copytree(REPOSITORY / "templates", folder / "templates")
    policy = yaml.safe_load((REPOSITORY / "policies" / "default.yaml").read_text(encoding="utf-8"))
    policy["registry"]["see"][0]["namespaces"] = ["*"]
    policy["registry"]["tools"] |= {f"{name}-mcp": ["web-search/search"] for name in ("github", "jira", "loki")}
    _write(folder / "policies" / "default.yaml", policy)
    return policy["template"]["allow"]  # type: ignore[no-any-return]


def _write(file: Path, document: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


async def _onboarded(cluster: Cluster, templates: Sequence[str]) -> Root:
    """A root that may use these templates."""
    root = await cluster.onboard("searcher")
    rule = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "verbs": ["use"]}
    path = f"/apis/{RBAC}/namespaces/{SYSTEM}/roles/agentspawn-{root.account}"
    await cluster.patch(path, {"rules": [rule | {"resourceNames": list(templates)}]})
    return root


async def measured(binaries: Binaries, rounds: int, entries: int) -> Taken:
    """Everything, in one run."""
    async with prepared(binaries, entries) as field:
        readings = field.helpers.readings
        taken = Taken(await _before(field))
        await until(field.knows_registry)
        await until(lambda: field.helpers.over(1))
        taken.first = readings[0]
        for _ in range(rounds):
            await field.registry.change(CHANGED)
            taken.rounds.append(await one_round(field))
            taken.changed.append(readings[-1])
            await _beside(field, taken)
        await one_round(field)
        taken.unchanged = readings[-1]
        taken.peak = megabytes(field.server.process.pid, "VmHWM")
        return taken


async def _before(field: Field) -> float:
    """The server's megabytes when it has searched its templates, and knows nothing of the registry yet."""
    for _ in range(WARM):
        await field.search()
        await field.bare()
    assert not await field.knows_registry()
    forget_peak(field.server.process.pid)
    return megabytes(field.server.process.pid, "VmRSS")


async def one_round(field: Field) -> Round:
    """Search and bare call by turns, until a reading that has not begun yet is over."""
    found, readings = Round(), len(field.helpers.readings) + 1
    while not field.helpers.over(readings):
        quiet = field.helpers.quiet()
        search, bare = await field.search(), await field.bare()
        samples = found.quiet if quiet and field.helpers.quiet() else found.during
        samples.search.append(search)
        samples.bare.append(bare)
    return found


async def _beside(field: Field, taken: Taken) -> None:
    """While nothing is read: bare calls alone, beside a crowd of their kind, and beside a crowd of searches."""
    alone = [await field.bare() for _ in range(CALLS)]
    bare = await _in_a_crowd(field, field.bare, taken.crowd.bare)
    search = await _in_a_crowd(field, field.search, taken.crowd.search)
    for name, own in (("alone", alone), ("bare", bare), ("search", search)):
        taken.beside.setdefault(name, []).extend(own)


async def _in_a_crowd(field: Field, call: Call, took: list[float]) -> list[float]:
    """What bare calls take while so many others make another call again and again, and what that takes."""
    ended = asyncio.Event()

    async def neighbour() -> None:
        while not ended.is_set():
            took.append(await call())

    neighbours = [asyncio.create_task(neighbour()) for _ in range(CROWD)]
    own = [await field.bare() for _ in range(CALLS)]
    ended.set()
    await asyncio.gather(*neighbours)
    return own


def main() -> None:
    """Measure, print, and save when asked to."""
    parser = argparse.ArgumentParser(description="What a search over a registry costs, against a bare tool call.")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--save", action="store_true", help="keep it in bench/results.json")
    asked = parser.parse_args()
    binaries = find_or_build()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = figures(runner.run(measured(binaries, asked.rounds, asked.entries)))
    print(shown(found, asked.entries, CHANGED))
    if asked.save:
        save((), **{f"search_{name}": figure for name, figure in found.items()})


if __name__ == "__main__":
    main()

"""Live registries on stand-ins, and what a test looks at from outside."""

import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.live import LiveRegistries
from mcp_agentspawn.core.registry import Blueprint, Handle, Query, Scope, Standing, View
from mcp_agentspawn.localplane.registry import Published, Standin
from tests.builders import FixedClock

EVERYTHING = frozenset({"*"})
RESEARCHER = Blueprint("researcher", "Finds things out in the web", ("web", "research"))
VIEW = View(frozenset({Scope("acme", EVERYTHING), Scope("lab", EVERYTHING)}), (RESEARCHER,))
LOGREADER = Published("logreader", description="Reads logs of a cluster", instructions="You read logs.")
TRANSLATOR = Published("translator", description="Translates Polish texts")
LISTING = "/v0/agents"
EVERY_PATH = "*"


@dataclass
class Living:
    """What runs: the registries, their clock, and the stand-ins by name."""

    registries: LiveRegistries
    standins: dict[str, Standin]
    clock: FixedClock = field(default_factory=FixedClock)

    async def again(self) -> None:
        """The next pass in which everything is due, whether it failed a few times or not, and not overdue."""
        self.clock.advance(seconds=331)
        await self.registries.refresh()

    async def names(self, text: str = "", view: View = VIEW) -> list[str]:
        """What a search finds: templates and entries by name."""
        page = await self.registries.find(view, Query(text, 50, frozenset({"researcher"})))
        hits = [found.blueprint or found.entry for found in page.findings]
        return sorted(hit.name for hit in hits if hit is not None)

    async def handle(self, name: str) -> Handle:
        """The handle of an entry that is known."""
        page = await self.registries.find(VIEW, Query("", 50))
        return next(found.entry.handle for found in page.findings if found.entry and found.entry.name == name)

    def standing(self, registry: str = "acme") -> Standing:
        return next(one for one in self.registries.standings() if one.registry == registry)

    def listings(self, registry: str = "acme") -> int:
        """How often its agents were listed."""
        return sum(seen.path == LISTING for seen in self.standins[registry].requests)


@asynccontextmanager
async def living(standins: dict[str, Standin], **endpoint: Any) -> AsyncIterator[Living]:
    """Registries on these stand-ins, with `VIEW` shown; nothing is read yet."""
    clock = FixedClock()
    plain = {name: Endpoint(name, standin.url, private_addresses=True) for name, standin in standins.items()}
    places = {name: replace(place, **endpoint) for name, place in plain.items()}
    async with LiveRegistries(places, clock) as registries:
        registries.show([VIEW])
        yield Living(registries, standins, clock)


def lying_in(folder: Path) -> Sequence[Path]:
    """What lies in a folder."""
    return sorted(folder.iterdir())


def mode(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


def helpers() -> Sequence[psutil.Process]:
    """The helper processes of this process that run, or that ended and were not waited for."""
    return [child for child in psutil.Process().children() if _is_helper(child)]


def _is_helper(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE or "adapters.registry" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended, and was waited for, since it was listed
        return False

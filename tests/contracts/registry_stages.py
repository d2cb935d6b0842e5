"""Two worlds of registries that their contract is played on, and what a test may move on them from outside."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from mcp_agentspawn.adapters.memory import MemoryRegistries
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.live import LiveRegistries
from mcp_agentspawn.adapters.registry.weighing import weighed
from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.registry import LATEST, Form, Registries, RegistryEntry, View
from mcp_agentspawn.localplane.registry import Published, Standin, registry_standin
from mcp_agentspawn.localplane.registry.faults import Failing, WrongType
from tests.builders import FixedClock
from tests.localplane.waiting import until

NAMES = ("acme", "lab")
EVERY_PATH = "*"


@dataclass
class RegistriesStage(ABC):
    """Registries `acme` and `lab`. What is moved on them is known once it is `settled`."""

    registries: Registries

    @abstractmethod
    def publish(self, registry: str, name: str, tag: str = LATEST, **said: Any) -> None:
        """Offer an agent, or another one by the same name and tag; what can be said is as in `RegistryEntry`."""

    @abstractmethod
    def withdraw(self, registry: str, name: str, tag: str = LATEST) -> None:
        """Offer it no more."""

    @abstractmethod
    def spoil(self, registry: str, name: str) -> None:
        """Offer it in a way that can not be read."""

    @abstractmethod
    def leave(self, registry: str) -> None:
        """Answer nothing any more."""

    @abstractmethod
    async def settled(self, *views: View) -> None:
        """Wait until all of it is known, in these views."""


class MemoryRegistriesStage(RegistriesStage):
    """The twin."""

    registries: MemoryRegistries

    def publish(self, registry: str, name: str, tag: str = LATEST, **said: Any) -> None:
        self.withdraw(registry, name, tag)
        content = {"name": name, **{key: str(value) for key, value in said.items()}}
        entry = RegistryEntry(registry, said.pop("namespace", "default"), name, tag, digest_of(content))
        form: Form = "declarative" if said.get("instructions") else "other"
        self.registries.entries.append(weighed(replace(entry, form=form, **said)))

    def withdraw(self, registry: str, name: str, tag: str = LATEST) -> None:
        gone = (registry, name, tag)
        kept = [entry for entry in self.registries.entries if (entry.registry, entry.name, entry.tag) != gone]
        self.registries.entries = kept

    def spoil(self, registry: str, name: str) -> None:
        self.withdraw(registry, name)  # the twin holds what was read

    def leave(self, registry: str) -> None:
        self.registries.away.add(registry)

    async def settled(self, *views: View) -> None:
        self.registries.standings()


@dataclass
class LiveRegistriesStage(RegistriesStage):
    """Real readings of stand-ins."""

    registries: LiveRegistries
    standins: Mapping[str, Standin]
    clock: FixedClock
    left: set[str] = field(default_factory=set)
    published: Iterator[int] = field(default_factory=count)

    def publish(self, registry: str, name: str, tag: str = LATEST, **said: Any) -> None:
        moment = f"2026-11-21T12:00:00.{next(self.published):06}Z"
        self.standins[registry].content.publish(Published(name, tag=tag, updated_at=moment, **said))

    def withdraw(self, registry: str, name: str, tag: str = LATEST) -> None:
        self.standins[registry].content.withdraw(name, tag=tag)

    def spoil(self, registry: str, name: str) -> None:
        self.standins[registry].inject(WrongType(path=f"/v0/agents/{name}/*", at=("spec",)))

    def leave(self, registry: str) -> None:
        self.standins[registry].inject(Failing(path=EVERY_PATH))
        self.left.add(registry)

    async def settled(self, *views: View) -> None:
        self.registries.show(views)
        self.clock.advance(minutes=11)
        moved_at = self.clock.now()

        async def known() -> bool:
            await self.registries.refresh()
            self.clock.advance(seconds=5)  # a reading for which a busy machine was too slow is due again
            there = [one for one in self.registries.standings() if one.registry not in self.left]
            return all(one.freshness == "fresh" and one.as_of and one.as_of >= moved_at for one in there)

        await until(known)


def memory_registries() -> RegistriesStage:
    """A stage of the twin."""
    return MemoryRegistriesStage(MemoryRegistries())


@asynccontextmanager
async def live_registries() -> AsyncIterator[RegistriesStage]:
    """A stage of real readings."""
    clock = FixedClock()
    async with AsyncExitStack() as stack:
        standins = {name: await stack.enter_async_context(registry_standin()) for name in NAMES}
        places = {name: Endpoint(name, standin.url, private_addresses=True) for name, standin in standins.items()}
        live = await stack.enter_async_context(LiveRegistries(places, clock))
        yield LiveRegistriesStage(live, standins, clock)

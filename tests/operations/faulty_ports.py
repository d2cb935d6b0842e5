"""A server on the in-process twin whose way to the world goes wrong at the steps that a test names.

Every port of `Services` is behind it, also those that come later: what has coroutine methods is wrapped.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

from mcp_agentspawn.core.errors import Unavailable, UnknownOutcome
from mcp_agentspawn.operations.services import Later, Services

Fault = Literal["refused", "unsaid", "late", "killed_before", "killed_after", "paused_before", "paused_after"]
FAULTS: tuple[Fault, ...] = (
    "refused",  # no answer, and nothing was changed
    "unsaid",  # it was done, and nobody heard of it
    "late",  # no answer, and it is done when the test says so
    "killed_before",  # the process ends before the call, and nothing after runs
    "killed_after",  # the process ends after the call, and nothing after runs
    "paused_before",  # the process stands still before the call until the test says so
    "paused_after",  # the same after the call: what it then goes on with is old
)
Where = tuple[Literal["call", "change"], int]
Script = Mapping[Where, Fault]
"""What goes wrong at which of the calls, or of the changes, from now on, the first being 0."""

READS = frozenset(
    {"look", "get", "of", "of_root", "of_home", "all", "roots", "models", "tools", "violations", "may_use", "trial"}
    | {"trial_delete", "current", "schema_hash", "write"}
)
"""What changes nothing that others see: its answer can be lost, but never be in doubt."""


class Killed(BaseException):
    """The process ended here."""


@dataclass(eq=False)
class Process:
    """One server. `late` are the changes that are still on their way, `paused` the calls that stand still."""

    real: Services
    alive: bool = True
    script: Script = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    late: list[Callable[[], Coroutine[None, None, object]]] = field(default_factory=list)
    paused: list[asyncio.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        ports = {each.name: getattr(self.real, each.name) for each in fields(self.real)}
        wrapped: dict[str, Any] = {name: Port(self, port) for name, port in ports.items() if _answers_later(port)}
        self.services: Services = replace(self.real, **wrapped, later=Later())

    async def do(self, work: Coroutine[None, None, Any], script: Script) -> Any:
        """Do this, and what it leaves for later, until it has ended or stands still; `None` unless it succeeded."""
        self.script, self.counted = script, Counter()
        task = asyncio.ensure_future(_mortal(work))
        await still()
        self.script = {}
        assert task.done() or self.paused
        return task.result() if task.done() else None

    async def resume(self) -> None:
        """Let everything go on that stands still."""
        waiting, self.paused = self.paused, []
        for event in waiting:
            event.set()
        await still()

    async def kill(self) -> None:
        """End it: what stands still never goes on."""
        self.alive = False
        await self.resume()

    async def call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """One call of a port."""
        changes = method.__name__ not in READS
        fault = self._next(changes=changes)
        await self._step(fault, "before")
        if fault == "refused" or (fault == "late" and not changes):
            raise Unavailable("a fault")
        if fault == "late":
            self.late.append(await _sent(method, *arguments, **named))
            raise UnknownOutcome("a fault")
        answer = await method(*arguments, **named)
        await self._step(fault, "after")
        if fault == "unsaid":
            raise UnknownOutcome("a fault") if changes else Unavailable("a fault")
        return answer

    async def _step(self, fault: Fault | None, when: Literal["before", "after"]) -> None:
        await asyncio.sleep(0)  # others may act in between
        if fault == f"killed_{when}":
            self.alive = False
        elif fault == f"paused_{when}":
            self.paused.append(event := asyncio.Event())
            await event.wait()
        if not self.alive:
            raise Killed

    def _next(self, *, changes: bool) -> Fault | None:
        here: list[Where] = [("call", self.counted["call"])]
        here += [("change", self.counted["change"])] if changes else []
        self.counted.update(kind for kind, _ in here)
        return next((self.script[where] for where in here if where in self.script), None)


class Port:
    """A port of a process."""

    def __init__(self, process: Process, port: Any) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return partial(self._process.call, found) if inspect.iscoroutinefunction(found) else found


def _answers_later(port: Any) -> bool:
    names = [name for name in dir(type(port)) if not name.startswith("_")]
    return not isinstance(port, Later) and any(inspect.iscoroutinefunction(getattr(type(port), name)) for name in names)


async def _sent(method: Callable[..., Any], *arguments: Any, **named: Any) -> Callable[..., Any]:
    """A change that arrives later. A ledger's is a compare-and-swap: it counts only on what it was decided on."""
    if method.__name__ != "change":
        return partial(method, *arguments, **named)
    ledgers, (root, decide) = method.__self__, arguments  # type: ignore[attr-defined] # a bound method has one
    decided_on = await ledgers.look(root)
    return partial(method, root, lambda ledger: decide(ledger) if ledger == decided_on else (ledger, None))


async def _mortal(work: Coroutine[None, None, Any]) -> Any:
    """The work's answer; `None` when the world failed it, or its process ended. Anything else is a fault of ours."""
    try:
        return await work
    except (Killed, Unavailable, UnknownOutcome):
        return None


async def still() -> None:
    """Let the loop turn until nothing moves any more: nothing here waits for anything but the test."""
    due = vars(asyncio.get_running_loop())["_ready"]
    while True:
        await asyncio.sleep(0)
        if not due:
            return

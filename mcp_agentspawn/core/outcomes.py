"""How subagents of one template, or of one registry entry, have done for one root: a bounded record.

It is kept in the root's ledger, so that nobody's outcomes weigh on anybody else, and under the name of the template
or the entry, so that making the same agent anew, or editing its file, does not launder it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from mcp_agentspawn.core.model import Request
from mcp_agentspawn.core.registry import Handle

MOST_TASKS = 200
"""Past so many, quarantines among them, everything counts half: what matters is how it does now."""
MOST_KEYS = 128
MOST_RECENT = 16

End = Literal["succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of tasks. `seconds` and `retries` are sums.

    `recent` are the last tasks and agents that were counted: whoever counts notes it at once, so that nothing which
    left them is counted again.
    """

    tasks: int = 0
    succeeded: int = 0
    seconds: int = 0
    retries: int = 0
    quarantines: int = 0
    recent: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The share of tasks that succeeded, from 0 to 1; a quarantine weighs like a failed task. 1 for no history."""
        return self.succeeded / self.counted if self.counted else 1.0

    @property
    def counted(self) -> int:
        """How many tasks and quarantines the score is of."""
        return self.tasks + self.quarantines

    @property
    def in_words(self) -> str:
        """How many tasks succeeded, and how many agents were quarantined."""
        agents = "1 agent was" if self.quarantines == 1 else f"{self.quarantines} agents were"
        quarantined = f" and {agents} quarantined" if self.quarantines else ""
        return f"{self.succeeded} of {self.tasks} tasks succeeded{quarantined}"

    def failing(self, times: int) -> "Outcomes":
        """How it would look after so many more tasks, all of which failed."""
        return replace(self, tasks=self.tasks + times)

    def ended(self, task: str, end: End, *, seconds: int, retries: int) -> "Outcomes":
        """With the end of one more task; the same when it was counted already."""
        if task in self.recent:
            return self
        return replace(
            self,
            tasks=self.tasks + 1,
            succeeded=self.succeeded + (end == "succeeded"),
            seconds=self.seconds + seconds,
            retries=self.retries + retries,
            recent=(*self.recent, task)[-MOST_RECENT:],
        ).bounded()

    def quarantined(self, agent: str) -> "Outcomes":
        """With one more quarantine of this agent; the same when it was counted already."""
        if agent in self.recent:
            return self
        return replace(self, quarantines=self.quarantines + 1, recent=(*self.recent, agent)[-MOST_RECENT:]).bounded()

    def bounded(self) -> "Outcomes":
        """With half of everything, where there is more than is kept."""
        if self.counted <= MOST_TASKS:
            return self
        halves = {name: getattr(self, name) // 2 for name in ("tasks", "succeeded", "seconds", "retries")}
        return replace(self, **halves, quarantines=(self.quarantines + 1) // 2)


NOTHING: Mapping[str, Outcomes] = MappingProxyType({})
"""The history of a root of which none is known."""


def keys_of(template: str, entry: str) -> tuple[str, ...]:
    """Under which names a subagent of this template, and of this registry entry if there is one, is recorded.

    An entry is known by its name and neither by its tag nor by its hash: publishing it again changes nothing.
    """
    handle = Handle.read(entry)
    return (key_of_template(template), *((key_of_entry(handle),) if handle else ()))


def key_of_template(name: str) -> str:
    """Under which name a template is recorded."""
    return f"template:{name}"


def key_of_entry(handle: Handle) -> str:
    """Under which name an entry is recorded."""
    return f"entry:{handle.registry}/{handle.namespace}/{handle.name}"


def outcomes_for(request: Request, outcomes: Mapping[str, Outcomes]) -> Mapping[str, Outcomes]:
    """What is on record for what a request would be made of, by key; nothing for what never worked."""
    keys = keys_of(request.template, request.entry)
    return {key: outcomes[key] for key in keys if key in outcomes}

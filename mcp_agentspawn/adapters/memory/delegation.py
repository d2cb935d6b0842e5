"""Tasks, people's answers, and agents that can be talked to, in this process only."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mcp_agentspawn.adapters.memory.collection import MemoryCollection
from mcp_agentspawn.adapters.memory.decisions import MemoryDecisions
from mcp_agentspawn.core.delegation import Address, Card, Message, Report, Task, TaskAnswer
from mcp_agentspawn.core.errors import Missing, Refused
from mcp_agentspawn.core.ports import AgentKind, Agents, Clock

GIVEN = ("root", "parent", "home", "agent", "agent_uid", "template", "entry", "context")
"""What a task was given with."""
BEGUN_WITH = ("sent", "changed_at")


class MemoryTasks(MemoryCollection[Task]):
    """Tasks (`core.delegation.Tasks`)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("task", clock)

    async def create(self, task: Task) -> Task:
        """See `core.delegation.Tasks.create`."""
        return self._begin(Task(**{name: getattr(task, name) for name in ("id", *GIVEN, *BEGUN_WITH)}))

    async def of_agent(self, agent: str) -> Sequence[Task]:
        """See `core.delegation.Tasks.of_agent`."""
        return [task for task in self.held() if task.agent == agent]

    async def update(self, task: Task) -> Task:
        """See `core.delegation.Tasks.update`."""
        stored = self._at_version_of(task)
        given_anew = any(getattr(stored, name) != getattr(task, name) for name in GIVEN)
        if given_anew or (stored.ended and stored.state != task.state):
            raise Refused("invalid", f"The task {task.id} stays what it is.")
        return self._keep(replace(task, uid=stored.uid, created_at=stored.created_at))


class MemoryTaskAnswers(MemoryDecisions[TaskAnswer]):
    """Answers of people to tool approvals (`core.delegation.TaskAnswers`)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("task", clock)


@dataclass
class MemoryRemoteAgents:
    """Agents that do at once what they are told: they say it back.

    Settable: `cards` by agent, what a `failing` agent raises, and `script`: reports that an agent makes, one after the
    other, the last one again and again. `said` is what each agent was told, `canceled` the tasks that it was to stop.
    With `agents` and their `kind`, each says that it is what its manifest says.
    """

    cards: dict[str, Card] = field(default_factory=dict)
    failing: dict[str, Exception] = field(default_factory=dict)
    script: dict[str, list[Report]] = field(default_factory=dict)
    said: list[tuple[Address, Message]] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)
    agents: Agents | None = None
    kind: AgentKind | None = None
    _reports: dict[str, Report] = field(default_factory=dict)

    async def card(self, at: Address) -> Card:
        """See `core.delegation.RemoteAgents.card`. One that nothing was set for says what its manifest says."""
        self._answering(at)
        return self.cards.get(at.agent) or await self._own_card(at)

    async def send(self, at: Address, message: Message) -> Report:
        """See `core.delegation.RemoteAgents.send`."""
        self._answering(at)
        self.said.append((at, message))
        remote = message.task or f"remote-{len(self.said)}"
        echo = Report(remote, "completed", message.text)
        return self._report(at, remote, echo)

    async def look(self, at: Address, remote: str) -> Report:
        """See `core.delegation.RemoteAgents.look`."""
        self._answering(at)
        if remote not in self._reports:
            raise Missing(f"{at.agent} knows of no task {remote}.")
        return self._report(at, remote, self._reports[remote])

    async def cancel(self, at: Address, remote: str) -> Report:
        """See `core.delegation.RemoteAgents.cancel`."""
        known = await self.look(at, remote)
        self.canceled.append(remote)
        self._reports[remote] = replace(known, state="canceled")
        return self._reports[remote]

    async def _own_card(self, at: Address) -> Card:
        standing = await self.agents.get(at.home, at.agent) if self.agents else None
        card = self.kind.card(self.kind.read(standing.manifest)) if self.kind and standing else None
        return card or Card(at.agent.replace("-", "_"))

    def _answering(self, at: Address) -> None:
        if at.agent in self.failing:
            raise self.failing[at.agent]

    def _report(self, at: Address, remote: str, otherwise: Report) -> Report:
        scripted = self.script.get(at.agent, [])
        report = replace(scripted[0], remote=remote) if scripted else otherwise
        if len(scripted) > 1:
            del scripted[0]
        self._reports[remote] = report
        return report

"""People at the command line, over a world in this process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.adapters.memory import MemoryWorld
from mcp_agentspawn.cli import COMMANDS, main
from mcp_agentspawn.core.delegation import TaskAnswers, Tasks
from mcp_agentspawn.core.digest import canonical, proposal_digest, request_digest
from mcp_agentspawn.core.errors import AgentSpawnError, Unavailable
from mcp_agentspawn.core.model import Approval, Caller, Proposal, Root
from mcp_agentspawn.core.ports import Agents, Approvals, Clock, Ledgers, Proposals, Switchboard
from mcp_agentspawn.core.render import grant_of, render
from mcp_agentspawn.core.switches import Freeze, Switches
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from tests.builders import CALLER, RESEARCHER, ROOT, Bench, ask, bench

MEDIUM: Mapping[str, Any] = {"approval": {"at_least": "medium"}}
HIGH: Mapping[str, Any] = {"approval": {"at_least": "high"}}
ELSEWHERE = Root("agents", "orchestrator", "team-b-subagents")


@dataclass
class Desk:
    """The cluster as one person reaches it."""

    proposals: Proposals
    ledgers: Ledgers
    approvals: Approvals
    switchboard: Switchboard
    agents: Agents
    tasks: Tasks
    task_answers: TaskAnswers
    clock: Clock
    user: str

    async def whoami(self) -> str:
        return self.user

    async def account_uid(self, root: Root) -> str:
        return f"uid-of-{root.name}"


@dataclass
class Office:
    """Where `agentspawn` is called. `failing` is what reaching the cluster ends with."""

    bench: Bench
    user: str = "alice"
    failing: AgentSpawnError | None = None
    kubeconfig: Path | None = None

    @property
    def world(self) -> MemoryWorld:
        return self.bench.world

    @asynccontextmanager
    async def cluster(self, kubeconfig: Path | None) -> AsyncIterator[Desk]:
        """What the root command's context carries."""
        self.kubeconfig = kubeconfig
        if self.failing:
            raise self.failing
        world = self.world
        yield Desk(
            world.proposals,
            world.ledgers,
            world.approvals,
            world.switchboard,
            world.agents,
            world.tasks,
            world.task_answers,
            world.clock,
            self.user,
        )

    def run(self, name: str, *arguments: str | Path, typed: str = "") -> Result:
        """Call one of the commands, with what is typed then."""
        assert name in COMMANDS
        command = main.commands.get(name) or main.get_command(None, name)  # type: ignore[arg-type] # it needs none
        assert command is not None
        words = [str(argument) for argument in arguments]
        return CliRunner(env={"COLUMNS": "120"}).invoke(command, words, input=typed, obj=self)

    def as_(self, user: str) -> "Office":
        """The same office, with somebody else at the desk."""
        return replace(self, user=user)

    def propose(self, **changes: Any) -> Proposal:
        """Have the orchestrator propose, and give what was stored."""
        answer = asyncio.run(propose(self.bench.services, CALLER, ask(**changes)))
        assert isinstance(answer, Proposed), answer
        return self.stored(answer.proposal)

    def spawn(self) -> str:
        """Have the orchestrator propose and apply."""
        proposal = self.propose()

        async def applied() -> Applied:
            answer = await apply(self.bench.services, CALLER, proposal.id, proposal.digest)
            assert isinstance(answer, Applied), answer
            await self.bench.services.later.settle()
            return answer

        return asyncio.run(applied()).agent

    def stored(self, id_: str) -> Proposal:
        found = asyncio.run(self.world.proposals.get(id_))
        assert found is not None
        return found

    def tamper(self, proposal: Proposal, **changes: Any) -> Proposal:
        """Put another proposal in its place."""
        asyncio.run(self.world.proposals.delete(proposal))
        return asyncio.run(self.world.proposals.create(replace(proposal, **changes)))

    def forge(self, proposal: Proposal, *, by: Template | None = None, **changes: Any) -> Proposal:
        """Put another proposal in its place that agrees with itself, as a server could that was taken over.

        `by` is the template that its manifest and grant are made by: any, whatever it says.
        """
        said, template = replace(proposal, **changes), by or self.bench.rules.templates["researcher"]
        caller = Caller(Root.named(said.root, said.home), said.parent)
        request = request_digest(caller, said.request, said.template_hash)
        manifest = canonical(KagentAgent().manifest(render(said.id, caller, said.request, template, request)))
        grant = grant_of(said.request, template)
        changes |= {"request_digest": request, "manifest": manifest, "grant": grant}
        return self.tamper(proposal, **changes, digest=proposal_digest(manifest, grant))

    def decisions(self, proposal: Proposal) -> list[Approval]:
        return list(asyncio.run(self.world.approvals.of(proposal.id)))


def office(**sections: Any) -> Office:
    """A world with everything granted, under a policy with these sections."""
    return Office(bench(**sections))


def rules_in(folder: Path, template: Mapping[str, Any] = RESEARCHER, **sections: Any) -> list[str]:
    """Write the rules of that world as files, and give the options that name them."""
    policy = {"callers": {"namespaces": ["agents"]}, "template": {"allow": ["researcher"]}, **sections}
    for name, document in {"templates/researcher": dict(template), "policies/default": policy}.items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return ["--templates", str(folder / "templates"), "--policies", str(folder / "policies")]


def switches(at_work: Office) -> Switches:
    """What people have switched."""
    return asyncio.run(at_work.world.switchboard.current())


def stopping_root(at_work: Office, root: Root = ROOT) -> Freeze | None:
    """The freeze that stops it."""
    return switches(at_work).stopping(root)


def left(at_work: Office, root: Root = ROOT) -> list[str]:
    """The ids of its subagents that stand."""
    return [agent.id for agent in asyncio.run(at_work.world.agents.of_root(root))]


def without_a_listing(monkeypatch: pytest.MonkeyPatch, at_work: Office, looks: int = 0) -> None:
    """The switches can be listed so many times, and no more."""
    rest, listed = iter(range(looks)), at_work.world.switchboard.current

    async def current(*, fresh: bool = False) -> Switches:
        if next(rest, None) is None:
            raise Unavailable("The switches can not be read: no answer")
        return await listed(fresh=fresh)

    monkeypatch.setattr(at_work.world.switchboard, "current", current)

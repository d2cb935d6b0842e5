"""Small, complete values for tests: say only what the test is about."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mcp_agentspawn import composing
from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld
from mcp_agentspawn.adapters.memory import MemoryRegistries, MemoryRemoteAgents, MemoryWorld
from mcp_agentspawn.core.delegation import RemoteAgents, Task, Tasks
from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.guard import Guard
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.ports import Audit, Record
from mcp_agentspawn.core.registry import Registries, RegistryEntry
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.services import Rules, RuleSource, Services

M = TypeVar("M", bound=BaseModel)

SOME_HASH = f"sha256:{'5' * 64}"
SOME_IMAGE = f"registry.example/agents/summarizer@sha256:{'1' * 64}"

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROOT = Root("agents", "orchestrator", "subagents")
OTHER = Root("agents", "other", "subagents")
CALLER = Caller(ROOT)

RESEARCHER: dict[str, Any] = {
    "description": "Answers one question from the web, with sources.",
    "keywords": ["research", "sources"],
    "risk": "low",
    "lifetime": {"default": "30m", "most": "4h"},
    "parameters": {
        "type": "object",
        "required": ["topic"],
        "properties": {
            "topic": {"type": "string", "minLength": 3, "maxLength": 200, "description": "What to look into"},
            "language": {"type": "string", "enum": ["English", "German"], "default": "English"},
            "depth": {"type": "integer", "minimum": 1, "maximum": 5, "default": 2},
            "share": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
            "strict": {"type": "boolean", "default": False},
            "notes": {"type": "string", "maxLength": 100},
        },
    },
    "models": ["default-model-config", "fast-model-config"],
    "tools": {"web-search": {"allow": ["search", "fetch"], "default": ["search"], "ask_first": ["fetch"]}},
    "agent": {
        "description": "Researches in ${language}",
        "instructions": "Answer in ${language}, ${depth} deep, ${share}, ${strict}, $${kept}.\n${topic}\n${notes}\n",
        "skills": [{"id": "research", "name": "Research", "description": "In ${language}", "tags": ["research"]}],
        "compaction": {"after_tokens": 12000, "keep_events": 10},
    },
}

REGISTRY_WORKER: dict[str, Any] = RESEARCHER | {
    "parameters": {
        "type": "object",
        "required": ["task", "role"],
        "properties": {
            "task": {"type": "string", "maxLength": 500, "description": "What to do"},
            "role": {"type": "string", "maxLength": 2000, "from_registry": "instructions"},
        },
    },
    "agent": {"description": "Works as an entry describes", "instructions": "Do the task.\n${task}\n${role}\n"},
}

REGISTRY_IMAGE: dict[str, Any] = {
    "description": "Runs an image from a registry.",
    "risk": "low",
    "lifetime": {"default": "30m", "most": "4h"},
    "parameters": {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "maxLength": 512, "from_registry": "image"}},
    },
    "agent": {"description": "An image from a registry", "image": "${image}"},
}


def template(name: str = "researcher", **changes: Any) -> Template:
    return Template.named(name, RESEARCHER | changes)


def worker(name: str = "registry-worker", **changes: Any) -> Template:
    """A template that a registry entry's instructions fill."""
    return Template.named(name, REGISTRY_WORKER | changes)


def image_template(name: str = "registry-image", **changes: Any) -> Template:
    """A template that is a registry entry's image."""
    return Template.named(name, REGISTRY_IMAGE | changes)


def registry_entry(**changes: Any) -> RegistryEntry:
    """A declarative entry of registry `main`."""
    entry = RegistryEntry(
        registry="main",
        namespace="default",
        name="summarizer",
        tag="stable",
        hash=SOME_HASH,
        title="Summarizer",
        description="Condenses long documents into briefs",
        labels={"team": "docs"},
        form="declarative",
        instructions="Condense what you are given into five sentences.",
    )
    return replace(entry, **changes)


def image_entry(**changes: Any) -> RegistryEntry:
    """An entry of registry `main` that is an image."""
    return registry_entry(**({"form": "image", "instructions": "", "image": SOME_IMAGE} | changes))


SEES_MAIN: dict[str, Any] = {
    "see": [{"registry": "main", "namespaces": ["default"], "templates": ["registry-worker", "registry-image"]}],
    "tools": {"fetch": ["web-search/fetch"]},
    "images": ["registry.example/agents/summarizer"],
}
"""A policy's section that shows registry `main` and lets both kinds of templates take its entries."""


def policy(**sections: Any) -> Policy:
    return Policy.model_validate(
        {"callers": {"namespaces": ["agents"]}, "template": {"allow": ["researcher"]}} | sections
    )


def loaded(folder: Path, model: type[M]) -> dict[str, M]:
    """The good files of a folder. Raises `ConfigError` when there are others, as the server does."""
    read = examine(folder, model)
    if read.problems:
        raise ConfigError([str(problem) for problem in read.problems])
    return read.values


def guard_names() -> list[str]:
    """The guards of the rule book, in the order in which they are asked."""
    return [name for name in Policy.model_fields if isinstance(getattr(Policy(), name), Guard)]


def ask(**changes: Any) -> Ask:
    return replace(Ask("researcher", "Find out", parameters=(("topic", "Kubernetes admission"),)), **changes)


def task(**changes: Any) -> Task:
    """A task that the root has just given to a subagent."""
    given = Task(
        id="task-1",
        root=ROOT.name,
        parent="",
        home=ROOT.home,
        agent="sub-researcher-a",
        agent_uid="uid-a",
        template="researcher",
        entry="",
        context="context",
    )
    return replace(given, **changes)


async def stored_task(tasks: Tasks, task: Task) -> Task:
    """Store a task of which something has become already."""
    new = await tasks.create(task)
    return await tasks.update(replace(task, version=new.version))


@dataclass
class FixedClock:
    """A clock that stands still until it is moved."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def advance(self, **amount: float) -> None:
        self.time += timedelta(**amount)


@dataclass
class RecordingAudit:
    """An audit that can be looked into, and that can be made to fail."""

    records: list[Record] = field(default_factory=list)
    failing: Exception | None = None

    async def write(self, record: Record) -> Head:
        if self.failing is not None:
            raise self.failing
        self.records.append(record)
        return Head("writer", len(self.records), f"sha256:{len(self.records):064d}")

    def events(self) -> list[tuple[str, str]]:
        return [(record.event, record.outcome) for record in self.records]


@dataclass
class FixedRules:
    """Rules that a test changes by hand."""

    templates: dict[str, Template]
    policies: dict[str, Policy]

    def current(self) -> Rules:
        return Rules(dict(self.templates), dict(self.policies))


@dataclass
class Bench:
    """A memory world with everything granted and present, and the services on it."""

    world: MemoryWorld
    services: Services
    clock: FixedClock
    audit: RecordingAudit
    rules: FixedRules
    registries: MemoryRegistries
    remote_agents: MemoryRemoteAgents


def services_on(
    world: MemoryWorld | KubernetesWorld,
    audit: Audit,
    rules: RuleSource,
    registries: Registries | None = None,
    remote_agents: RemoteAgents | None = None,
) -> Services:
    return composing.services_on(world, rules, audit, registries or MemoryRegistries(), remote_agents)


def registry_bench(**sections: Any) -> Bench:
    """A bench whose policy shows registry `main`, with templates that take its entries."""
    allow = {"allow": ["researcher", "registry-worker", "registry-image"]}
    setup = bench(**({"template": allow, "registry": SEES_MAIN} | sections))
    setup.rules.templates |= {one.name: one for one in (worker(), image_template())}
    setup.world.access.granted |= {(root, name) for root in (ROOT, OTHER) for name in allow["allow"]}
    return setup


def bench(**sections: Any) -> Bench:
    clock, audit = FixedClock(), RecordingAudit()
    world = MemoryWorld([ROOT, OTHER], clock=clock)
    world.inventory.models_in["subagents"] = {"default-model-config", "fast-model-config"}
    world.inventory.tools_in["subagents"] = {"web-search": {"search", "fetch"}}
    world.access.granted |= {(ROOT, "researcher"), (OTHER, "researcher")}
    rules = FixedRules({"researcher": template()}, {"default": policy(**sections)})
    registries, remote_agents = MemoryRegistries(), MemoryRemoteAgents(agents=world.agents, kind=KagentAgent())
    services = services_on(world, audit, rules, registries, remote_agents)
    return Bench(world, services, clock, audit, rules, registries, remote_agents)

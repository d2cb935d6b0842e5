"""Slim records of watched objects: what a plan needs, with equal values held once.

10,000 subagents as whole objects are 75 MB, as these records less than a third of that.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

from mcp_agentspawn.adapters.kubernetes.ledger_objects import ledger_of
from mcp_agentspawn.adapters.kubernetes.objects import subagent_of
from mcp_agentspawn.adapters.kubernetes.proposals import proposal_of
from mcp_agentspawn.adapters.kubernetes.tasks import task_of
from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Grant, Proposal, Request, RestsOn, Step, Subagent

AGENT_OF_POD = "kagent"
"""The label by which kagent's controller says whose pod it is."""
MOST_EQUAL = 4096
OF_ONE_ALONE = frozenset({"version", "digest", "context", "remote"})
"""Texts that no other record holds."""
NOTHING: Mapping[str, Any] = MappingProxyType({})

R = TypeVar("R", Subagent, Proposal, Task)


@dataclass(frozen=True, slots=True)
class Container:
    """How often one was started again, and whether it had failed when it ended last."""

    name: str
    restarts: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of an agent, whoever's that is."""

    agent: str
    uid: str
    containers: tuple[Container, ...]


def slim_agent(stored: Mapping[str, Any]) -> Subagent | None:
    """A subagent without its manifest; `None` for an Agent that is not ours."""
    agent = subagent_of(stored)
    return _slim(replace(agent, manifest=NOTHING)) if agent.root else None


def slim_proposal(stored: Mapping[str, Any]) -> Proposal:
    """A proposal without its manifest, and without what the request says in words."""
    proposal = proposal_of(stored)
    request, grant, rests_on = proposal.request, proposal.grant, proposal.rests_on
    return _slim(
        replace(
            proposal,
            manifest="",
            request=_request(request.template, request.model, request.lifetime, request.entry),
            grant=_grant(grant.lifetime, grant.depth, grant.single_task),
            rests_on=_rests_on(rests_on.policy, rests_on.crd, rests_on.parent),
            history=tuple(map(_step, proposal.history)),
        )
    )


def slim_task(stored: Mapping[str, Any]) -> Task:
    """A task without what its agent said: its result, its artifacts and the calls that wait."""
    return _slim(replace(task_of(stored), result="", pending=(), artifacts=()))


def slim_ledger(stored: Mapping[str, Any]) -> Ledger:
    """A ledger as it is."""
    return ledger_of(_shared(stored["spec"]))


def slim_pod(stored: Mapping[str, Any]) -> Pod | None:
    """How often the containers of an agent's pod were started again; `None` for a pod of no agent."""
    metadata, status = stored["metadata"], stored.get("status") or {}
    agent = (metadata.get("labels") or {}).get(AGENT_OF_POD, "")
    containers = tuple(_container(found) for found in status.get("containerStatuses") or ())
    return Pod(sys.intern(agent), metadata["uid"], containers) if agent else None


def root_of(agent: Subagent) -> str:
    """`agent.root`, held once."""
    return sys.intern(agent.root)


def _container(status: Mapping[str, Any]) -> Container:
    """One that ended without an error, or of whose end nothing is known but that it was started again."""
    ended = (status.get("lastState") or {}).get("terminated") or {}
    return Container(sys.intern(status["name"]), int(status["restartCount"]), ended.get("exitCode", 1) != 0)


def _slim(record: R) -> R:
    """The same, its texts shared with the records that hold them, too."""
    texts: dict[str, Any] = {
        name: sys.intern(value)
        for name in (field.name for field in fields(record))
        if name not in OF_ONE_ALONE and type(value := getattr(record, name)) is str
    }
    return replace(record, **texts)


def _shared(value: Any) -> Any:
    """JSON with each text held once."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, Mapping):
        return {sys.intern(key): _shared(one) for key, one in value.items()}
    return [_shared(one) for one in value] if isinstance(value, list) else value


def _step(step: Step) -> Step:
    return Step(step.phase, step.at, sys.intern(step.reason))


@lru_cache(MOST_EQUAL)
def _request(template: str, model: str, lifetime: timedelta, entry: str) -> Request:
    return Request(template, "", NOTHING, (), model, lifetime, entry)


@lru_cache(MOST_EQUAL)
def _grant(lifetime: timedelta, depth: int, single_task: bool) -> Grant:  # noqa: FBT001 - a field of a grant
    return Grant((), (), lifetime, depth, (), NOTHING, single_task)


_rests_on = lru_cache(MOST_EQUAL)(RestsOn)

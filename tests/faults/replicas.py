"""Replicas in this process: each has its own world, clock and audit, and may stand behind a proxy."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from mcp_agentspawn.adapters.kubernetes.world import connect
from mcp_agentspawn.core.expiry import ABANDONED_AFTER
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.operations.answers import Answer, Applied, Proposed, Retired
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from mcp_agentspawn.operations.services import Services
from tests.builders import FixedRules, RecordingAudit, ask, policy, services_on, template
from tests.faults.cluster import Cluster
from tests.faults.proxy import FaultProxy

ROOMY: Mapping[str, Any] = {
    "rate": {"changes_per_minute": 1000},
    "quota": {"open_proposals": 60, "live_per_parent": 3, "live_per_root": 10, "spawned_per_root_per_day": 1000},
}
"""Limits of a policy that lets a test do much, and hold three subagents."""


@dataclass
class ShiftedClock:
    """The real time and what it is ahead of it: repair waits for nobody in a test."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Replica:
    """One server without its edge."""

    services: Services
    caller: Caller
    clock: ShiftedClock
    audit: RecordingAudit
    rules: FixedRules

    async def propose(self, **changes: Any) -> Proposed:
        answer = await self.asked(ask(**changes))
        assert isinstance(answer, Proposed), answer
        return answer

    async def asked(self, wanted: Ask) -> Answer:
        return await propose(self.services, self.caller, wanted)

    async def applied(self, proposal: Proposed) -> Answer:
        return await apply(self.services, self.caller, proposal.proposal, proposal.digest)

    async def apply(self, proposal: Proposed) -> Applied:
        answer = await self.applied(proposal)
        assert isinstance(answer, Applied), answer
        return answer

    async def retire(self, agent: str) -> Retired:
        answer = await retire(self.services, self.caller, agent)
        assert isinstance(answer, Retired), answer
        return answer

    async def repair(self) -> set[tuple[str, str]]:
        """One pass; what was done as (verb, id)."""
        return {(action.verb, action.id) for action in await repair(self.services)}

    def later(self, by: timedelta = 2 * ABANDONED_AFTER) -> "Replica":
        """The same replica, later: what is unfinished now counts as abandoned then."""
        self.clock.ahead += by
        return self


@asynccontextmanager
async def start(cluster: Cluster, root: Root, proxy: FaultProxy | None = None) -> AsyncIterator[Replica]:
    """Start one. What it began and did not finish is finished before it goes."""
    clock, audit = ShiftedClock(), RecordingAudit()
    rules = FixedRules({"researcher": template()}, {"default": policy(**ROOMY)})
    async with connect([root], kubeconfig=kubeconfig(cluster, root, proxy), clock=clock) as world:
        services = services_on(world, audit, rules)
        yield Replica(services, Caller(root), clock, audit, rules)
        await services.later.settle()


def kubeconfig(cluster: Cluster, root: Root, proxy: FaultProxy | None = None) -> Path:
    """The server's own kubeconfig, straight to the API server or through a proxy."""
    if proxy is None:
        return cluster.plane.kubeconfig_for("agentspawn", cluster.server_token)
    place = proxy.url.rpartition(":")[2]
    file = cluster.plane.folder / f"{root.account}-{place}.kubeconfig"
    named = {
        "clusters": [{"name": "proxied", "cluster": {"server": proxy.url}}],
        "users": [{"name": "agentspawn", "user": {"token": cluster.server_token}}],
        "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "agentspawn"}}],
    }
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "proxied", **named}))
    file.chmod(0o600)
    return file

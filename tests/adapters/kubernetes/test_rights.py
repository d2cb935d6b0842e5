"""What the server asks the API server for as itself, in all that it does, against what deploy/ lets it ask for."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest_asyncio
import yaml

from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.credentials import load_credentials
from mcp_agentspawn.adapters.kubernetes.principals import SERVER, Call, Gate
from mcp_agentspawn.adapters.kubernetes.transport import Answer, Stream, Transport
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld, connect
from mcp_agentspawn.adapters.memory.delegation import MemoryRemoteAgents
from mcp_agentspawn.core.clearing import KEPT_FOR, UNCLAIMED_KEPT_FOR
from mcp_agentspawn.core.delegation import PendingCall, Report, Task, TaskAnswer, asked_digest
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.localplane import ControlPlane
from mcp_agentspawn.operations.answers import TaskAnswered
from mcp_agentspawn.operations.delegate import delegate
from mcp_agentspawn.operations.quarantine import quarantine
from mcp_agentspawn.operations.tasks import get_task
from tests.attacks.people import OPERATORS, Person
from tests.builders import FixedRules, RecordingAudit, policy, services_on, template
from tests.contracts.observing import running
from tests.contracts.stages import PERSON, kubeconfig
from tests.faults.cluster import HOME, LEASE, REPOSITORY, SYSTEM, Cluster, equip
from tests.faults.replicas import ROOMY, Replica, ShiftedClock
from tests.faults.servers import Rules
from tests.faults.spawning import let_spawn

PATH = re.compile(
    r"/apis?/((?P<group>[a-z0-9.]+\.[a-z0-9.]+)/)?v1[a-z0-9]*(/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(/(?P<name>[^/]+))?(?P<subresource>/[a-z]+)?\Z"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
BY_NAME = {"apiextensions.k8s.io", "admissionregistration.k8s.io", "coordination.k8s.io"}
WAITING = Report("", "input_required", asks="tool_approval", pending=(PendingCall("call-1", "fetch", "{}"),))
OF_THE_SERVER = {("agentspawn", SYSTEM), ("agentspawn-server", "subagents"), ("agentspawn-server", "")}


class Right(NamedTuple):
    """One verb on one kind in one place; for kinds of the whole cluster that are read, on one object."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""


@dataclass
class Recording:
    """A transport that writes down what goes through it in the server's own name."""

    inner: Transport
    used: set[Right] = field(default_factory=set)

    async def send(self, call: Call) -> Answer:
        if call.principal is SERVER:
            self.used.add(_right_for(call))
        return await self.inner.send(call)

    def stream(self, call: Call) -> AbstractAsyncContextManager[Stream]:
        self.used.add(_right_for(call)._replace(verb="watch"))
        return self.inner.stream(call)


def _right_for(call: Call) -> Right:
    match = PATH.match(call.path)
    assert match is not None, call.path
    group, name = match["group"] or "", match["name"] or ""
    reads = "watch" if "watch" in call.query else "get" if name else "list"
    verb = VERBS.get(call.method, reads)
    resource = match["resource"] + (match["subresource"] or "")
    return Right(match["namespace"] or "", group, resource, verb, name if group in BY_NAME else "")


def _granted() -> Iterator[Right]:
    for role in yaml.safe_load_all((REPOSITORY / "deploy" / "20-server-rbac.yaml").read_text(encoding="utf-8")):
        metadata = role["metadata"]
        place = metadata.get("namespace", "")
        if role["kind"] in {"Role", "ClusterRole"}:
            assert (metadata["name"], place) in OF_THE_SERVER
            for rule in role["rules"]:
                yield from _rights_of(rule, place)


def _rights_of(rule: Mapping[str, Any], namespace: str) -> Iterator[Right]:
    (group,) = rule["apiGroups"]
    for resource in rule["resources"]:
        for verb in rule["verbs"]:
            for name in rule.get("resourceNames", [""]):
                yield Right(namespace, group, resource, verb, name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with equip(control_plane) as cluster:
        yield cluster


@asynccontextmanager
async def recorded(cluster: Cluster, root: Root) -> AsyncIterator[tuple[Recording, KubernetesWorld, Replica]]:
    """A server without its edge whose requests are written down."""
    clock, audit = ShiftedClock(), RecordingAudit()
    sections = {"template": {"allow": ["researcher", "lead"]}, "lineage": {"most_depth": 1}, **ROOMY}
    rules = FixedRules({"researcher": template(), "lead": template("lead", depth=1)}, {"default": policy(**sections)})
    async with Transport(await load_credentials(kubeconfig(cluster)), Gate([root])) as transport:
        recording = Recording(transport)
        world = KubernetesWorld(Client(recording), [root], clock=clock)
        remote = MemoryRemoteAgents(agents=world.agents, kind=KagentAgent())
        services = services_on(world, audit, rules, remote_agents=remote)
        yield recording, world, Replica(services, Caller(root), clock, audit, rules)
        await services.later.settle()
        await world.ledgers.close()


async def test_all_that_the_server_is_granted_it_uses_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    root = await cluster.onboard("with-rights")
    await let_spawn(cluster, root, Rules(tmp_path))
    async with recorded(cluster, root) as (recording, world, replica):
        assert not await world.problems()
        assert await world.tokens.caller(await cluster.token_of(root)) is not None
        await _watches_and_leads(cluster, world)
        await _lives_and_is_retired(cluster, replica)
        await _works_and_is_cut_off(cluster, replica)
        await _is_cleared_away(cluster, replica)
        assert root.name in await world.ledgers.roots()  # what `agentspawn audit verify` asks in the pod

    assert recording.used == set(_granted())


async def _watches_and_leads(cluster: Cluster, world: KubernetesWorld) -> None:
    await cluster.remove(LEASE)
    async with running(world.observer):
        assert await world.leadership.held()
    await world.leadership.release()


async def _works_and_is_cut_off(cluster: Cluster, replica: Replica) -> None:
    """A subagent whose tool approval a person gives, and which is then put into quarantine."""
    services = replica.services
    agent = (await replica.apply(await replica.propose(purpose="Some work"))).agent
    await services.later.settle()
    await cluster.start(agent)
    await _works(cluster, replica, agent)
    standing, proposal = await services.agents.get(HOME, agent), await services.proposals.get(agent)
    assert standing is not None
    assert proposal is not None
    await quarantine(services, standing, proposal, "crashes", Head("writer", 1, "sha256:1"))
    await services.later.settle()
    await services.cordon.lift(HOME, agent)  # once its Agent is gone, the collector may be quicker


async def _works(cluster: Cluster, replica: Replica, agent: str) -> None:
    services, remote = replica.services, replica.services.remote_agents
    assert isinstance(remote, MemoryRemoteAgents)
    remote.script[agent] = [WAITING]
    begun = await delegate(services, replica.caller, agent, "Fetch it.")
    assert isinstance(begun, TaskAnswered), begun
    await _answer(cluster, await services.tasks.get(begun.task))
    remote.script[agent] = [replace(WAITING, state="completed", asks="", pending=())]
    done = await get_task(services, replica.caller, begun.task)
    assert isinstance(done, TaskAnswered), done
    assert done.state == "completed"
    await services.later.settle()


async def _answer(cluster: Cluster, task: Task | None) -> None:
    """A person lets the calls of a task be made."""
    assert task is not None
    own = cluster.plane.kubeconfig_for("rights-person", cluster.plane.token_of(PERSON))
    answer = TaskAnswer(f"{task.id}.1", task.id, task.uid, asked_digest(task), "approve", PERSON)
    async with connect((), kubeconfig=own) as person:
        await person.task_answers.create(answer)


async def _lives_and_is_retired(cluster: Cluster, replica: Replica) -> None:
    """A subagent with a credential of its own, which a person has approved."""
    made = await replica.propose(template="lead")
    assert await Person(cluster, "alice").decide({"proposal": made.proposal, "digest": made.digest}) == 201
    applied = await replica.apply(made)
    await replica.services.later.settle()
    await replica.retire(applied.agent)


async def _is_cleared_away(cluster: Cluster, replica: Replica) -> None:
    """A subagent whose time is over, then its proposal and the decision on the other's, then a reset."""
    await replica.apply(await replica.propose())
    await replica.services.later.settle()
    assert await Person(cluster, "frida", (OPERATORS,)).let_go_on(replica.caller.root, "7d5c") == 201
    assert "expire" in await _verbs(replica.later(timedelta(hours=12)))
    assert {"forget", "clear"} <= await _verbs(replica.later(2 * KEPT_FOR))
    assert "clear" in await _verbs(replica.later(UNCLAIMED_KEPT_FOR))


async def _verbs(replica: Replica) -> set[str]:
    return {verb for verb, _ in await replica.repair()}

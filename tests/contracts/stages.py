"""Two worlds that the contracts are played on, and what a test may move on them from outside."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from mcp_agentspawn.adapters.kubernetes.resources import DEFINITIONS, MODEL_CONFIGS, TOOL_SERVERS
from mcp_agentspawn.adapters.kubernetes.schema import ManifestSchema, served_schema
from mcp_agentspawn.adapters.kubernetes.world import KubernetesWorld, connect
from mcp_agentspawn.adapters.memory import MemoryWorld
from mcp_agentspawn.core.model import Grant, Proposal, Request, RestsOn, Root
from mcp_agentspawn.core.names import DEPTH, LIFETIME, PARENT, PROPOSAL, REQUEST, ROOT, TEMPLATE, TREE
from tests.faults.cluster import AGENTS, HOME, KAGENT, RBAC, SYSTEM, Cluster
from tests.faults.spawning import credential
from tests.localplane.waiting import until

CRD = Path(__file__).parents[2] / "dev" / "kagent-crds" / "agents.yaml"
QUOTA = f"/api/v1/namespaces/{HOME}/resourcequotas/agentspawn"
DEFINITION = DEFINITIONS.item("", "agents.kagent.dev")
ROOMY = 400
PERSON = "admin"
NUMBERS = count(1)

World = MemoryWorld | KubernetesWorld


def fresh(word: str = "sub-thing") -> str:
    """A name that no other test has."""
    return f"{word}-{next(NUMBERS)}"


def manifest(root: Root, id_: str, **spec: Any) -> dict[str, Any]:
    """A subagent of that root as it is sent, every default written."""
    declarative = {
        "runtime": "python",
        "systemMessage": "You count.",
        "modelConfig": "default-model-config",
        "stream": True,
        "tools": [],
    }
    metadata = {
        "name": id_,
        "namespace": root.home,
        "labels": {PROPOSAL: id_, TREE: root.label},
        "annotations": {
            ROOT: root.virtual_user,
            PARENT: "sub-parent",
            TEMPLATE: "researcher",
            LIFETIME: "1800",
            REQUEST: "sha256:1",
            DEPTH: "0",
        },
    }
    said = {"type": "Declarative", "description": "Counts", "declarative": declarative, **spec}
    return {"apiVersion": KAGENT, "kind": "Agent", "metadata": metadata, "spec": said}


def proposal(root: Root, **changes: Any) -> Proposal:
    """A proposal with something in every field."""
    asked = Request(
        template="researcher",
        purpose="Find out: “why?” 🔎\n\tand how",
        parameters={"topic": "Ünïcode", "depth": 2, "share": 0.25, "strict": True, "zero": 0, "empty": ""},
        tools=("web-search/search", "web-search/fetch"),
        model="default-model-config",
        lifetime=timedelta(minutes=30),
    )
    made = Proposal(
        id=fresh(),
        root=root.name,
        parent="",
        home=root.home,
        request=asked,
        template_hash="sha256:1",
        request_digest="sha256:2",
        digest="sha256:3",
        risk="low",
        expires_at=datetime.now(UTC) + timedelta(minutes=15),
        manifest='{"spec":{"text":"Ünïcode \\" \\\\ "}}',
        grant=Grant(
            tools=("web-search/search", "web-search/fetch"),
            models=("default-model-config",),
            lifetime=timedelta(minutes=30),
            depth=2,
            ask_first=("web-search/fetch",),
            parameters={"topic": "Ünïcode", "share": 0.25},
        ),
        rests_on=RestsOn(policy="sha256:4", crd="sha256:5", parent="some-uid"),
    )
    return replace(made, **changes)


@dataclass
class Stage(ABC):
    """One world, a second server on the same state, a person's way in, and roots: two may write, one may not."""

    world: World
    replica: World
    person: World
    person_name: str
    root: Root
    other: Root
    powerless: Root

    def unknown_root(self) -> Root:
        """A root that no configuration names."""
        return Root("agents", fresh("stranger"), HOME)

    @abstractmethod
    async def leave_room(self, agents: int) -> None:
        """Let the namespace hold so many agents more."""

    @abstractmethod
    async def make_ready(self, id_: str) -> None:
        """Say that an agent is up, as kagent's controller would."""

    @abstractmethod
    async def squat(self, id_: str) -> None:
        """Have an operator make an agent of that name."""

    @abstractmethod
    async def put_model(self, name: str) -> None:
        """Put a model there."""

    @abstractmethod
    async def put_server(self, name: str, tools: Collection[str]) -> None:
        """Put a tool server there, with what was discovered of it."""

    @abstractmethod
    async def grant(self, root: Root, template: str) -> None:
        """Let a root use a template."""

    @abstractmethod
    async def credential(self, agent: str) -> str:
        """The own credential of an agent, as its pod would read it; `""` when there is none."""

    @abstractmethod
    async def change_schema(self) -> None:
        """Change the schema of agents by a word."""

    @abstractmethod
    async def token(self, namespace: str, account: str) -> str:
        """A valid credential of a service account."""


class MemoryStage(Stage):
    """The twin; its second server is itself."""

    world: MemoryWorld

    async def leave_room(self, agents: int) -> None:
        held = len(await self.world.agents.of_home(HOME))
        self.world.agents.limits[HOME] = held + agents

    async def make_ready(self, id_: str) -> None:
        self.world.agents.set_ready(HOME, id_)

    async def squat(self, id_: str) -> None:
        self.world.agents.put(HOME, {"apiVersion": KAGENT, "kind": "Agent", "metadata": {"name": id_}, "spec": {}})

    async def put_model(self, name: str) -> None:
        self.world.inventory.models_in.setdefault(HOME, set()).add(name)

    async def put_server(self, name: str, tools: Collection[str]) -> None:
        self.world.inventory.tools_in.setdefault(HOME, {})[name] = set(tools)

    async def grant(self, root: Root, template: str) -> None:
        self.world.access.granted.add((root, template))

    async def credential(self, agent: str) -> str:
        return self.world.keyring.tokens.get((HOME, agent), "")

    async def change_schema(self) -> None:
        self.world.inventory.schema = agent_schema(fresh("description"))

    async def token(self, namespace: str, account: str) -> str:
        return self.world.tokens.issue(namespace, account)


@dataclass
class KubernetesStage(Stage):
    """The real API server, written to as the server and moved as an administrator."""

    cluster: Cluster

    async def leave_room(self, agents: int) -> None:
        held = len((await self.cluster.get(AGENTS) or {})["items"])
        await self.limit(held + agents, held)

    async def make_ready(self, id_: str) -> None:
        await self.cluster.start(id_)

    async def squat(self, id_: str) -> None:
        await self._post(AGENTS, _object("Agent", id_, spec={"type": "BYO", "byo": {"deployment": {"image": "x"}}}))

    async def put_model(self, name: str) -> None:
        spec = {"model": "some-model", "provider": "OpenAI"}
        await self._post(MODEL_CONFIGS.collection(HOME), _object("ModelConfig", name, spec=spec))

    async def put_server(self, name: str, tools: Collection[str]) -> None:
        path = TOOL_SERVERS.collection(HOME)
        spec = {"description": "x", "url": "http://127.0.0.1:1/mcp"}
        await self._post(path, _object("RemoteMCPServer", name, spec=spec))
        if tools:
            found = [{"name": tool, "description": tool} for tool in tools]
            status = {"discoveredTools": found, "observedGeneration": 1}
            await self.cluster.patch(f"{path}/{name}/status", {"status": status})

    async def grant(self, root: Root, template: str) -> None:
        name = fresh("grant")
        use = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "verbs": ["use"]}
        role = {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        user = {"kind": "User", "name": root.virtual_user, "apiGroup": "rbac.authorization.k8s.io"}
        place = f"/apis/{RBAC}/namespaces/{SYSTEM}"
        await self._post(f"{place}/roles", {"metadata": {"name": name}, "rules": [use | {"resourceNames": [template]}]})
        await self._post(f"{place}/rolebindings", {"metadata": {"name": name}, "roleRef": role, "subjects": [user]})

    async def credential(self, agent: str) -> str:
        return await credential(self.cluster, agent)

    async def change_schema(self) -> None:
        definition = await self.cluster.get(DEFINITION)
        assert definition is not None
        for version in definition["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"]["description"] = fresh("description")
        await self.cluster.patch(DEFINITION, {"spec": {"versions": definition["spec"]["versions"]}})

    async def token(self, namespace: str, account: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        async with self.cluster.admin.post(path, json={"metadata": {"name": account}}) as response:
            assert response.status in {201, 409}
        return await self.cluster.token_of(Root(namespace, account, HOME))

    async def limit(self, agents: int, held: int) -> None:
        """Set the quota, and wait until its controller has counted: a count that comes later would undo a later one."""
        key = "count/agents.kagent.dev"
        counted = {"hard": {key: str(agents)}, "used": {key: str(held)}}
        await self.cluster.patch(QUOTA, {"spec": {"hard": counted["hard"]}})

        async def is_counted() -> bool:
            return bool((await self.cluster.get(QUOTA) or {})["status"] == counted)

        await until(is_counted)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        async with self.cluster.admin.post(path, json=body) as response:
            assert response.status == 201, await response.text()


def agent_schema(description: str = "") -> ManifestSchema:
    """The schema of Agents that this repository installs, under this description if there is one."""
    definition = yaml.safe_load(CRD.read_text())
    for version in definition["spec"]["versions"] if description else ():
        version["schema"]["openAPIV3Schema"]["description"] = description
    schema = served_schema(definition, "v1alpha2")
    assert schema is not None
    return schema


def memory_stage(schema: ManifestSchema) -> MemoryStage:
    roots = [Root("agents", account, HOME) for account in ("contract-a", "contract-b", "contract-powerless")]
    world = MemoryWorld(roots, schema=schema)
    world.agents.may_write.discard(roots[2])
    return MemoryStage(world, world, world, "person", *roots)


@asynccontextmanager
async def kubernetes_stage(cluster: Cluster) -> AsyncIterator[KubernetesStage]:
    roots = [Root("agents", account, HOME) for account in ("contract-a", "contract-b", "contract-powerless")]
    file = kubeconfig(cluster)
    own = cluster.plane.kubeconfig_for("contract-person", cluster.plane.token_of(PERSON))
    async with (
        connect(roots, kubeconfig=file) as world,
        connect(roots, kubeconfig=file) as replica,
        connect((), kubeconfig=own) as person,
    ):
        stage = KubernetesStage(world, replica, person, PERSON, roots[0], roots[1], roots[2], cluster)
        await _clear(cluster)
        try:
            yield stage
        finally:
            await _clear(cluster)
            await stage.limit(agents=ROOMY, held=0)


def kubeconfig(cluster: Cluster) -> Path:
    return cluster.plane.kubeconfig_for("contract-server", cluster.server_token)


async def _clear(cluster: Cluster) -> None:
    """Remove every agent, as an administrator."""
    for agent in (await cluster.get(AGENTS) or {})["items"]:
        await cluster.remove(f"{AGENTS}/{agent['metadata']['name']}")


def _object(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": KAGENT, "kind": kind, "metadata": {"name": name, "namespace": HOME}, **parts}

"""A control plane with deploy/ on it, as a platform engineer leaves it: roots onboarded, models and tools in place."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from mcp_agentspawn.adapters.kubernetes.lease import NAME
from mcp_agentspawn.adapters.kubernetes.world import connect
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import ControlPlane, install
from tests.localplane.waiting import until

REPOSITORY = Path(__file__).parents[2]
SYSTEM, HOME = "agentspawn-system", "subagents"
SERVER = f"system:serviceaccount:{SYSTEM}:agentspawn"
AGENTS = f"/apis/kagent.dev/v1alpha2/namespaces/{HOME}/agents"
PROPOSALS = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/subagentproposals"
LEDGERS = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}/spawnledgers"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{NAME}"
KAGENT, CORE, RBAC = "kagent.dev/v1alpha2", "v1", "rbac.authorization.k8s.io/v1"


@dataclass(frozen=True)
class Cluster:
    """One control plane, seen by an administrator; `server_token` is the server's own identity there."""

    plane: ControlPlane
    admin: aiohttp.ClientSession
    server_token: str = field(repr=False)

    async def onboard(self, account: str) -> Root:
        """Make `agents/<account>` a root: its service account, its virtual user's rights, the right to be it."""
        root = Root("agents", account, HOME)
        file = self.plane.folder / f"onboard-{account}.yaml"
        file.write_text(yaml.safe_dump_all(_onboarding(root)), encoding="utf-8")
        await install(self.plane.admin, [file])
        return root

    async def token_of(self, root: Root, audience: str = "agentspawn") -> str:
        """A token of the root's service account."""
        return await token_of(self.admin, root.namespace, root.account, audience)

    async def get(self, path: str) -> dict[str, Any] | None:
        """Any object as it is now; `None` when there is none."""
        async with self.admin.get(path) as response:
            found: dict[str, Any] = await response.json()
        return None if response.status == 404 else found

    async def agents_of(self, root: Root) -> list[dict[str, Any]]:
        """The Agents that stand in the cluster for a root."""
        return await self._of(AGENTS, root)

    async def proposals_of(self, root: Root) -> list[dict[str, Any]]:
        """The proposals of a root."""
        return await self._of(PROPOSALS, root)

    async def ledger_of(self, root: Root) -> dict[str, Any]:
        """The spec of a root's ledger; empty sets when there is none yet."""
        found = await self.get(f"{LEDGERS}/{root.key}")
        spec: dict[str, Any] = found["spec"] if found else {"open": {}, "live": {}, "used": {}, "spawned": 0}
        return spec

    async def phase_of(self, proposal: str) -> str:
        """What became of a proposal; `""` when it is gone."""
        found = await self.get(f"{PROPOSALS}/{proposal}")
        return str(found["status"]["phase"]) if found else ""

    async def start(self, agent: str) -> None:
        """Say that an agent's pod has started, as kagent's controller would."""
        condition = {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "reason": "DeploymentReady",
            "message": "",
            "lastTransitionTime": "2026-11-21T12:00:00Z",
        }
        status = {"observedGeneration": 1, "conditions": [condition]}
        await self.patch(f"{AGENTS}/{agent}/status", {"status": status})

    async def patch(self, path: str, change: dict[str, Any]) -> None:
        """Merge a change into any object, as an administrator."""
        await _patch(self.admin, path, change)

    async def clear(self, root: Root) -> None:
        """Remove the Agents of a root, as an administrator."""
        for agent in await self.agents_of(root):
            await self.remove(f"{AGENTS}/{agent['metadata']['name']}")

    async def remove(self, path: str) -> None:
        """Remove any object, as an administrator."""
        async with self.admin.delete(path) as response:
            assert response.status in {200, 404}, await response.text()

    async def _of(self, path: str, root: Root) -> list[dict[str, Any]]:
        found = await self.get(f"{path}?labelSelector=agentspawn.dev/tree%3D{root.label}")
        return list(found["items"]) if found else []


@asynccontextmanager
async def equip(plane: ControlPlane) -> AsyncIterator[Cluster]:
    """Install deploy/ as a user would, and wait until the policies act."""
    manifests = [file for file in sorted((REPOSITORY / "deploy").glob("*.yaml")) if not file.name.startswith("50-")]
    supplies = plane.folder / "supplies.yaml"
    supplies.write_text(yaml.safe_dump_all(_supplies()), encoding="utf-8")
    await install(plane.admin, [REPOSITORY / "dev" / "kagent-crds", *manifests, supplies])
    async with plane.admin.session() as admin:
        await _discover(admin)
        await _count(admin)
        cluster = Cluster(plane, admin, await token_of(admin, SYSTEM, "agentspawn", ""))
        await until(lambda: _guarded(cluster))
        yield cluster


async def token_of(admin: aiohttp.ClientSession, namespace: str, account: str, audience: str) -> str:
    """A service account's token for an audience; `""` is the API server itself."""
    body = {"spec": {"expirationSeconds": 7200} | ({"audiences": [audience]} if audience else {})}
    async with admin.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", json=body) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["status"]["token"])


async def _guarded(cluster: Cluster) -> bool:
    """Whether the server itself would call this cluster ready."""
    kubeconfig = cluster.plane.kubeconfig_for("agentspawn", cluster.server_token)
    async with connect([Root("agents", "nobody", HOME)], kubeconfig=kubeconfig) as world:
        return not await world.problems()


async def _discover(admin: aiohttp.ClientSession) -> None:
    """Say what kagent's controller would have found that the tool server offers."""
    tools = [{"name": name, "description": name} for name in ("search", "fetch")]
    path = f"/apis/{KAGENT}/namespaces/{HOME}/remotemcpservers/web-search/status"
    await _patch(admin, path, {"status": {"discoveredTools": tools, "observedGeneration": 1}})


async def _count(admin: aiohttp.ClientSession) -> None:
    """Say that there is nothing yet, and let there be much: the quotas' controller sees a new kind 30 s late."""
    for namespace, kind in ((HOME, "agents.kagent.dev"), (SYSTEM, "subagenttasks.agentspawn.dev")):
        quota, key = f"/api/v1/namespaces/{namespace}/resourcequotas/agentspawn", f"count/{kind}"
        await _patch(admin, quota, {"spec": {"hard": {key: "10000"}}})
        await _patch(admin, f"{quota}/status", {"status": {"hard": {key: "10000"}, "used": {key: "0"}}})


async def _patch(admin: aiohttp.ClientSession, path: str, change: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    async with admin.patch(path, data=json.dumps(change), headers=headers) as response:
        assert response.status == 200, await response.text()


def _supplies() -> list[dict[str, Any]]:
    models = [
        _object(KAGENT, "ModelConfig", name, HOME, spec={"model": "some-model", "provider": "OpenAI"})
        for name in ("default-model-config", "fast-model-config")
    ]
    server = {"description": "Search", "url": "http://127.0.0.1:1/mcp"}
    return [*models, _object(KAGENT, "RemoteMCPServer", "web-search", HOME, spec=server)]


def _onboarding(root: Root) -> list[dict[str, Any]]:
    name = f"agentspawn-{root.account}"
    user = {"kind": "User", "name": root.virtual_user, "apiGroup": "rbac.authorization.k8s.io"}
    server = {"kind": "ServiceAccount", "name": "agentspawn", "namespace": SYSTEM}
    impersonate = {
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["users"],
        "resourceNames": [root.virtual_user],
        "verbs": ["impersonate:user-info"],
    }
    write = {"apiGroups": ["kagent.dev"], "resources": ["agents"], "verbs": ["create", "delete"]}
    use = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "verbs": ["use"]}
    return [
        _object(CORE, "ServiceAccount", root.account, root.namespace),
        _object(RBAC, "ClusterRole", name, "", rules=[impersonate]),
        _binding("ClusterRoleBinding", "ClusterRole", name, "", server),
        _object(RBAC, "Role", name, root.home, rules=[write]),
        _binding("RoleBinding", "Role", name, root.home, user),
        _object(RBAC, "Role", name, SYSTEM, rules=[use | {"resourceNames": ["researcher"]}]),
        _binding("RoleBinding", "Role", name, SYSTEM, user),
    ]


def _binding(kind: str, role: str, name: str, namespace: str, subject: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name}
    return _object(RBAC, kind, name, namespace, roleRef=reference, subjects=[subject])


def _object(version: str, kind: str, name: str, namespace: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}

"""A control plane as a platform engineer leaves it: deploy/ applied, a root onboarded, tools and models in place."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from mcp_agentspawn.adapters.files import examine
from mcp_agentspawn.cli.dev import checkout
from mcp_agentspawn.cli.dev.tokens import Credentials, issue
from mcp_agentspawn.cli.dev.waiting import until
from mcp_agentspawn.cli.manifests import onboarding
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import DEFAULT_HOME, SPAWN_SERVER, SYSTEM_NAMESPACE
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.localplane import Binaries, ControlPlane, install
from mcp_agentspawn.localplane.inventory import manifests as inventory
from mcp_agentspawn.localplane.inventory import server
from mcp_agentspawn.localplane.tools import tool_servers

ROOTS: Mapping[str, Root] = {
    "orchestrator": Root("agents", "orchestrator", DEFAULT_HOME),
    "stranger": Root("agents", "stranger", DEFAULT_HOME),
}
"""`stranger` may call the server and has no right in the cluster."""
PEOPLE: Mapping[str, Sequence[str]] = {
    "alice": ("agentspawn:approvers", "agentspawn:operators"),
    "bob": ("agentspawn:approvers",),
}
"""Two different people and the groups that deploy/ gives roles to: both approve, and alice can stop everything."""
QUOTAS = [f"/api/v1/namespaces/{namespace}/resourcequotas/agentspawn" for namespace in (DEFAULT_HOME, SYSTEM_NAMESPACE)]
COUNTED_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """The control plane, and who may do what there. `people` are kubeconfig files, by name."""

    plane: ControlPlane
    credentials: Credentials
    people: Mapping[str, Path]


@asynccontextmanager
async def cluster(binaries: Binaries) -> AsyncIterator[Cluster]:
    """Start it and put everything there; leaving stops and removes all of it."""
    async with ControlPlane(binaries, users=PEOPLE, kinds=checkout.kinds()) as plane, tool_servers() as servers:
        offered = await inventory(servers, DEFAULT_HOME)
        files = [*checkout.manifests(), _written(plane, "rights", [*rights(), _stranger()])]
        await install(plane.admin, [*files, _written(plane, "inventory", offered)])
        async with plane.admin.session() as admin:
            await _say_status(admin, offered)
            complaint = "The ResourceQuotas are not counted, so they would refuse every Agent and every task."
            await until(partial(_is_counted, admin), COUNTED_WITHIN_SECONDS, complaint)
        people = {name: plane.kubeconfig_for(name, plane.token_of(name), SYSTEM_NAMESPACE) for name in PEOPLE}
        yield Cluster(plane, await issue(plane, ROOTS), people)


async def offer_spawning(local: Cluster, url: str) -> None:
    """Put our own server beside the subagents, for those that have depth left."""
    document = await server(SPAWN_SERVER, url, DEFAULT_HOME)
    await install(local.plane.admin, [_written(local.plane, "spawning", [document])])
    async with local.plane.admin.session() as admin:
        await _say_status(admin, [document])


def rights() -> list[dict[str, Any]]:
    """What the orchestrator may do: use every template that is read here, too."""
    root, templates = ROOTS["orchestrator"], examine(checkout.TEMPLATES, Template).values
    return onboarding(root.namespace, root.account, DEFAULT_HOME, constrained=True, templates=sorted(templates))


def _stranger() -> dict[str, Any]:
    root = ROOTS["stranger"]
    metadata = {"name": root.account, "namespace": root.namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _written(plane: ControlPlane, name: str, documents: Sequence[Mapping[str, Any]]) -> Path:
    file = plane.folder / f"{name}.yaml"
    without_status = [{key: part for key, part in document.items() if key != "status"} for document in documents]
    file.write_text(yaml.safe_dump_all(without_status), encoding="utf-8")
    return file


async def _say_status(admin: aiohttp.ClientSession, documents: Sequence[Mapping[str, Any]]) -> None:
    """Write what kagent's controller would: which tools each server offers."""
    for document in documents:
        if "status" in document:
            namespace, name = document["metadata"]["namespace"], document["metadata"]["name"]
            path = f"/apis/{document['apiVersion']}/namespaces/{namespace}/remotemcpservers/{name}/status"
            headers = {"Content-Type": "application/merge-patch+json"}
            async with admin.patch(path, data=json.dumps({"status": document["status"]}), headers=headers) as response:
                if not response.ok:
                    raise Unavailable(f"The tools of {name} can not be said: HTTP {response.status}")


async def _is_counted(admin: aiohttp.ClientSession) -> bool:
    for quota in QUOTAS:
        async with admin.get(quota) as response:
            if "used" not in (await response.json()).get("status", {}):
                return False
    return True

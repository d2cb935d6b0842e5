"""Templates, rights and the tool server for subagents that spawn, and what their credentials look like in a cluster."""

from base64 import b64decode
from collections.abc import Collection
from typing import Any

import yaml

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.names import SPAWN_SERVER, SPAWN_TOOLS
from mcp_agentspawn.localplane import install
from tests.attacks.people import Person
from tests.builders import RESEARCHER
from tests.faults.cluster import HOME, KAGENT, RBAC, SYSTEM, Cluster
from tests.faults.replicas import ROOMY
from tests.faults.servers import Answer, Rules, Server
from tests.localplane.waiting import until

TOPIC = [{"name": "topic", "value": "Kubernetes admission"}]
CREATE_SECRET = ("POST", rf"/namespaces/{HOME}/secrets")
DELETE_SECRET = ("DELETE", r"/secrets/sub-")


async def let_spawn(cluster: Cluster, root: Root, rules: Rules) -> None:
    """Write a `lead` that may spawn and a `researcher` that may not, and let this root use both."""
    policy = {"callers": {"namespaces": ["agents"]}, "template": {"allow": ["researcher", "lead"]}, **ROOMY}
    rules.write()
    rules._replace("templates/lead.yaml", RESEARCHER | {"depth": 1})
    rules._replace("policies/default.yaml", policy | {"lineage": {"most_depth": 1}})
    use = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "resourceNames": ["researcher", "lead"]}
    role = f"/apis/{RBAC}/namespaces/{SYSTEM}/roles/agentspawn-{root.account}"
    await cluster.patch(role, {"rules": [use | {"verbs": ["use"]}]})
    await offer_spawning(cluster)


async def offer_spawning(cluster: Cluster, **others: Collection[str]) -> None:
    """Put this server beside the subagents, as operators do and kagent's controller then sees it, and other servers."""
    offers = {SPAWN_SERVER: SPAWN_TOOLS, **others}
    spec = {"description": "Tools", "url": "http://127.0.0.1:1/mcp"}
    manifests = [
        {"apiVersion": KAGENT, "kind": "RemoteMCPServer", "metadata": {"name": name, "namespace": HOME}, "spec": spec}
        for name in offers
    ]
    file = cluster.plane.folder / "spawning.yaml"
    file.write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
    await install(cluster.plane.admin, [file])
    for name, tools in offers.items():
        found = [{"name": tool, "description": tool} for tool in tools]
        path = f"/apis/{KAGENT}/namespaces/{HOME}/remotemcpservers/{name}/status"
        await cluster.patch(path, {"status": {"discoveredTools": found, "observedGeneration": 1}})


async def approved_lead(cluster: Cluster, server: Server) -> Answer:
    """A proposal of a lead that a person has approved."""
    proposal = await server.call("propose_subagent", template="lead", purpose="Lead", parameters=TOPIC)
    assert await Person(cluster, "alice").decide(proposal) == 201, proposal
    return proposal


async def lead(cluster: Cluster, server: Server) -> str:
    """The id of a lead that stands."""
    applied = await server.apply(await approved_lead(cluster, server))
    assert applied["outcome"] == "allowed", applied
    return str(applied["agent"])


async def spawned_by(child: Server) -> Answer:
    """What a lead hears when it spawns a researcher that lives shorter than itself."""
    asked = {"template": "researcher", "purpose": "Part of it", "parameters": TOPIC, "lifetime_minutes": 5}
    await until(child.is_known)
    applied = await child.apply(await child.call("propose_subagent", **asked))
    assert applied["outcome"] == "allowed", applied
    return applied


async def credential(cluster: Cluster, agent: str) -> str:
    """A subagent's own credential, as its pod gets it; empty when it has none."""
    secret = await cluster.get(f"/api/v1/namespaces/{HOME}/secrets/{agent}-agentspawn")
    return b64decode(secret["data"]["token"]).decode() if secret else ""


async def status_of(server: Server, token: str) -> int:
    """The HTTP status that this credential gets."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"MCP-Protocol-Version": "2025-11-25", "Accept": "application/json", "X-Agentspawn-Token": token}
    async with server.session.post(f"{server.url}/mcp", json=message, headers=headers) as response:
        return response.status

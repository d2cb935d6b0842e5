"""An orchestrator with rules of its own, a server, and hands that change what a proposal rests on."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from mcp_agentspawn.app import Served, serving_cluster
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.settings import load
from tests.attacks.orchestrators import Orchestrator
from tests.attacks.people import APPROVALS, Person
from tests.builders import RESEARCHER
from tests.faults.cluster import AGENTS, KAGENT, PROPOSALS, RBAC, SYSTEM, Cluster
from tests.faults.replicas import ROOMY, kubeconfig
from tests.faults.spawning import credential
from tests.localplane.waiting import until

Document = dict[str, Any]
KIND = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agents.kagent.dev"
TEMPLATES: Mapping[str, Document] = {
    "researcher": RESEARCHER,
    "careful": RESEARCHER | {"risk": "medium"},
    "leader": RESEARCHER | {"depth": 1},
}
GENERATION = "agentspawn_rules_generation"


def policy(**sections: Any) -> Document:
    """A roomy policy for every orchestrator in `agents`."""
    callers, allowed = {"namespaces": ["agents"]}, {"allow": list(TEMPLATES)}
    return {"callers": callers, "template": allowed, "lineage": {"most_depth": 1}, **ROOMY, **sections}


@dataclass(frozen=True)
class Stage:
    """The orchestrator, and everything that may change between its proposal and its apply."""

    cluster: Cluster
    orchestrator: Orchestrator
    folder: Path
    served: Served

    async def template(self, name: str, document: Document | None) -> None:
        """Write a template anew, or remove it, and wait until the server goes by it."""
        await self._rewrite(self.folder / "templates" / f"{name}.yaml", document)

    async def policy(self, document: Document) -> None:
        """Write the policy anew, and wait until the server goes by it."""
        await self._rewrite(self.folder / "policies" / "default.yaml", document)

    @asynccontextmanager
    async def kind(self, *, most_characters: int) -> AsyncIterator[None]:
        """The kind Agent takes only so long a prompt, as long as the block lasts."""
        found = await self.cluster.get(KIND)
        assert found is not None
        (number,) = [n for n, version in enumerate(found["spec"]["versions"]) if version["name"] == "v1alpha2"]
        path = f"/spec/versions/{number}/schema/openAPIV3Schema/properties/spec/properties/declarative/properties"
        path += "/systemMessage/maxLength"
        too_long = "x" * (most_characters + 1)
        await self._patch_kind({"op": "add", "path": path, "value": most_characters})
        await until(lambda: self._answers(422, too_long))
        try:
            yield
        finally:
            await self._patch_kind({"op": "remove", "path": path})
            await until(lambda: self._answers(201, too_long))

    async def approve(self, proposal: Document, person: str, decision: str = "approve") -> None:
        """Have a person decide."""
        assert await Person(self.cluster, person).decide(proposal, decision) == 201

    async def take_back(self, proposal: Document, person: str) -> None:
        """Have a person take a decision back."""
        path = f"{APPROVALS}/{proposal['proposal']}.{person}"
        assert await Person(self.cluster, person)._send("DELETE", path) == 200

    async def leader(self) -> Orchestrator:
        """A subagent that may spawn, as a caller with the credential that its pod would get."""
        proposal = await self.orchestrator.propose("Lead", template="leader")
        await self.approve(proposal, "alice")
        applied = await self.orchestrator.apply(proposal)
        assert applied["outcome"] == "allowed", applied
        return self.orchestrator.as_agent(applied["agent"], await credential(self.cluster, applied["agent"]))

    async def recreate(self, agent: str) -> None:
        """Remove a subagent's Agent past the server, and make the same again as the root's virtual user."""
        stored = await self.cluster.get(f"{PROPOSALS}/{agent}")
        assert stored is not None
        await self.cluster.remove(f"{AGENTS}/{agent}")
        await until(lambda: self._is_gone(agent))
        user = {
            "Impersonate-User": self.orchestrator.root.virtual_user,
            "Impersonate-Extra-agentspawn.dev%2Fproposal": agent,
        }
        body = json.loads(stored["spec"]["manifest"])
        async with self.cluster.admin.post(AGENTS, json=body, headers=user) as response:
            assert response.status == 201, await response.text()

    async def agents(self) -> set[str]:
        """The names of the orchestrator's Agents; a kind that has just changed is served again in a moment."""
        await until(self._lists)
        return {agent["metadata"]["name"] for agent in await self.cluster.agents_of(self.orchestrator.root)}

    async def _lists(self) -> bool:
        async with self.cluster.admin.get(AGENTS) as response:
            return response.status == 200

    async def _is_gone(self, agent: str) -> bool:
        return await self.cluster.get(f"{AGENTS}/{agent}") is None

    async def _rewrite(self, file: Path, document: Document | None) -> None:
        before = await self._generation()
        _write(file, document)

        async def reloaded() -> bool:
            return await self._generation() != before

        await until(reloaded)

    async def _generation(self) -> str:
        url = self.served.url.removesuffix("/mcp") + "/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            lines = (await answer.text()).splitlines()
        return next(line for line in lines if line.startswith(GENERATION))

    async def _patch_kind(self, *operations: Document) -> None:
        headers = {"Content-Type": "application/json-patch+json"}
        async with self.cluster.admin.patch(KIND, data=json.dumps(operations), headers=headers) as response:
            assert response.status == 200, await response.text()

    async def _answers(self, status: int, prompt: str) -> bool:
        """Whether an administrator who tries an Agent with this prompt, and makes none, is answered so."""
        spec = {"type": "Declarative", "declarative": {"modelConfig": "default-model-config", "systemMessage": prompt}}
        body = {"apiVersion": KAGENT, "kind": "Agent", "metadata": {"name": "tried"}, "spec": spec}
        async with self.cluster.admin.post(f"{AGENTS}?dryRun=All", json=body) as response:
            return response.status == status


@asynccontextmanager
async def staged(cluster: Cluster, root: Root, folder: Path) -> AsyncIterator[Stage]:
    """Write the rules, start a server for this root in this process, and wait until it is ready."""
    for name, template in TEMPLATES.items():
        _write(folder / "templates" / f"{name}.yaml", template)
    _write(folder / "policies" / "default.yaml", policy())
    await _grant_all(cluster, root)
    options = {
        "port": 0,
        "roots": root.name,
        "policies": folder / "policies",
        "templates": folder / "templates",
        "audit_file": folder / "audit.jsonl",
        "writer": root.account,
        "kubeconfig": kubeconfig(cluster, root),
    }
    async with serving_cluster(load({}, options)) as served:

        async def ready() -> bool:
            return not await served.process.health.problems()

        await until(ready)
        yield Stage(cluster, Orchestrator(root, served.url, await cluster.token_of(root)), folder, served)


async def _grant_all(cluster: Cluster, root: Root) -> None:
    use = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "verbs": ["use"]}
    role = f"/apis/{RBAC}/namespaces/{SYSTEM}/roles/agentspawn-{root.account}"
    await cluster.patch(role, {"rules": [use | {"resourceNames": list(TEMPLATES)}]})


def _write(file: Path, document: Document | None) -> None:
    file.parent.mkdir(exist_ok=True)
    if document is None:
        file.unlink()
        return
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(document), encoding="utf-8")
    fresh.replace(file)

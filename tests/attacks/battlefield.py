"""Two servers on one real API server, and callers with rules of their own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from multidict import CIMultiDict

from mcp_agentspawn.app import serving_cluster
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import install
from mcp_agentspawn.settings import load
from tests.attacks.orchestrators import Orchestrator
from tests.attacks.people import APPROVALS, Person
from tests.attacks.workforce import Workforce, hired
from tests.builders import RESEARCHER
from tests.faults.cluster import AGENTS, HOME, KAGENT, RBAC, SYSTEM, Cluster
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import ROOMY, kubeconfig
from tests.faults.spawning import credential, offer_spawning
from tests.localplane.waiting import until

Document = dict[str, Any]
CALLERS = 160
ONBOARDED_AT_A_TIME = 8
REFUSED_CALLERS = 8
UNRULED = "attack-unruled"


def _roomy(**sections: Any) -> Document:
    return {**ROOMY, **sections}


POLICIES: Mapping[str, Document] = {
    "attack-two-a-day": _roomy(quota={**ROOMY["quota"], "spawned_per_root_per_day": 2}),
    "attack-two-open": _roomy(quota={**ROOMY["quota"], "open_proposals": 2}),
    "attack-one-open": _roomy(quota={**ROOMY["quota"], "open_proposals": 1}),
    "attack-none-open": _roomy(quota={**ROOMY["quota"], "open_proposals": 0}),
    "attack-three-open": _roomy(quota={**ROOMY["quota"], "open_proposals": 3}),
    "attack-impatient": _roomy(approval={"wait": "2s"}),
    "attack-depth-2": _roomy(lineage={"most_depth": 2}, approval={"long_life": "2h"}),
    "attack-depth-0": _roomy(),
    "attack-depth-1": _roomy(lineage={"most_depth": 1}),
    "attack-small-tree": _roomy(lineage={"most_depth": 1}, quota={**ROOMY["quota"], "live_per_root": 2}),
    "attack-no-changes": _roomy(rate={"changes_per_minute": 0}),
    "attack-no-create": _roomy(),
    "attack-three-changes": _roomy(rate={"changes_per_minute": 3}),
    "attack-no-tools": _roomy(manifest={"most_tools": 0}),
    "attack-no-quota": {"rate": ROOMY["rate"], "quota": {"live_per_parent": 0}},
    "attack-small-words": _roomy(parameters={"most_bytes": 100}),
    "attack-not-listed": _roomy(template={"allow": ["log-analyst"]}),
    "attack-ungranted": _roomy(),
}
"""Callers with a policy of their own, by account."""
UNGRANTED, UNBOUND = "attack-ungranted", "attack-no-create"
"""Who may use no template, and who may create no agents."""


def _narrowing(*names: str) -> Document:
    """The researcher's parameters, and these that narrow."""
    kinds: Document = {
        "pages": {"type": "integer", "minimum": 0, "maximum": 100, "default": 10, "narrows": True},
        "site": {"type": "string", "enum": ["example.com", "example.org"], "default": "example.com", "narrows": True},
        "deeper": {"type": "boolean", "default": False, "narrows": True},
    }
    parameters: Document = RESEARCHER["parameters"]
    return parameters | {"properties": parameters["properties"] | {name: kinds[name] for name in names}}


ABSENT = {"models": ["absent-model"], "tools": {"absent-server": {"allow": ["look"], "default": ["look"]}}}
TEMPLATES: dict[str, Document] = {
    "researcher": RESEARCHER,
    "of-absent-things": RESEARCHER | ABSENT,
    "careful": RESEARCHER | {"risk": "medium"},
    "grave": RESEARCHER | {"risk": "high"},
    "handy": RESEARCHER | {"tools": {"web-search": {**RESEARCHER["tools"]["web-search"], "sensitive": ["fetch"]}}},
    "spawner": RESEARCHER | {"depth": 1},
    "deep": RESEARCHER | {"depth": 2},
    "bold": RESEARCHER | {"tools": {"web-search": {**RESEARCHER["tools"]["web-search"], "ask_first": []}}},
    "narrow-spawner": RESEARCHER | {"depth": 1, "parameters": _narrowing("pages", "site", "deeper")},
    "narrow": RESEARCHER | {"parameters": _narrowing("pages", "site", "deeper")},
    "single": RESEARCHER | {"lifetime": {**RESEARCHER["lifetime"], "one_task": True}},
    "disguised": RESEARCHER | {"tools": {"helpers": {"allow": ["look"], "default": ["look"]}}},
}
KIND = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agents.kagent.dev"
LOADED, FAILED = "agentspawn_rules_generation", "agentspawn_rules_reload_failures_total"
OPERATOR = CIMultiDict(
    [
        ("Impersonate-User", "oscar"),
        ("Impersonate-Group", "agentspawn:operators"),
        ("Impersonate-Group", "system:masters"),
    ]
)


@dataclass(frozen=True)
class Rules:
    """Templates and policies on disk, which a test may change."""

    folder: Path

    def write(self, kind: str, name: str, document: Document | str) -> None:
        """Write one file of `templates` or `policies`, all at once."""
        file = self.folder / kind / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
        fresh.replace(file)

    def remove(self, kind: str, name: str) -> str:
        """Take a file away; gives back what was in it."""
        file = self.folder / kind / f"{name}.yaml"
        text = file.read_text(encoding="utf-8")
        file.unlink()
        return text


@dataclass(frozen=True)
class Battlefield:
    """The cluster, and the MCP endpoints and audit files of its two servers."""

    cluster: Cluster
    rules: Rules
    urls: Sequence[str]
    audit_files: Sequence[Path]
    workforce: Workforce
    _unused: Iterator[Root]
    _refused: Iterator[Root]

    async def newcomer(self) -> Orchestrator:
        """A caller that nobody was yet, under roomy rules."""
        return await self.caller(next(self._unused).account)

    async def parent(self, orchestrator: Orchestrator, template: str = "spawner", **changes: Any) -> Orchestrator:
        """A subagent with depth left that people approved, as a caller with its own credential."""
        proposal = await orchestrator.propose(f"A {template}", template=template, **changes)
        for person in ("alice", "bob"):
            assert await Person(self.cluster, person).decide(proposal) == 201
        applied = await orchestrator.apply(proposal)
        assert applied["outcome"] == "allowed", applied
        return orchestrator.as_agent(applied["agent"], await self.credential(applied["agent"]))

    async def ready(self, orchestrator: Orchestrator, purpose: str = "Find out", **changes: Any) -> str:
        """A subagent whose pod has started, as kagent's controller says it."""
        agent = await orchestrator.spawn(purpose, **changes)
        await self.start(agent)
        return agent

    async def start(self, agent: str) -> None:
        """Its pod has started."""
        await self.cluster.start(agent)

    async def credential(self, agent: str) -> str:
        """A subagent's own credential, as its pod gets it; empty when it has none."""
        return await credential(self.cluster, agent)

    async def store_as_the_server(self, path: str, document: Document) -> int:
        """Create an object with the server's own token, past its code; the HTTP status of the answer."""
        headers = {"Authorization": f"Bearer {self.cluster.server_token}"}
        async with (
            self.cluster.plane.connection("").session() as session,
            session.post(path, json=document, headers=headers) as response,
        ):
            return response.status

    @asynccontextmanager
    async def human_agent(self, name: str) -> AsyncIterator[Document]:
        """An Agent that an operator made by hand, as long as the block lasts."""
        async with self.cluster.admin.post(AGENTS, json=_by_hand(name), headers=OPERATOR) as response:
            assert response.status == 201, await response.text()
            made = await response.json()
        yield made
        await self.cluster.remove(f"{AGENTS}/{name}")

    @asynccontextmanager
    async def without_policy(self) -> AsyncIterator[None]:
        """No policy for the newcomers as long as the block lasts."""
        before = await self._reloads()
        text = self.rules.remove("policies", "default")
        await self._until_reloaded(before)
        yield
        before = await self._reloads()
        self.rules.write("policies", "default", text)
        await self._until_reloaded(before)

    @asynccontextmanager
    async def changed_template(self, name: str) -> AsyncIterator[None]:
        """A template says something else as long as the block lasts."""
        before = await self._reloads()
        self.rules.write("templates", name, TEMPLATES[name] | {"description": "Something else."})
        await self._until_reloaded(before)
        yield
        before = await self._reloads()
        self.rules.write("templates", name, TEMPLATES[name])
        await self._until_reloaded(before)

    @asynccontextmanager
    async def broken_policy(self) -> AsyncIterator[None]:
        """The newcomers' policy can not be read as long as the block lasts."""
        before = await self._reloads(FAILED)
        text = self.rules.remove("policies", "default")
        self.rules.write("policies", "default", "callers: {namespaces: [agents]}\ntemplate: {allow")
        await self._until_reloaded(before, FAILED)
        before = await self._reloads()
        yield
        self.rules.write("policies", "default", f"{text}\n")
        await self._until_reloaded(before)

    @asynccontextmanager
    async def narrower_kind(self) -> AsyncIterator[None]:
        """The kind Agent takes prompts of one character only, as long as the block lasts."""
        kind = await self.cluster.get(KIND)
        assert kind is not None
        (number,) = [n for n, version in enumerate(kind["spec"]["versions"]) if version["name"] == "v1alpha2"]
        path = f"/spec/versions/{number}/schema/openAPIV3Schema/properties/spec/properties/declarative/properties"
        path += "/systemMessage/maxLength"
        await self._patch_kind({"op": "add", "path": path, "value": 1})
        yield
        await self._patch_kind({"op": "remove", "path": path})
        await until(self._takes_prompts)

    async def _takes_prompts(self) -> bool:
        query = {"dryRun": "All"}
        async with self.cluster.admin.post(AGENTS, json=_by_hand("x"), headers=OPERATOR, params=query) as response:
            return response.status == 201

    async def _patch_kind(self, *operations: Document) -> None:
        headers = {"Content-Type": "application/json-patch+json"}
        async with self.cluster.admin.patch(KIND, data=json.dumps(operations), headers=headers) as response:
            assert response.status == 200, await response.text()

    async def _reloads(self, metric: str = LOADED) -> list[str]:
        counted = []
        for url in self.urls:
            async with aiohttp.ClientSession() as session, session.get(url.removesuffix("/mcp") + "/metrics") as answer:
                lines = (await answer.text()).splitlines()
            counted.append(next(line for line in lines if line.startswith(metric)))
        return counted

    async def _until_reloaded(self, before: Sequence[str], metric: str = LOADED) -> None:
        async def reloaded() -> bool:
            now = await self._reloads(metric)
            return all(then != new for then, new in zip(before, now, strict=True))

        await until(reloaded)

    async def anyone(self) -> Orchestrator:
        """A caller who will be refused; there are several, since a server hears only so many refusals a minute."""
        return await self.caller(next(self._refused).account)

    async def caller(self, account: str, server: int = 0) -> Orchestrator:
        """The orchestrator of this account at one of the servers."""
        root = Root("agents", account, "subagents")
        return Orchestrator(root, self.urls[server], await self.cluster.token_of(root))


@asynccontextmanager
async def battlefield(cluster: Cluster, folder: Path) -> AsyncIterator[Battlefield]:
    """Onboard the callers, write the rules, start the servers in this process, and wait until they are ready."""
    unused = await onboarded(cluster, [f"attack-{number}" for number in range(CALLERS)])
    special = await onboarded(cluster, [*POLICIES, UNRULED])
    granted = [root for root in (*unused, *special) if root.account != UNGRANTED]
    await _grant(cluster, granted)
    await offer_spawning(cluster, helpers=("look", "propose_subagent"))
    await cluster.remove(f"/apis/{RBAC}/namespaces/{SYSTEM}/rolebindings/agentspawn-{UNGRANTED}")
    await cluster.remove(f"/apis/{RBAC}/namespaces/{HOME}/rolebindings/agentspawn-{UNBOUND}")
    rules = Rules(folder)
    _write(rules, unused)
    async with AsyncExitStack() as stack:
        files = [folder / "audit-0.jsonl", folder / "audit-1.jsonl"]
        workforce = await stack.enter_async_context(hired())
        servers = [_served(cluster, rules, [*unused, *special], file, a2a_url=workforce.url) for file in files]
        urls = [await stack.enter_async_context(server) for server in servers]
        await until(lambda: _answers(cluster, APPROVALS))
        refused, newcomers = unused[:REFUSED_CALLERS], unused[REFUSED_CALLERS:]
        yield Battlefield(cluster, rules, urls, files, workforce, iter(newcomers), cycle(refused))


async def onboarded(cluster: Cluster, accounts: Sequence[str]) -> Sequence[Root]:
    """Make roots of these accounts, some at a time."""
    turns = asyncio.Semaphore(ONBOARDED_AT_A_TIME)

    async def onboard(account: str) -> Root:
        async with turns:
            return await cluster.onboard(account)

    return await asyncio.gather(*map(onboard, accounts))


def _write(rules: Rules, unused: Sequence[Root]) -> None:
    for name, template in TEMPLATES.items():
        rules.write("templates", name, template)
    deep = _roomy(lineage={"most_depth": 2})
    rules.write("policies", "default", _policy(deep, *(root.name for root in unused)))
    for account, sections in POLICIES.items():
        rules.write("policies", account, _policy(sections, f"agents/{account}"))


def _by_hand(name: str) -> Document:
    spec = {"type": "Declarative", "declarative": {"modelConfig": "default-model-config", "systemMessage": "Hello"}}
    return {"apiVersion": KAGENT, "kind": "Agent", "metadata": {"name": name}, "spec": spec}


def _policy(sections: Mapping[str, Any], *accounts: str) -> Document:
    return {"callers": {"service_accounts": list(accounts)}, "template": {"allow": list(TEMPLATES)}, **sections}


async def _grant(cluster: Cluster, roots: Sequence[Root]) -> None:
    """Let them use the templates that the tests here add."""
    rule = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "verbs": ["use"]}
    metadata = {"name": "attacks", "namespace": SYSTEM}
    users = [{"kind": "User", "name": root.virtual_user, "apiGroup": RBAC.partition("/")[0]} for root in roots]
    role = {"apiGroup": RBAC.partition("/")[0], "kind": "Role", "name": "attacks"}
    names = sorted(set(TEMPLATES) - {"researcher"})
    documents = [
        {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": [rule | {"resourceNames": names}]},
        {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata, "subjects": users, "roleRef": role},
    ]
    if names:
        file = cluster.plane.folder / "attacks.yaml"
        file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        await install(cluster.plane.admin, [file])


def served_on(
    field: Battlefield, root: Root, audit_file: Path, proxy: FaultProxy | None = None
) -> AbstractAsyncContextManager[str]:
    """Another server for this root alone, with an audit of its own, maybe behind a proxy; gives its MCP endpoint."""
    return _served(field.cluster, field.rules, [root], audit_file, proxy)


async def _answers(cluster: Cluster, path: str) -> bool:
    """Whether the API server lists a kind already: one that is new it begins to keep when it is first asked for it."""
    async with cluster.admin.get(path) as response:
        return response.status == 200


@asynccontextmanager
async def _served(
    cluster: Cluster,
    rules: Rules,
    roots: Sequence[Root],
    audit_file: Path,
    proxy: FaultProxy | None = None,
    **more: str,
) -> AsyncIterator[str]:
    options = {
        "port": 0,
        "roots": " ".join(root.name for root in roots),
        "policies": rules.folder / "policies",
        "templates": rules.folder / "templates",
        "audit_file": audit_file,
        "writer": audit_file.stem,
        "kubeconfig": kubeconfig(cluster, roots[0], proxy),
        **more,
    }
    async with serving_cluster(load({}, options)) as served:

        async def ready() -> bool:
            return not await served.process.health.problems()

        await until(ready)
        yield served.url

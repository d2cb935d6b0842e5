"""A server beside the battlefield's that reads registries: stand-ins, which a test may change and break meanwhile."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mcp_agentspawn.adapters.registry.indexing import NOT_INDEXED
from mcp_agentspawn.app import serving_cluster
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import install
from mcp_agentspawn.localplane.registry import Content, Dialect, Published, Standin, registry_standin
from mcp_agentspawn.localplane.registry.published import Artifact
from mcp_agentspawn.settings import load
from tests.attacks.battlefield import Battlefield, Rules, onboarded
from tests.attacks.orchestrators import Answer, Orchestrator
from tests.attacks.people import Person
from tests.builders import REGISTRY_IMAGE, REGISTRY_WORKER, RESEARCHER
from tests.deploy.images import DEFAULT, LISTED, OVERLAY, from_image
from tests.deploy.objects import fresh_id, with_changes
from tests.faults.cluster import AGENTS, RBAC, SYSTEM, Cluster
from tests.faults.replicas import ROOMY, kubeconfig
from tests.localplane.waiting import until

Document = dict[str, Any]
SEARCH = "search_agents_agentregistry"
WORKER, IMAGE = "registry-worker", "registry-image"
TASK = {"name": "task", "value": "Condense this"}
SHAPE = "agentspawn-shape"

TEMPLATES: Mapping[str, Document] = {
    "researcher": RESEARCHER,
    WORKER: REGISTRY_WORKER | {"tools": {"web-search": {"allow": ["search", "fetch"]}}},
    IMAGE: REGISTRY_IMAGE,
}


def seeing(*registries: str, namespaces: Sequence[str] = ("*",), **more: Any) -> Document:
    """A policy's section that shows these registries and lets both templates take what is in them."""
    rule = {"namespaces": list(namespaces), "templates": [WORKER, IMAGE], **more}
    return {
        "see": [{"registry": name, **rule} for name in registries],
        "tools": {"fetch": ["web-search/fetch"]},
        "images": [LISTED],
    }


@dataclass(frozen=True)
class Shelf:
    """A registry to be: what it holds, how it speaks, and what its file says beside its address."""

    content: Sequence[Published | Artifact] = ()
    dialect: Dialect = "v0.4"
    bearer: str = field(default="", repr=False)
    file: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """A server that reads registries, and the callers that it knows."""

    field: Battlefield
    url: str
    audit_file: Path
    standins: Mapping[str, Standin]
    _unused: Iterator[Root]

    async def newcomer(self) -> Orchestrator:
        """A caller that nobody was yet, under the policy `default`."""
        return await self.caller(next(self._unused))

    async def caller(self, root: Root) -> Orchestrator:
        """The orchestrator that is this root."""
        return Orchestrator(root, self.url, await self.field.cluster.token_of(root))

    async def approved(self, proposal: Answer, *people: str) -> None:
        """People approve it, as each at the API server."""
        for person in people:
            assert await Person(self.field.cluster, person).decide(proposal) == 201


async def hits(caller: Orchestrator, query: str = "", **arguments: Any) -> list[Answer]:
    """All that a search finds, page by page."""
    page = await caller.call(SEARCH, query=query, limit=50, **arguments)
    found: list[Answer] = page["hits"]
    while page["next_cursor"]:
        page = await caller.call(SEARCH, query=query, limit=50, cursor=page["next_cursor"], **arguments)
        found += page["hits"]
    return found


async def hit(caller: Orchestrator, name: str, source: str = "main") -> Answer:
    """The one hit that is the entry of this name."""
    (found,) = [one for one in await hits(caller, source=source) if f"/{name}@" in one["handle"]]
    return found


async def propose_from(caller: Orchestrator, found: Answer, **changes: Any) -> Answer:
    """Propose what a hit offers, in the way that its answer says."""
    template = found["template"] or WORKER
    parameters = [TASK] if template == WORKER else []
    asked = {"purpose": "Have it done", "registry_entry": found["handle"], "parameters": parameters}
    return await caller.propose(**asked | {"template": template} | changes)


async def reading_roots(cluster: Cluster, accounts: Sequence[str]) -> Sequence[Root]:
    """Make roots of these accounts that may use the templates here."""
    roots = await onboarded(cluster, accounts)
    group = RBAC.partition("/")[0]
    users = [{"kind": "User", "name": root.virtual_user, "apiGroup": group} for root in roots]
    rule = {"apiGroups": ["agentspawn.dev"], "resources": ["templates"], "verbs": ["use"]}
    name = f"registries-{roots[0].account}"
    metadata = {"name": name, "namespace": SYSTEM}
    role = {"apiGroup": group, "kind": "Role", "name": name}
    documents = [
        {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": [rule | {"resourceNames": [*TEMPLATES]}]},
        {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata, "subjects": users, "roleRef": role},
    ]
    file = cluster.plane.folder / "registries.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    await install(cluster.plane.admin, [file])
    return roots


@asynccontextmanager
async def library(
    field: Battlefield,
    folder: Path,
    shelves: Mapping[str, Shelf],
    roots: Sequence[Root],
    policies: Mapping[str, Document],
    prepare: Callable[[Mapping[str, Standin]], None] = lambda _: None,
) -> AsyncIterator[Library]:
    """Serve these roots; each policy is its section `registry`, for the root of its name or, `default`, all others.

    `prepare` is called before anything is read.
    """
    rules = Rules(folder)
    _write(rules, roots, policies)
    async with AsyncExitStack() as stack:
        standins = {
            name: await stack.enter_async_context(
                registry_standin(Content(shelf.content), dialect=shelf.dialect, bearer=shelf.bearer)
            )
            for name, shelf in shelves.items()
        }
        prepare(standins)
        for name, shelf in shelves.items():
            _write_source(folder, name, shelf, standins[name].url)
        options = {
            "port": 0,
            "roots": " ".join(root.name for root in roots),
            "policies": folder / "policies",
            "templates": folder / "templates",
            "registries": folder / "registries",
            "audit_file": folder / "audit.jsonl",
            "writer": folder.name,
            "kubeconfig": kubeconfig(field.cluster, roots[0]),
        }
        served = await stack.enter_async_context(serving_cluster(load({}, options)))

        async def ready() -> bool:
            return not await served.process.health.problems()

        await until(ready)
        unused = iter([root for root in roots if root.account not in policies])
        yield Library(field, served.url, folder / "audit.jsonl", standins, unused)


def _write(rules: Rules, roots: Sequence[Root], policies: Mapping[str, Document]) -> None:
    for name, template in TEMPLATES.items():
        rules.write("templates", name, template)
    others = [root.name for root in roots if root.account not in policies]
    for name, registry in policies.items():
        accounts = others if name == "default" else [f"agents/{name}"]
        sections = {"template": {"allow": [*TEMPLATES]}, "registry": registry, **ROOMY}
        policy = {"callers": {"service_accounts": accounts}, **sections}
        rules.write("policies", name, json.dumps(policy))  # as YAML the lists that are shared would be anchors


def _write_source(folder: Path, name: str, shelf: Shelf, url: str) -> None:
    source = {"url": url, "private_addresses": True, "refresh": "1d", **shelf.file}
    if shelf.bearer:
        credential = folder / f"{name}.credential"
        credential.write_text(shelf.bearer, encoding="utf-8")
        source["credential_file"] = str(credential)
    Rules(folder).write("registries", name, source)


async def until_read(caller: Orchestrator, *registries: str) -> None:
    """Wait until a search finds all that was read of each of these, or says what is wrong; for one after the other."""

    async def read(name: str) -> bool:
        answer = await caller.call(SEARCH, query="", limit=1, source=name)
        problems = {code for one in answer["registries"] if one["registry"] == name for code in one["problems"]}
        return NOT_INDEXED not in problems and bool(answer["hits"] or problems)

    for name in registries:
        await until(partial(read, name))


@asynccontextmanager
async def images_let_in(cluster: Cluster) -> AsyncIterator[None]:
    """deploy/byo with one repository in its list; seen to be over afterwards."""
    file = cluster.plane.folder / "byo.yaml"
    text = OVERLAY.read_text(encoding="utf-8")
    file.write_text(text.replace('expression: "[]"', f"expression: \"['{LISTED}']\""), encoding="utf-8")
    await _put(cluster, file, lets_in=True)
    try:
        yield
    finally:
        await _put(cluster, DEFAULT, lets_in=False)


async def _put(cluster: Cluster, file: Path, *, lets_in: bool) -> None:
    root = Root("agents", "registry-0", "subagents")
    headers = {"Impersonate-User": root.virtual_user, "Authorization": f"Bearer {cluster.server_token}"}

    async def acts() -> bool:
        id_ = fresh_id()
        manifest = with_changes(from_image(id_), {"metadata.annotations.agentspawn~dev/root": root.virtual_user})
        manifest["metadata"]["labels"]["agentspawn.dev/tree"] = root.label
        said = {**headers, "Impersonate-Extra-agentspawn.dev%2Fproposal": id_}
        async with (
            cluster.plane.connection("").session() as session,
            session.post(AGENTS, json=manifest, headers=said, params={"dryRun": "All"}) as response,
        ):
            return response.status == 201 if lets_in else SHAPE in await response.text()

    await install(cluster.plane.admin, [file])
    await until(acts)

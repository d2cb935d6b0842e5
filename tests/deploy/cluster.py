"""The API server as its clients see it: who one is, what one sends, and which policy refused it."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp
from multidict import CIMultiDict

from mcp_agentspawn.localplane import Connection, ControlPlane

T = TypeVar("T")
Manifest = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
SYSTEM, HOME, ORCHESTRATORS = "agentspawn-system", "subagents", "agents"
SERVER = f"system:serviceaccount:{SYSTEM}:agentspawn"
KAGENT = "system:serviceaccount:kagent:kagent-controller"
MASTERS, OPERATORS, BROAD = "system:masters", "agentspawn:operators", "test:broad"
EXTRA = "Impersonate-Extra-agentspawn.dev%2Fproposal"
REFUSING = re.compile(r"ValidatingAdmissionPolicy '([^']+)'")
PLURALS = {
    "AgentHarness": "agentharnesses",
    "Endpoints": "endpoints",
    "NetworkPolicy": "networkpolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


class Answer(NamedTuple):
    """What the API server said."""

    status: int
    body: Mapping[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def policy(self) -> str:
        """The admission policy that refused it; empty when none did."""
        found = REFUSING.search(self.message)
        return found[1] if found else ""


class Actor:
    """Somebody at the API server: a session, the headers that say who, and where everybody's writes are noted."""

    def __init__(
        self, session: aiohttp.ClientSession, written: set[str], headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._session = session
        self._written = written
        self._headers = tuple(headers)

    def saying(self, *headers: tuple[str, str]) -> "Actor":
        """The same, with more headers."""
        return Actor(self._session, self._written, (*self._headers, *headers))

    def impersonating(self, user: str, *groups: str, proposal: str = "") -> "Actor":
        extra = [(EXTRA, proposal)] if proposal else []
        return self.saying(("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups), *extra)

    async def send(
        self, method: str, path: str, body: Any = None, *, media: str = "application/json", **query: str
    ) -> Answer:
        """Send it, and again while the API server is busy taking up a new kind."""
        answers = [await self._send(method, path, body, media, query)]

        async def settled() -> bool:
            if answers[-1].status == HTTPStatus.TOO_MANY_REQUESTS:
                answers.append(await self._send(method, path, body, media, query))
            return answers[-1].status != HTTPStatus.TOO_MANY_REQUESTS

        await until(settled)
        return answers[-1]

    async def _send(self, method: str, path: str, body: Any, media: str, query: Mapping[str, str]) -> Answer:
        if method != "GET":
            self._written.add(path)
        headers = CIMultiDict([*self._headers, ("Content-Type", media)])
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, path, data=data, headers=headers, params=query) as response:
            text = await response.text()
        return Answer(response.status, json.loads(text) if text.startswith("{") else {"message": text})

    async def create(self, manifest: Manifest, subresource: str = "", **query: str) -> Answer:
        """Create it, or with a subresource what hangs on it (`token`)."""
        path = f"{path_of(manifest)}/{subresource}" if subresource else collection_of(manifest)
        return await self.send("POST", path, manifest, **query)

    async def store(self, manifest: Manifest) -> Manifest:
        """Create what nothing is to refuse, and hand it back."""
        answer = await self.create(manifest, fieldValidation="Strict")
        assert answer.status == HTTPStatus.CREATED, answer.message
        return manifest

    async def replace(self, manifest: Manifest, subresource: str = "") -> Answer:
        return await self.send("PUT", path_of(manifest, subresource), manifest)

    async def patch(self, manifest: Manifest, change: Any, subresource: str = "") -> Answer:
        media = "application/json-patch+json" if isinstance(change, list) else "application/merge-patch+json"
        return await self.send("PATCH", path_of(manifest, subresource), change, media=media)

    async def apply(self, manifest: Manifest, **query: str) -> Answer:
        query = {"fieldManager": "tests", "force": "true", **query}
        return await self.send("PATCH", path_of(manifest), manifest, media="application/apply-patch+yaml", **query)

    async def delete(self, manifest: Manifest, **query: str) -> Answer:
        return await self.send("DELETE", path_of(manifest), **query)

    async def get(self, manifest: Manifest) -> Answer:
        return await self.send("GET", path_of(manifest))

    async def columns(self, collection: str) -> tuple[list[str], list[str]]:
        """What `kubectl get` shows of a kind, and what `-o wide` adds: the API server makes the table."""
        table = self.saying(("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"))
        columns = (await table.send("GET", collection)).body["columnDefinitions"]
        shown = [column["name"] for column in columns if column["priority"] == 0]
        return shown, [column["name"] for column in columns if column["priority"]]

    async def has(self, manifest: Manifest) -> bool:
        return (await self.get(manifest)).status == 200


class Cluster:
    """A control plane with deploy/ on it, and everybody who meets there; an async context manager.

    `written` has the paths to which anybody sent a change, granted or not.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._stack = AsyncExitStack()
        self.written: set[str] = set()

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        anybody = Connection(self._plane.url, self._plane.certificate_authority)
        self.administrator = Actor(await enter(self._plane.admin.session()), self.written)
        self._anybody = Actor(await enter(anybody.session()), self.written)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def person(self, name: str, *groups: str) -> Actor:
        """Any user, with the rights that RBAC gives; an administrator stands in, so it needs no credential."""
        return self.administrator.impersonating(name, *groups, "system:authenticated")

    def bearer(self, token: str) -> Actor:
        return self._anybody.saying(("Authorization", f"Bearer {token}"))

    async def account(self, namespace: str, name: str) -> Actor:
        """A service account, with a token of its own."""
        manifest = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        path = f"{path_of(manifest)}/token"
        answer = await self.administrator.send("POST", path, {"spec": {"expirationSeconds": 3600}})
        return self.bearer(answer.body["status"]["token"])


def path_of(manifest: Mapping[str, Any], subresource: str = "") -> str:
    path = f"{collection_of(manifest)}/{manifest['metadata']['name']}"
    return f"{path}/{subresource}" if subresource else path


def collection_of(manifest: Mapping[str, Any]) -> str:
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    place = "" if kind in CLUSTER_WIDE else f"/namespaces/{metadata['namespace']}"
    return f"{group}{place}/{PLURALS.get(kind, kind.lower() + 's')}"


async def until(question: Callable[[], Awaitable[T]], *, seconds: float = 20) -> T:
    """Ask until the answer is true; the last answer when the time is over."""
    deadline = time.monotonic() + seconds
    while not (answer := await question()) and time.monotonic() < deadline:  # noqa: ASYNC110 - others' state, polled
        await asyncio.sleep(0.05)
    return answer

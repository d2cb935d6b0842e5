"""Applies plain manifest files the way `kubectl apply --server-side --force-conflicts -f` does."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from mcp_agentspawn.localplane.connection import Connection
from mcp_agentspawn.localplane.errors import InstallFailed

FIELD_MANAGER = "agentspawn-install"
POLL_SECONDS = 0.1
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where it was built: kagent's Agent kind is 1 MB
# What the API server answers while it is still taking up a new kind.
NOT_YET = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

Manifest = dict[str, Any]


async def install(connection: Connection, files: Sequence[Path], timeout_seconds: float = 30.0) -> None:
    """Apply the documents of all files, in the order given; a folder stands for its *.yaml files by name.

    A CustomResourceDefinition is waited for until it is established and served, within the timeout. InstallFailed
    names the file and object that was refused; what came before it stays applied.
    """
    manifests = [(manifest, file) for file in _expand(files) for manifest in _documents(file)]
    try:
        async with connection.session() as session:
            installer = _Installer(session, timeout_seconds)
            for manifest, file in manifests:
                await installer.apply(manifest, file)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise InstallFailed(f"{connection.url} does not answer: {type(error).__name__}") from error


class _Refusal(NamedTuple):
    status: int
    message: str


class _Installer:
    def __init__(self, session: aiohttp.ClientSession, timeout_seconds: float) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._resources: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def apply(self, manifest: Manifest, file: Path) -> None:
        what = f"{file.name}: {manifest['kind']} {manifest['metadata']['name']}"
        deadline = time.monotonic() + self._timeout_seconds
        path = await self._path(manifest, what)
        while refusal := await self._patch(path, manifest):
            if refusal.status not in NOT_YET or time.monotonic() > deadline:
                raise InstallFailed(f"{what}: HTTP {refusal.status}: {refusal.message}")
            await asyncio.sleep(POLL_SECONDS)
        if manifest["kind"] == "CustomResourceDefinition":
            await self._served(manifest, path, what, deadline)

    async def _patch(self, path: str, manifest: Manifest) -> _Refusal | None:
        async with self._session.patch(
            path,
            params={"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            data=json.dumps(manifest),  # JSON is YAML, and quicker to write
        ) as response:
            if response.ok:
                return None
            return _Refusal(response.status, _message(await response.text()))

    async def _path(self, manifest: Manifest, what: str) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"]
        resource = await self._resource(version, kind)
        if resource is None:
            raise InstallFailed(f"{what}: the API server does not know {version} {kind}")
        metadata = manifest["metadata"]
        namespace = f"/namespaces/{metadata.get('namespace', 'default')}" if resource["namespaced"] else ""
        return f"{_api(version)}{namespace}/{resource['name']}/{metadata['name']}"

    async def _resource(self, version: str, kind: str) -> Mapping[str, Any] | None:
        """Look a kind up in the API server's discovery; what was found is remembered."""
        if (version, kind) not in self._resources:
            async with self._session.get(_api(version)) as response:
                if not response.ok and response.status != HTTPStatus.NOT_FOUND:
                    raise InstallFailed(f"{_api(version)}: HTTP {response.status}")
                listed = (await response.json())["resources"] if response.ok else []
            self._resources |= {(version, item["kind"]): item for item in listed if "/" not in item["name"]}
        return self._resources.get((version, kind))

    async def _served(self, manifest: Manifest, path: str, what: str, deadline: float) -> None:
        """Wait until a new kind is established and discovery lists each of its served versions."""
        spec = manifest["spec"]
        versions = [f"{spec['group']}/{version['name']}" for version in spec["versions"] if version["served"]]
        while not await self._is_served(path, versions, spec["names"]["kind"]):
            if time.monotonic() > deadline:
                raise InstallFailed(f"{what}: not served within {self._timeout_seconds:g} seconds")
            await asyncio.sleep(POLL_SECONDS)

    async def _is_served(self, path: str, versions: Iterable[str], kind: str) -> bool:
        async with self._session.get(path) as response:
            conditions = (await response.json())["status"]["conditions"] or []  # null until the first is known
        if not any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
            return False
        return all([await self._resource(version, kind) is not None for version in versions])


def _message(body: str) -> str:
    """Take the message of a Kubernetes Status; what is not one (an overloaded server's text) speaks for itself."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body.strip()


def _api(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _expand(files: Sequence[Path]) -> list[Path]:
    return [found for file in files for found in (sorted(file.glob("*.yaml")) if file.is_dir() else [file])]


def _documents(file: Path) -> list[Manifest]:
    try:
        documents = [document for document in yaml.load_all(file.read_text(encoding="utf-8"), LOADER) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InstallFailed(f"{file.name}: {error}") from error
    for document in documents:
        if not _is_manifest(document):
            raise InstallFailed(f"{file.name}: a document lacks apiVersion, kind or metadata.name")
    return documents


def _is_manifest(document: Any) -> bool:
    match document:
        case {"apiVersion": str(), "kind": str(), "metadata": {"name": str()}}:
            return True
    return False

"""What is read and written at the API server to run its Agents, as kagent's controller does; by an administrator."""

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp

from mcp_agentspawn.localplane.agents.translating import Object, Untranslatable

KAGENT = "/apis/kagent.dev/v1alpha2/namespaces"
CORE = "/api/v1/namespaces"
IMAGE = "ghcr.io/kagent-dev/kagent/app:0.10.4"
WATCHED_SECONDS = 60
PAUSE_SECONDS = 0.5
KILLED = 128
"""An exit code above it names the signal that ended a container."""
OVER = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
"""Answers to a change by which there is nothing left to be written to, or it is there already."""
MERGE = {"Content-Type": "application/merge-patch+json"}


class NotAnswered(Exception):
    """The API server said no, or nothing."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of an Agent."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a control plane."""

    session: aiohttp.ClientSession

    async def agents(self, namespace: str) -> tuple[list[dict[str, Any]], str]:
        """All Agents there, and the version of this list."""
        found = await self._get(f"{KAGENT}/{namespace}/agents")
        if found is None:
            raise NotAnswered("Agents are not served")
        return found["items"], found["metadata"]["resourceVersion"]

    async def changed(self, namespace: str, since: str) -> None:
        """Wait until any Agent there may have changed since that version, a minute at most."""
        wanted = {"watch": "1", "resourceVersion": since, "timeoutSeconds": str(WATCHED_SECONDS)}
        timeout = aiohttp.ClientTimeout(2 * WATCHED_SECONDS)
        async with self.session.get(f"{KAGENT}/{namespace}/agents", params=wanted, timeout=timeout) as watch:
            if not watch.ok:
                raise NotAnswered(f"Agents can not be watched: HTTP {watch.status}")
            await watch.content.readany()

    async def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        """An object of kagent's; None when there is none. `kind` is the plural."""
        return await self._get(f"{KAGENT}/{namespace}/{kind}/{name}")

    async def secret(self, namespace: str, name: str) -> dict[str, str]:
        """The values of a Secret; empty when there is none. Raises Untranslatable when they are not all text."""
        found = await self._get(f"{CORE}/{namespace}/secrets/{name}") or {}
        try:
            return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
        except UnicodeDecodeError:
            raise Untranslatable(f"Secret {name} holds what is not text") from None

    async def say(self, agent: Object, conditions: list[dict[str, Any]]) -> None:
        """Write an Agent's status, until it is written or the Agent is gone."""
        metadata = agent["metadata"]
        status = {"observedGeneration": metadata["generation"], "conditions": conditions}
        path = f"{KAGENT}/{metadata['namespace']}/agents/{metadata['name']}/status"
        await self._insist("PATCH", path, {"metadata": {"uid": metadata["uid"]}, "status": status})

    async def make_pod(self, agent: Object) -> None:
        """The pod by which others see that it runs; nothing schedules it, and the collector removes it."""
        await self._insist("POST", f"{CORE}/{agent['metadata']['namespace']}/pods", _pod(agent))

    async def say_pod(self, agent: Object, restarts: int, code: int, *, ready: bool) -> None:
        """Write how often its container was started again, and how it ended last."""
        status = {"phase": "Running", "containerStatuses": [_container(restarts, code, ready=ready)]}
        path = f"{CORE}/{agent['metadata']['namespace']}/pods/{_pod_name(agent)}/status"
        await self._insist("PATCH", path, {"status": status})

    async def _get(self, path: str) -> dict[str, Any] | None:
        async with self.session.get(path) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if not response.ok:
                raise NotAnswered(f"{path}: HTTP {response.status}")
            found: dict[str, Any] = await response.json()
            return found

    async def _insist(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """Until it is done. Raises NotAnswered when it is refused, so that asking again is of no use."""
        headers = MERGE if method == "PATCH" else {"Content-Type": "application/json"}
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.request(method, path, data=json.dumps(body), headers=headers) as response:
                    if response.ok or response.status in OVER:
                        return
                    if (
                        response.status < HTTPStatus.INTERNAL_SERVER_ERROR
                        and response.status != HTTPStatus.TOO_MANY_REQUESTS
                    ):
                        raise NotAnswered(f"{path}: HTTP {response.status}")
            await asyncio.sleep(PAUSE_SECONDS)


def conditions(agent: Object, wanted: list[Condition], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Conditions as they are stored; what has not changed keeps its time."""
    since = {(old["type"], old["status"]): old["lastTransitionTime"] for old in before}
    written = []
    for condition in wanted:
        status = str(condition.status)
        written.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message,
                "lastTransitionTime": since.get((condition.type, status)) or _now(),
                "observedGeneration": agent["metadata"]["generation"],
            }
        )
    return written


def _pod_name(agent: Object) -> str:
    return f"{agent['metadata']['name']}-laptop"


def _pod(agent: Object) -> dict[str, Any]:
    metadata = agent["metadata"]
    labels = {"app": "kagent", "kagent": metadata["name"], "app.kubernetes.io/managed-by": "kagent"}
    owner = {
        "apiVersion": agent["apiVersion"],
        "kind": "Agent",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _pod_name(agent), "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "schedulerName": "laptop",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "kagent", "image": IMAGE}],
        },
    }


def _container(restarts: int, code: int, *, ready: bool) -> dict[str, Any]:
    running = {"running": {"startedAt": _now()}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    ended = {"exitCode": code if code >= 0 else KILLED - code, "reason": "Error", "finishedAt": _now()}
    return {
        "name": "kagent",
        "image": IMAGE,
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "state": running,
        "lastState": {"terminated": ended} if restarts else {},
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Tasks as SubagentTask objects: what one was given with is written once, what became of it lives in the status."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.collection import KubernetesCollection
from mcp_agentspawn.adapters.kubernetes.objects import text_of, time_of
from mcp_agentspawn.adapters.kubernetes.resources import TASKS
from mcp_agentspawn.core.delegation import Artifact, PendingCall, Task
from mcp_agentspawn.core.names import AGENT, LABEL, SYSTEM_NAMESPACE, TREE


class KubernetesTasks(KubernetesCollection[Task]):
    """SubagentTasks (`core.delegation.Tasks`)."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, TASKS, object_of, task_of)

    async def of_agent(self, agent: str) -> Sequence[Task]:
        """See `core.delegation.Tasks.of_agent`."""
        if re.fullmatch(LABEL, agent) is None:  # no agent's id, and not to be read as another selector
            return []
        return [task for task in await self._selected(f"{AGENT}={agent}") if task.agent == agent]

    async def update(self, task: Task) -> Task:
        """See `core.delegation.Tasks.update`."""
        return await self._put(task, _status(task))


def object_of(task: Task) -> dict[str, Any]:
    """Write a new task as an object."""
    labels = {AGENT: task.agent, TREE: task.tree.label}
    return TASKS.object({"name": task.id, "namespace": SYSTEM_NAMESPACE, "labels": labels}, spec=_spec(task))


def task_of(stored: Mapping[str, Any]) -> Task:
    """Read a stored task."""
    metadata, spec, status = stored["metadata"], stored["spec"], stored.get("status") or {}
    return Task(
        id=metadata["name"],
        root=spec["root"],
        parent=spec["parent"],
        home=spec["namespace"],
        agent=spec["agent"],
        agent_uid=spec["agentUid"],
        template=spec["template"],
        entry=spec.get("registryEntry", ""),
        context=spec["context"],
        state=status.get("state", "submitted"),
        remote=status.get("remote", ""),
        sent=tuple(status.get("sent", spec.get("sent", ()))),
        asks=status.get("asks", ""),
        pending=tuple(_call(call) for call in status.get("pending", ())),
        result=status.get("result", ""),
        truncated=status.get("truncated", False),
        artifacts=tuple(_artifact(artifact) for artifact in status.get("artifacts", ())),
        reason=status.get("reason", ""),
        tries=status.get("tries", 0),
        counted=status.get("counted", False),
        created_at=time_of(metadata["creationTimestamp"]),
        changed_at=_moment(status.get("changedAt", spec.get("givenAt", ""))),
        ended_at=_moment(status.get("endedAt", "")),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
    )


def _spec(task: Task) -> dict[str, Any]:
    optional = {"registryEntry": task.entry, "sent": list(task.sent), "givenAt": _text(task.changed_at)}
    return {
        "root": task.root,
        "parent": task.parent,
        "namespace": task.home,
        "agent": task.agent,
        "agentUid": task.agent_uid,
        "template": task.template,
        "context": task.context,
    } | {name: value for name, value in optional.items() if value}


def _status(task: Task) -> dict[str, Any]:
    moments = {"changedAt": _text(task.changed_at), "endedAt": _text(task.ended_at)}
    return {
        "state": task.state,
        "remote": task.remote,
        "sent": list(task.sent),
        "asks": task.asks,
        "pending": [{"id": call.id, "tool": call.tool, "arguments": call.arguments} for call in task.pending],
        "result": task.result,
        "truncated": task.truncated,
        "artifacts": [_artifact_document(artifact) for artifact in task.artifacts],
        "reason": task.reason,
        "tries": task.tries,
        "counted": task.counted,
    } | {name: moment for name, moment in moments.items() if moment}


def _artifact_document(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "name": artifact.name,
        "mediaType": artifact.media_type,
        "bytes": artifact.bytes,
    }


def _artifact(artifact: Mapping[str, Any]) -> Artifact:
    return Artifact(artifact["id"], artifact["name"], artifact["mediaType"], artifact["bytes"])


def _call(call: Mapping[str, Any]) -> PendingCall:
    return PendingCall(call["id"], call["tool"], call["arguments"])


def _text(moment: datetime | None) -> str:
    return text_of(moment) if moment is not None else ""


def _moment(text: str) -> datetime | None:
    return time_of(text) if text else None

"""Answers of people to tool approvals as SubagentTaskAnswer objects: found by their task, never changed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.objects import time_of
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import TASK_ANSWERS
from mcp_agentspawn.core.delegation import TaskAnswer
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.names import LABEL, SYSTEM_NAMESPACE

ALL = TASK_ANSWERS.collection(SYSTEM_NAMESPACE)
STRICT = {"fieldValidation": "Strict"}
DECISIONS = frozenset({"approve", "reject"})


class KubernetesTaskAnswers:
    """SubagentTaskAnswers in the server's own namespace, always read fresh."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def of(self, task: str) -> Sequence[TaskAnswer]:
        """See `core.delegation.TaskAnswers.of`."""
        if re.fullmatch(LABEL, task) is None:  # no task's id, and not to be read as another selector
            return []
        return [answer for answer in await self._list(f"spec.task={task}") if answer.task == task]

    async def all(self) -> Sequence[TaskAnswer]:
        """See `core.delegation.TaskAnswers.all`."""
        return await self._list("")

    async def create(self, answer: TaskAnswer) -> TaskAnswer:
        """See `core.delegation.TaskAnswers.create`."""
        stored = await self._client.request("POST", ALL, object_of(answer), as_=SERVER, query=STRICT)
        return read(answer_of, stored, changes=True)

    async def delete(self, answer: TaskAnswer) -> None:
        """See `core.delegation.TaskAnswers.delete`."""
        try:
            await self._client.request("DELETE", TASK_ANSWERS.item(SYSTEM_NAMESPACE, answer.name), as_=SERVER)
        except Missing:
            return

    async def _list(self, fields: str) -> list[TaskAnswer]:
        found = await self._client.list(ALL, fields=fields)
        return read(lambda items: [answer_of(item) for item in items if not _is_leaving(item)], found)


def _is_leaving(stored: Mapping[str, Any]) -> bool:
    """Whether its decider has taken it back, although it is still listed."""
    return "deletionTimestamp" in stored["metadata"]


def object_of(answer: TaskAnswer) -> dict[str, Any]:
    """Write a new answer as an object."""
    spec = {
        "task": answer.task,
        "taskUid": answer.task_uid,
        "digest": answer.digest,
        "decision": answer.decision,
        "decider": answer.decider,
        "reason": answer.reason,
    }
    return TASK_ANSWERS.object({"name": answer.name, "namespace": SYSTEM_NAMESPACE}, spec=spec)


def answer_of(stored: Mapping[str, Any]) -> TaskAnswer:
    """Read a stored answer."""
    metadata, spec = stored["metadata"], stored["spec"]
    if spec["decision"] not in DECISIONS:
        raise ValueError("no decision")
    return TaskAnswer(
        name=metadata["name"],
        task=spec["task"],
        task_uid=spec["taskUid"],
        digest=spec["digest"],
        decision=spec["decision"],
        decider=spec["decider"],
        reason=spec["reason"],
        decided_at=time_of(metadata["creationTimestamp"]),
    )

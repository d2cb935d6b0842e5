"""Answers of people to tool approvals as SubagentTaskAnswer objects."""

from collections.abc import Mapping
from typing import Any

from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.decisions import KubernetesDecisions
from mcp_agentspawn.adapters.kubernetes.objects import time_of
from mcp_agentspawn.adapters.kubernetes.resources import TASK_ANSWERS
from mcp_agentspawn.core.delegation import TaskAnswer
from mcp_agentspawn.core.names import SYSTEM_NAMESPACE

DECISIONS = frozenset({"approve", "reject"})


class KubernetesTaskAnswers(KubernetesDecisions[TaskAnswer]):
    """SubagentTaskAnswers (`core.delegation.TaskAnswers`)."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, TASK_ANSWERS, "task", object_of, answer_of)


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

"""People at the API server, each with their own name: they decide, they freeze, they look."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict

from mcp_agentspawn.adapters.kubernetes.tasks import task_of
from mcp_agentspawn.core.delegation import asked_digest
from mcp_agentspawn.core.model import Root
from tests.faults.cluster import PROPOSALS, SYSTEM, Cluster

OURS = f"/apis/agentspawn.dev/v1alpha1/namespaces/{SYSTEM}"
APPROVALS, FREEZES, RESETS = f"{OURS}/subagentapprovals", f"{OURS}/spawnfreezes", f"{OURS}/spawnresets"
TASKS, ANSWERS = f"{OURS}/subagenttasks", f"{OURS}/subagenttaskanswers"
APPROVERS, OPERATORS = "agentspawn:approvers", "agentspawn:operators"


@dataclass(frozen=True)
class Person:
    """Somebody whom the API server knows by name and groups."""

    cluster: Cluster
    name: str
    groups: tuple[str, ...] = (APPROVERS,)

    async def decide(self, proposal: Mapping[str, Any], decision: str = "approve", **changes: Any) -> int:
        """Store a decision on a proposal; the HTTP status of the answer."""
        id_ = proposal["proposal"]
        stored = await self.cluster.get(f"{PROPOSALS}/{id_}")
        assert stored is not None
        spec = {
            "proposal": id_,
            "proposalUid": stored["metadata"]["uid"],
            "digest": proposal["digest"],
            "decision": decision,
            "decider": self.name,
            "reason": "",
        }
        return await self._send("POST", APPROVALS, _ours("SubagentApproval", f"{id_}.{self.name}", spec | changes))

    async def answer(self, task: str, decision: str = "approve", **changes: Any) -> int:
        """Store an answer to the tool calls that a task waits with; the HTTP status of the answer."""
        stored = await self.cluster.get(f"{TASKS}/{task}")
        assert stored is not None
        spec = {
            "task": task,
            "taskUid": stored["metadata"]["uid"],
            "digest": asked_digest(task_of(stored)),
            "decision": decision,
            "decider": self.name,
            "reason": "",
        }
        return await self._send("POST", ANSWERS, _ours("SubagentTaskAnswer", f"{task}.{self.name}", spec | changes))

    async def freeze(self, name: str, *, namespace: str = "", root: str = "") -> int:
        """Stop spawning; the HTTP status of the answer."""
        spec = {"frozen": True, "namespace": namespace, "root": root, "reason": "An attack", "by": self.name}
        if name != "everywhere":
            return await self._send("POST", FREEZES, _ours("SpawnFreeze", name, spec))
        return await self._send("PATCH", f"{FREEZES}/{name}", {"spec": spec})

    async def unfreeze(self, name: str) -> int:
        """Let spawning go on; the HTTP status of the answer."""
        if name != "everywhere":
            return await self._send("DELETE", f"{FREEZES}/{name}")
        return await self._send("PATCH", f"{FREEZES}/{name}", {"spec": {"frozen": False, "by": self.name}})

    async def let_go_on(self, root: Root, account: str) -> int:
        """Say that a recreated service account, by its uid, may go on; the HTTP status of the answer."""
        spec = {"root": root.name, "counts": False, "account": account, "reason": "Checked", "by": self.name}
        return await self._send("POST", RESETS, _ours("SpawnReset", f"{root.key}.attack", spec))

    async def _send(self, method: str, path: str, body: Any = None) -> int:
        groups = [("Impersonate-Group", group) for group in self.groups]
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = CIMultiDict([("Impersonate-User", self.name), ("Content-Type", media), *groups])
        async with self.cluster.admin.request(method, path, json=body, headers=headers) as response:
            return response.status


def _ours(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "agentspawn.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}

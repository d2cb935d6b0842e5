"""Subagents that exist in this process only, under the rules that the API server would keep."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import count
from typing import Any
from uuid import uuid4

from mcp_agentspawn.adapters.kubernetes.objects import is_of, subagent_of, text_of
from mcp_agentspawn.adapters.kubernetes.schema import ManifestSchema
from mcp_agentspawn.core.errors import Conflict, Refused
from mcp_agentspawn.core.model import Manifest, Root, Subagent
from mcp_agentspawn.core.names import PROPOSAL, ROOT, TREE
from mcp_agentspawn.core.ports import Clock


class MemoryAgents:
    """Agents by namespace and name. Settable: who may write, and how many agents a namespace holds at most."""

    def __init__(self, roots: Iterable[Root], clock: Clock, schema: ManifestSchema | None) -> None:
        """Every root may write at first; no namespace has a limit. Without a `schema`, any shape is accepted."""
        self.roots = frozenset(roots)
        self.may_write = set(self.roots)
        self.limits: dict[str, int] = {}
        self._clock = clock
        self._schema = schema
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._versions = count(1)

    async def trial(self, root: Root, proposal: str, manifest: Manifest) -> Manifest:
        """See `core.ports.Agents.trial`."""
        self._judge(root, proposal, manifest)
        return deepcopy(dict(manifest))

    async def create(self, root: Root, proposal: str, manifest: Manifest) -> Subagent:
        """See `core.ports.Agents.create`."""
        self._judge(root, proposal, manifest)
        stored = self._stored(manifest)
        self._objects[root.home, proposal] = stored
        return subagent_of(deepcopy(stored))

    async def get(self, home: str, id_: str) -> Subagent | None:
        """See `core.ports.Agents.get`."""
        found = self._objects.get((home, id_))
        return subagent_of(deepcopy(found)) if found else None

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        """See `core.ports.Agents.of_root`."""
        labelled = (found for found in self._in(root.home) if _labels(found).get(TREE) == root.label)
        return [subagent for subagent in map(subagent_of, deepcopy(list(labelled))) if is_of(subagent, root)]

    async def of_home(self, home: str) -> Sequence[Subagent]:
        """See `core.ports.Agents.of_home`."""
        return self.held(home)

    async def trial_delete(self, root: Root, id_: str, uid: str) -> None:
        """See `core.ports.Agents.trial_delete`."""
        self._permit(root)
        found = await self.get(root.home, id_)
        if found is not None and not is_of(found, root):
            raise Refused("forbidden.policy", "This agent belongs to another root.")
        self._hold_to(root.home, id_, uid)

    async def delete(self, root: Root, id_: str, uid: str) -> bool:
        """See `core.ports.Agents.delete`."""
        await self.trial_delete(root, id_, uid)
        return self._remove(root.home, id_, uid)

    async def expire(self, home: str, id_: str, uid: str) -> bool:
        """See `core.ports.Agents.expire`."""
        return self._remove(home, id_, uid)

    def held(self, home: str) -> list[Subagent]:
        """All of ours in a namespace."""
        found = map(subagent_of, deepcopy(list(self._in(home))))
        return [subagent for subagent in found if subagent.virtual_user]

    def put(self, home: str, manifest: Manifest) -> None:
        """Have an operator make one there, whom no rule binds."""
        self._objects[home, manifest["metadata"]["name"]] = self._stored(
            {**manifest, "metadata": {**manifest["metadata"], "namespace": home}}
        )

    def set_ready(self, home: str, id_: str) -> None:
        """Say that it is up, as kagent's controller would."""
        agent = self._objects[home, id_]
        generation = agent["metadata"]["generation"]
        condition = {"type": "Ready", "status": "True", "observedGeneration": generation}
        agent["status"] = {"observedGeneration": generation, "conditions": [condition]}

    def _judge(self, root: Root, proposal: str, manifest: Manifest) -> None:
        """In the API server's order: rights, schema, policy, quota, and the name only then."""
        self._permit(root)
        if self._schema is not None and self._schema.violations(manifest):
            raise Refused("invalid", "The manifest does not fit the schema.")
        if reason := _against_the_lock(root, proposal, manifest):
            raise Refused("forbidden.policy", f"agentspawn-lock: {reason}")
        if sum(1 for _ in self._in(root.home)) >= self.limits.get(root.home, len(self._objects) + 1):
            raise Refused("forbidden.quota", f"The namespace {root.home} holds no more agents.")
        if (root.home, proposal) in self._objects:
            raise Conflict(f"There is an agent named {proposal} already.")

    def _permit(self, root: Root) -> None:
        if root not in self.roots:
            raise Refused("forbidden.principal", f"{root.name} is not a configured root.")
        if root not in self.may_write:
            raise Refused("forbidden.rbac", f"{root.virtual_user} may not do this.")

    def _stored(self, manifest: Manifest) -> dict[str, Any]:
        stored = deepcopy(dict(manifest))
        stored["metadata"] |= {
            "uid": str(uuid4()),
            "resourceVersion": str(next(self._versions)),
            "generation": 1,
            "creationTimestamp": text_of(self._clock.now().replace(microsecond=0)),
        }
        return stored

    def _in(self, home: str) -> Iterable[Mapping[str, Any]]:
        return (found for (namespace, _), found in self._objects.items() if namespace == home)

    def _hold_to(self, home: str, id_: str, uid: str) -> None:
        found = self._objects.get((home, id_))
        if found is not None and found["metadata"]["uid"] != uid:
            raise Conflict(f"The agent {id_} is another one by now.")

    def _remove(self, home: str, id_: str, uid: str) -> bool:
        self._hold_to(home, id_, uid)
        self._objects.pop((home, id_), None)
        return True


def _against_the_lock(root: Root, proposal: str, manifest: Manifest) -> str:
    """What the policy `agentspawn-lock` would say; `""` when nothing."""
    metadata = manifest.get("metadata", {})
    if metadata.get("name") != proposal or _labels(manifest).get(PROPOSAL) != proposal:
        return "name, label and proposal are not one."
    if (metadata.get("annotations") or {}).get(ROOT) != root.virtual_user:
        return "it is marked as another root's."
    return ""


def _labels(manifest: Manifest) -> Mapping[str, str]:
    return manifest.get("metadata", {}).get("labels") or {}

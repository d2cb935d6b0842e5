"""The one place that knows `kagent.dev/v1alpha2` `Agent`: a description becomes its manifest, and back.

The manifest is built from the allow-list of fields that the admission policy `agentspawn-shape` enforces, with
every default of kagent's CRD written out, so that what was judged is what is stored.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from mcp_agentspawn.core.delegation import Card
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.model import AgentDescription, Compaction, Lineage, Manifest, Root, Skill, ToolSelection
from mcp_agentspawn.core.names import (
    CREDENTIAL_HEADER,
    CREDENTIAL_KEY,
    DEPTH,
    ENTRY,
    LIFETIME,
    PARENT,
    PROPOSAL,
    REQUEST,
    ROOT,
    SPAWN_SERVER,
    TEMPLATE,
    TREE,
    credential_secret,
)

COMPACTION_DEFAULTS = {"compactionInterval": 5, "overlapSize": 2}


class KagentAgent:
    """Declarative Agents of kagent 0.9 and 0.10. kagent's Go runtime is ready in about a second, Python's in 20."""

    api_version = "kagent.dev/v1alpha2"

    def __init__(self, runtime: Literal["go", "python"] = "go") -> None:
        self._runtime = runtime

    def manifest(self, agent: AgentDescription) -> dict[str, Any]:
        """Build the complete manifest; the same description gives the same manifest."""
        return {
            "apiVersion": self.api_version,
            "kind": "Agent",
            "metadata": _metadata(agent),
            "spec": self._image(agent) if agent.image else self._instructed(agent),
        }

    def read(self, manifest: Manifest) -> AgentDescription:
        """Read a manifest back; raises `Refused` for one that this builder would not have made."""
        try:
            agent = _description(manifest)
            same = self.manifest(agent) == manifest
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused("manifest.unreadable", "This is no subagent's manifest.") from error
        if not same:
            raise Refused("manifest.unreadable", "The manifest holds more or other fields than a subagent's may.")
        return agent

    def card(self, agent: AgentDescription) -> Card | None:
        """The card that kagent builds; one of an image bears what that image says."""
        if agent.image:
            return None
        return Card(agent.id.replace("-", "_"), tuple(skill.id for skill in agent.skills))

    def _image(self, agent: AgentDescription) -> dict[str, Any]:
        """An image and nothing beside it: commands, variables, volumes and accounts are never a registry's to say."""
        return {
            "type": "BYO",
            "description": agent.description,
            "byo": {"deployment": {"image": agent.image}},
        }

    def _instructed(self, agent: AgentDescription) -> dict[str, Any]:
        return {
            "type": "Declarative",
            "description": agent.description,
            "declarative": self._declarative(agent),
        }

    def _declarative(self, agent: AgentDescription) -> dict[str, Any]:
        declarative: dict[str, Any] = {
            "runtime": self._runtime,
            "systemMessage": agent.instructions,
            "modelConfig": agent.model,
            "stream": False,
            "tools": [_tool(selection, agent.id) for selection in agent.tools],
        }
        if agent.skills:
            declarative["a2aConfig"] = {"skills": [_skill(skill) for skill in agent.skills]}
        if agent.compaction:
            declarative["context"] = {"compaction": _compaction(agent.compaction)}
        return declarative


def _metadata(agent: AgentDescription) -> dict[str, Any]:
    lineage = agent.lineage
    return {
        "name": agent.id,
        "namespace": lineage.root.home,
        "labels": {PROPOSAL: agent.id, TREE: lineage.root.label},
        "annotations": {
            ROOT: lineage.root.virtual_user,
            PARENT: lineage.parent,
            TEMPLATE: lineage.template,
            LIFETIME: str(int(lineage.lifetime.total_seconds())),
            REQUEST: lineage.request_digest,
            DEPTH: str(lineage.depth),
        }
        | ({ENTRY: lineage.entry} if lineage.entry else {}),
    }


def _tool(selection: ToolSelection, agent: str) -> dict[str, Any]:
    server: dict[str, Any] = {
        "apiGroup": "kagent.dev",
        "kind": "RemoteMCPServer",
        "name": selection.server,
        "toolNames": list(selection.tools),
    }
    if selection.ask_first:
        server["requireApproval"] = list(selection.ask_first)
    if selection.server == SPAWN_SERVER:
        return {"type": "McpServer", "mcpServer": server, "headersFrom": [_credential(agent)]}
    return {"type": "McpServer", "mcpServer": server}


def _credential(agent: str) -> dict[str, Any]:
    """The header by which this server knows the agent again, from a Secret that the agent's own pod reads."""
    secret = {"type": "Secret", "name": credential_secret(agent), "key": CREDENTIAL_KEY}
    return {"name": CREDENTIAL_HEADER, "valueFrom": secret}


def _skill(skill: Skill) -> dict[str, Any]:
    return {"id": skill.id, "name": skill.name, "description": skill.description, "tags": list(skill.tags)}


def _compaction(compaction: Compaction) -> dict[str, Any]:
    return COMPACTION_DEFAULTS | {
        "tokenThreshold": compaction.after_tokens,
        "eventRetentionSize": compaction.keep_events,
    }


def _description(manifest: Manifest) -> AgentDescription:
    metadata, spec = manifest["metadata"], manifest["spec"]
    if spec["type"] == "BYO":
        return _of_image(metadata, spec)
    declarative = spec["declarative"]
    return AgentDescription(
        id=metadata["name"],
        description=spec["description"],
        instructions=declarative["systemMessage"],
        model=declarative["modelConfig"],
        tools=tuple(_selection(tool["mcpServer"]) for tool in declarative["tools"]),
        skills=tuple(_skill_of(skill) for skill in declarative.get("a2aConfig", {}).get("skills", [])),
        compaction=_compaction_of(declarative.get("context", {}).get("compaction")),
        lineage=_lineage(metadata),
    )


def _of_image(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> AgentDescription:
    return AgentDescription(
        id=metadata["name"],
        description=spec["description"],
        instructions="",
        model="",
        tools=(),
        skills=(),
        compaction=None,
        lineage=_lineage(metadata),
        image=spec["byo"]["deployment"]["image"],
    )


def _selection(server: Mapping[str, Any]) -> ToolSelection:
    return ToolSelection(server["name"], tuple(server["toolNames"]), tuple(server.get("requireApproval", ())))


def _skill_of(skill: Mapping[str, Any]) -> Skill:
    return Skill(skill["id"], skill["name"], skill["description"], tuple(skill["tags"]))


def _compaction_of(compaction: Mapping[str, Any] | None) -> Compaction | None:
    return Compaction(compaction["tokenThreshold"], compaction["eventRetentionSize"]) if compaction else None


def _lineage(metadata: Mapping[str, Any]) -> Lineage:
    annotations = metadata["annotations"]
    root = Root.of_virtual_user(annotations[ROOT], metadata["namespace"])
    if root is None:
        raise ValueError("no virtual user")
    return Lineage(
        root=root,
        parent=annotations[PARENT],
        template=annotations[TEMPLATE],
        request_digest=annotations[REQUEST],
        lifetime=timedelta(seconds=int(annotations[LIFETIME])),
        depth=int(annotations[DEPTH]),
        entry=annotations.get(ENTRY, ""),
    )

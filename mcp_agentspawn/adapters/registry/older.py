"""The dialects of agentregistry 0.1 to 0.3 and of the inventory: an agent, and what the registry says about it."""

import re
from collections.abc import Mapping
from typing import Any

from mcp_agentspawn.adapters.registry.items import (
    DEFAULT_NAMESPACE,
    NAME_FORM,
    TAG_FORM,
    Version,
    hash_of,
    tool_servers_of,
)
from mcp_agentspawn.adapters.registry.texts import (
    Unreadable,
    description_of,
    fitting,
    image_of,
    instructions_of,
    items,
    mapping,
    moment_of,
    skills_of,
    summary,
    text,
    title_of,
)
from mcp_agentspawn.core.names import LABEL, SUBDOMAIN
from mcp_agentspawn.core.registry import LATEST, RegistryEntry

OFFICIAL = "io.modelcontextprotocol.registry/official"
KAGENT_FIELDS = frozenset({"agentType", "systemMessage", "modelConfigRef", "tools"})
INVENTORY_META = frozenset({"source", "isDiscovered", "deployment", "publisher"})
DELETED = "deleted"
NAMESPACE_OF_A_CLUSTER = re.compile(rf"{LABEL}\Z")
AGENT_OF_A_CLUSTER = re.compile(rf"{SUBDOMAIN}\Z")


def is_inventory(item: Any) -> bool:
    """Whether an item has what only the inventory's have."""
    if not isinstance(item, dict):
        return False
    agent, meta = item.get("agent"), item.get("_meta")
    of_agent = isinstance(agent, dict) and not KAGENT_FIELDS.isdisjoint(agent)
    return of_agent or (isinstance(meta, dict) and not INVENTORY_META.isdisjoint(meta))


def version_of(registry: str, item: Any, *, inventory: bool) -> Version | None:
    """What an item is; `None` when it is deleted. Raises `Unreadable`."""
    agent, meta = mapping(item).get("agent"), mapping(mapping(item).get("_meta"))
    if not isinstance(agent, dict):
        raise Unreadable
    official = mapping(meta.get(OFFICIAL))
    if official.get("status") == DELETED:
        return None
    tag = fitting(TAG_FORM, text(agent.get("version")) or LATEST)
    entry = RegistryEntry(
        registry,
        DEFAULT_NAMESPACE,
        fitting(NAME_FORM, agent.get("name")),
        tag,
        hash_of({"agent": agent}),
        title=title_of(agent.get("title")),
        description=description_of(agent.get("description")),
        skills=skills_of(_skill(skill) for skill in items(agent.get("skills"))),
        **(_of_kagent(agent, meta) if inventory else _of_image(agent)),
    )
    latest = official.get("isLatest") is True or tag == LATEST
    return Version(entry, moment_of(official.get("updatedAt")), latest=latest)


def _skill(value: Any) -> str:
    return title_of(value) if isinstance(value, str) else _described(mapping(value))


def _described(skill: Mapping[str, Any]) -> str:
    return summary(skill.get("name"), skill.get("description"))


def _of_image(agent: Mapping[str, Any]) -> dict[str, Any]:
    image = image_of(agent.get("image"))
    names = [mapping(server).get("name") for server in items(agent.get("mcpServers"))]
    return {"image": image, "form": "image" if image else "other", "tool_servers": tool_servers_of(names)}


def _of_kagent(agent: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    image, instructions = image_of(agent.get("image")), instructions_of(agent.get("systemMessage"))
    declarative = instructions and (agent.get("agentType") == "Declarative" or not image)
    tools = [mapping(tool) for tool in items(agent.get("tools"))]
    return {
        "image": image,
        "instructions": instructions,
        "form": "declarative" if declarative else "image" if image else "other",
        "tool_servers": tool_servers_of(tool.get("name") for tool in tools if tool.get("type") == "McpServer"),
        "running": _running(agent, mapping(meta.get("deployment"))),
    }


def _running(agent: Mapping[str, Any], deployment: Mapping[str, Any]) -> str:
    """The ready Agent that it is already; one that was discovered bears the agent's own name."""
    if deployment.get("ready") is not True or not deployment.get("namespace"):
        return ""
    name = deployment.get("serviceName") or deployment.get("name") or agent.get("name")
    namespace = fitting(NAMESPACE_OF_A_CLUSTER, deployment["namespace"])
    return f"{namespace}/{fitting(AGENT_OF_A_CLUSTER, name)}"

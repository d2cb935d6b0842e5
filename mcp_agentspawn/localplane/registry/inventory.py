"""The dialect of agentregistry-inventory: as 0.3 with what kagent runs, but a cursor is ignored and none is given."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_agentspawn.localplane.registry import legacy
from mcp_agentspawn.localplane.registry.answers import Refused
from mcp_agentspawn.localplane.registry.parameters import Query, between
from mcp_agentspawn.localplane.registry.published import LATEST, Content, Deployment, Published


def answer(content: Content, path: Sequence[str], query: Query) -> Any:
    """Answer a path below /v0; Refused when there is nothing."""
    match path:
        case ["agents"]:
            return listing(content, query)
        case ["agents", name]:
            return response(content, legacy.one(content, name))
        case ["agents", name, "versions"]:
            return legacy.page([response(content, entry) for entry in legacy.versions(content, name)])
        case ["agents", name, "versions", version]:
            return response(content, _version(content, name, version))
        case _:
            raise Refused(404, "Endpoint not found. See /docs for the API documentation.")


def listing(content: Content, query: Query) -> dict[str, Any]:
    """What fits, cut at the limit: whatever lies behind it can not be reached."""
    limit = between(query, "limit", legacy.PAGE, 1, legacy.MOST)
    fitting = [entry for entry in content.agents() if legacy.fits(content, entry, query)]
    return legacy.page([response(content, entry) for entry in fitting[:limit]])


def response(content: Content, entry: Published) -> dict[str, Any]:
    """An entry as this dialect writes it, with what is known of a running agent."""
    official = {
        "status": "active",
        "publishedAt": entry.created_at or entry.updated_at,
        "updatedAt": entry.updated_at,
        "isLatest": legacy.is_latest(content, entry),
        "published": True,
    }
    meta = {
        legacy.OFFICIAL: official,
        "deployment": _deployment(entry.deployment) if entry.deployment else {},
        "source": "discovery" if entry.discovered else "manual",
        "isDiscovered": entry.discovered,
        "publisher": dict(entry.publisher),
    }
    return {"agent": _agent(entry), "_meta": _filled(meta)}


def _agent(entry: Published) -> dict[str, Any]:
    texts = {"title": entry.title, "description": entry.description}
    declared = {
        "repository": {"url": entry.repository, "source": "git"} if entry.repository else {},
        "agentType": _type(entry),
        "systemMessage": entry.instructions,
        "modelConfigRef": entry.model,
        "tools": [_tool(entry, *reference) for reference in entry.mcp_servers],
        "skills": [_skill(*reference) for reference in entry.skills],
    }
    named = {"name": entry.name, "version": entry.tag}
    return named | _filled(texts) | {"image": entry.image} | _filled(declared)


def _type(entry: Published) -> str:
    if entry.image:
        return "BYO"
    return "Declarative" if entry.instructions else ""


def _tool(entry: Published, name: str, _tag: str = "") -> dict[str, Any]:
    return {"type": "McpServer", "name": name, "toolNames": list(entry.tool_names.get(name, ()))}


def _skill(name: str, tag: str = "") -> str:
    return f"{name}:{tag or LATEST}"


def _deployment(deployment: Deployment) -> dict[str, Any]:
    found = {"namespace": deployment.namespace, "serviceName": deployment.name, "url": deployment.url}
    return _filled(found) | {"ready": deployment.ready}


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _version(content: Content, name: str, version: str) -> Published:
    for entry in content.versions(name):
        if entry.tag == version:
            return entry
    raise Refused(404, "Agent version not found")

"""The dialect of agentregistry 0.1 to 0.3.3: `agents`, each with `agent` and `_meta`, versions instead of tags."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_agentspawn.localplane.registry import cursors
from mcp_agentspawn.localplane.registry.answers import Refused
from mcp_agentspawn.localplane.registry.parameters import Query, between
from mcp_agentspawn.localplane.registry.published import LATEST, Content, Published, moment, prompt_reference

PAGE, MOST = 30, 100
OFFICIAL = "io.modelcontextprotocol.registry/official"
NO_TIME = "0001-01-01T00:00:00Z"  # Go's zero time, which this dialect writes into every agent
BAD_TIME = "Invalid updated_since format: expected RFC3339 timestamp (e.g., 2025-08-07T13:15:04.280Z)"


def answer(content: Content, path: Sequence[str], query: Query) -> Any:
    """Answer a path below /v0; Refused when there is nothing."""
    match path:
        case ["agents"]:
            return listing(content, query)
        case ["agents", name]:
            return response(content, one(content, name))
        case ["agents", name, "versions"]:
            found = versions(content, name)
            return page([response(content, entry) for entry in found])
        case ["agents", name, "versions", version]:
            return response(content, one(content, name, version))
        case _:
            raise Refused(404, "Endpoint not found. See /docs for the API documentation.")


def listing(content: Content, query: Query) -> dict[str, Any]:
    """One page by name and version; the cursor is the last one's."""
    limit = between(query, "limit", PAGE, 1, MOST)
    held = sorted((entry for entry in content.agents() if _fits(content, entry, query)), key=_order)
    name, _, version = query.get("cursor", "").partition(":")
    start = bisect_right(held, (name, version), key=_order) if name else 0
    found = held[start : start + limit]
    told = page([response(content, entry) for entry in found])
    more = start + limit < len(held)
    return cursors.leading_to(told, ":".join(_order(found[-1]))) if more else told


def page(responses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A listing without a cursor."""
    return {"agents": list(responses), "metadata": {"count": len(responses)}}


def versions(content: Content, name: str) -> Sequence[Published]:
    """All of one name, newest first; Refused when there is none."""
    if found := content.versions(name):
        return found
    raise Refused(404, "Agent not found")


def one(content: Content, name: str, version: str = LATEST) -> Published:
    """One version, or the latest; Refused when there is none."""
    for entry in versions(content, name):
        if version in {LATEST, entry.tag}:
            return entry
    raise Refused(404, "Agent not found")


def is_latest(content: Content, entry: Published) -> bool:
    """Whether there is no newer version."""
    return content.versions(entry.name)[0] is entry


def response(content: Content, entry: Published) -> dict[str, Any]:
    """An entry as this dialect writes it."""
    official = {
        "status": "active",
        "publishedAt": entry.created_at or entry.updated_at,
        "updatedAt": entry.updated_at,
        "isLatest": is_latest(content, entry),
    }
    return {"agent": _agent(entry), "_meta": {OFFICIAL: official}}


def _agent(entry: Published) -> dict[str, Any]:
    always = {
        "name": entry.name,
        "image": entry.image,
        "language": "python",
        "framework": "adk",
        "modelProvider": "",
        "modelName": entry.model,
        "description": entry.description,
    }
    prompt = prompt_reference(entry)
    references = {
        "mcpServers": [_server(*reference) for reference in entry.mcp_servers],
        "skills": [_reference("Skill", *reference) for reference in entry.skills],
        "prompts": [_reference("Prompt", *prompt)] if prompt else [],
    }
    texts = {"title": entry.title, "version": entry.tag, "status": "active"}
    repository = {"repository": {"url": entry.repository, "source": "git"} if entry.repository else {}}
    return always | _filled(references) | {"updatedAt": NO_TIME} | _filled(texts) | _filled(repository)


def _server(name: str, tag: str = "") -> dict[str, Any]:
    return _filled(
        {"type": "registry", "name": name, "registryServerName": name, "registryServerVersion": tag or LATEST}
    )


def _reference(kind: str, name: str, tag: str = "") -> dict[str, Any]:
    return _filled({"name": name, f"registry{kind}Name": name, f"registry{kind}Version": tag})


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _order(entry: Published) -> tuple[str, str]:
    return entry.name, entry.tag


def fits(content: Content, entry: Published, query: Query) -> bool:
    """Whether a listing has it: a part of its name, and its version."""
    version = query.get("version", "")
    meant = is_latest(content, entry) if version == LATEST else version in {"", entry.tag}
    return meant and query.get("search", "").lower() in entry.name.lower()


def _fits(content: Content, entry: Published, query: Query) -> bool:
    since = query.get("updated_since", "")
    return fits(content, entry, query) and (not since or moment(entry.updated_at) > _time(since))


def _time(text: str) -> Any:
    try:
        return moment(text)
    except ValueError as error:
        raise Refused(400, BAD_TIME) from error

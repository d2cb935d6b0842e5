"""The dialect of agentregistry 0.4.0 and later: envelopes in `items`, every tag an item of its own."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from mcp_agentspawn.localplane.registry import cursors
from mcp_agentspawn.localplane.registry.answers import Refused
from mcp_agentspawn.localplane.registry.parameters import Query, boolean, integer, selector
from mcp_agentspawn.localplane.registry.published import (
    DEFAULT_NAMESPACE,
    LATEST,
    Content,
    Entry,
    Published,
    Reference,
    moment,
    order,
    prompt_reference,
    uid_of,
)

KINDS: Mapping[str, str] = {
    "agents": "Agent",
    "prompts": "Prompt",
    "mcpservers": "MCPServer",
    "skills": "Skill",
    "models": "Model",
    "plugins": "Plugin",
}
PAGE = 50
A_HARNESS = ("claude-code",)


def answer(content: Content, path: Sequence[str], query: Query) -> Any:
    """Answer a path below /v0; Refused when there is nothing."""
    kind = KINDS.get(path[0], "")
    match path[1:]:
        case _ if not kind:
            raise Refused(404, "Endpoint not found. See /docs for the API documentation.")
        case []:
            return listing(content.entries(kind), query)
        case [name]:
            return envelope(_one(content, kind, _namespace(query), name))
        case [name, "tags"]:
            return {"items": [envelope(entry) for entry in _tags(content, kind, _namespace(query), name)]}
        case [name, tag]:
            return envelope(_one(content, kind, _namespace(query), name, tag))
        case _:
            raise Refused(404, "Endpoint not found. See /docs for the API documentation.")


def listing(held: Sequence[Entry], query: Query) -> dict[str, Any]:
    """One page of what the parameters ask for, and where the next one begins if there is one."""
    asked = integer(query, "limit", PAGE)
    limit = asked if asked > 0 else PAGE
    wanted, tag, namespace = selector(query), _tag(query), _namespace(query)
    start = bisect_right(held, cursors.place(query.get("cursor", "")), key=order)
    fitting = (entry for entry in islice(held, start, None) if _fits(entry, namespace, tag, wanted))
    found = list(islice(fitting, limit + 1))
    page: dict[str, Any] = {"items": [envelope(entry) for entry in found[:limit]]}
    return cursors.leading_to(page, cursors.behind(found[limit - 1])) if len(found) > limit else page


def envelope(entry: Entry) -> dict[str, Any]:
    """An entry as the registry writes it: keys in its order, what is empty left out."""
    return {
        "apiVersion": "ar.dev/v1alpha1",
        "kind": entry.kind,
        "metadata": _metadata(entry),
        "spec": _specification(entry) if isinstance(entry, Published) else dict(entry.spec),
        "status": {},
    }


def _metadata(entry: Entry) -> dict[str, Any]:
    return _filled(
        {
            "namespace": "" if entry.namespace == DEFAULT_NAMESPACE else entry.namespace,
            "name": entry.name,
            "uid": uid_of(entry),
            "labels": dict(sorted(entry.labels.items())),
            "annotations": dict(sorted(entry.annotations.items())),
            "tag": entry.tag,
            "createdAt": entry.created_at or entry.updated_at,
            "updatedAt": entry.updated_at,
        }
    )


def _specification(entry: Published) -> dict[str, Any]:
    prompt = prompt_reference(entry)
    composed = bool(entry.skills or prompt)
    return _filled(
        {
            "title": entry.title,
            "description": entry.description,
            "source": _filled(
                {
                    "image": entry.image,
                    "repository": _filled({"url": entry.repository}),
                    "protocol": entry.protocol,
                }
            ),
            # Upstream takes skills and instructions of entries only that name a harness.
            "compatibleHarnesses": [{"type": name} for name in entry.harnesses or (A_HARNESS if composed else ())],
            "skills": _references("Skill", entry.skills),
            "instructions": _reference("Prompt", *prompt) if prompt else {},
            "mcpServers": _references("MCPServer", entry.mcp_servers),
        }
    )


def _references(kind: str, named: Iterable[Reference | tuple[str, str]]) -> list[dict[str, Any]]:
    return [_reference(kind, *reference) for reference in named]


def _reference(kind: str, name: str, tag: str = "") -> dict[str, Any]:
    return _filled({"kind": kind, "name": name, "tag": tag})


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _namespace(query: Query) -> str:
    return query.get("namespace", "") or DEFAULT_NAMESPACE


def _tag(query: Query) -> str:
    latest = boolean(query, "latestOnly")
    return query.get("tag", "") or (LATEST if latest else "")


def _fits(entry: Entry, namespace: str, tag: str, wanted: Mapping[str, str]) -> bool:
    return (
        namespace in {"all", entry.namespace}
        and tag in {"", entry.tag}
        and all(entry.labels.get(key) == value for key, value in wanted.items())
    )


def _tags(content: Content, kind: str, namespace: str, name: str) -> list[Entry]:
    held = content.entries(kind)
    first = bisect_left(held, (namespace, name), key=_called)
    behind = bisect_right(held, (namespace, name), lo=first, key=_called)
    return sorted(held[first:behind], key=lambda entry: moment(entry.updated_at), reverse=True)


def _called(entry: Entry) -> tuple[str, str]:
    return entry.namespace, entry.name


def _one(content: Content, kind: str, namespace: str, name: str, tag: str = "") -> Entry:
    for entry in _tags(content, kind, namespace, name):
        if entry.tag == (tag or LATEST):
            return entry
    asked = f'@"{tag}"' if tag else ""
    raise Refused(404, f'{kind} "{namespace}"/"{name}"{asked} not found')

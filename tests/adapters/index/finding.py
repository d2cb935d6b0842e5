"""Short ways to say what is there, and to ask for it."""

from typing import Any

from mcp_agentspawn.adapters.index.index import Index
from mcp_agentspawn.core.registry import Blueprint, Finding, Query, RegistryEntry, Route

HASH = "sha256:" + "0" * 64


def entry(name: str, description: str = "", **others: Any) -> RegistryEntry:
    place = {"registry": "acme", "namespace": "default", "tag": "latest", "hash": HASH}
    return RegistryEntry(**place | {"name": name, "description": description} | others)


def index(*entries: RegistryEntry, templates: tuple[Blueprint, ...] = ()) -> Index:
    made = Index.of(entries)
    made.set_blueprints(templates)
    return made


def ask(made: Index, text: str, *, routes: tuple[Route, ...] = (), limit: int = 50, **others: Any) -> list[Finding]:
    templates = others.pop("templates", frozenset({"helper", "watcher", "incident-lead"}))
    return list(made.find(routes, Query(text, limit, templates, **others)).findings)


def name(finding: Finding) -> str:
    if finding.blueprint:
        return f"template/{finding.blueprint.name}"
    assert finding.entry
    return finding.entry.name


def names(made: Index, text: str, **others: Any) -> list[str]:
    return [name(finding) for finding in ask(made, text, **others)]

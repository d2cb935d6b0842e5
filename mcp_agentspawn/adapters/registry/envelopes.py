"""The dialect of agentregistry 0.4: envelopes of `ar.dev/v1alpha1` that refer to prompts, skills and MCP servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mcp_agentspawn.adapters.registry.items import (
    DEFAULT_NAMESPACE,
    NAME_FORM,
    NAMESPACE_FORM,
    TAG_FORM,
    Version,
    hash_of,
    tool_servers_of,
)
from mcp_agentspawn.adapters.registry.texts import (
    MOST_PROTOCOL_CHARACTERS,
    Unreadable,
    description_of,
    fitting,
    image_of,
    instructions_of,
    items,
    labels_of,
    mapping,
    moment_of,
    plain,
    skills_of,
    summary,
    text,
    title_of,
)
from mcp_agentspawn.core.registry import LATEST, Form, RegistryEntry


class Reference(NamedTuple):
    """What one envelope calls another."""

    namespace: str
    name: str
    tag: str


@dataclass(frozen=True, slots=True)
class Companions:
    """What agents refer to: the content of prompts as it was served, and one line about each skill and MCP server."""

    prompts: Mapping[Reference, Any] = field(default_factory=dict)
    skills: Mapping[Reference, str] = field(default_factory=dict)
    servers: Mapping[Reference, str] = field(default_factory=dict)


def reference(value: Any, home: str) -> Reference:
    """What an agent of the namespace `home` refers to. No namespace is its own, no tag is the latest."""
    found = mapping(value)
    return Reference(
        fitting(NAMESPACE_FORM, text(found.get("namespace")) or home),
        fitting(NAME_FORM, found.get("name")),
        fitting(TAG_FORM, text(found.get("tag")) or LATEST),
    )


def self_of(item: Any) -> Reference:
    """What names an envelope."""
    return reference(mapping(item).get("metadata"), DEFAULT_NAMESPACE)


def prompt_of(item: Any) -> Reference | None:
    """The prompt that an agent's instructions are; `None` when it has none."""
    wanted = mapping(mapping(item).get("spec")).get("instructions")
    return None if wanted is None else reference(wanted, self_of(item).namespace)


def prompt_content(item: Any) -> Any:
    """What a prompt says."""
    return mapping(mapping(item).get("spec")).get("content")


def one_line(item: Any) -> str:
    """A skill or an MCP server in its own words; nothing else of it is kept, since its headers may hold secrets."""
    spec = mapping(mapping(item).get("spec"))
    return summary(text(spec.get("title")) or self_of(item).name, spec.get("description"))


def version_of(registry: str, item: Any, companions: Companions) -> Version | None:
    """What an item is; `None` when it is about to go. Raises `Unreadable`."""
    metadata, spec = mapping(mapping(item).get("metadata")), mapping(item).get("spec")
    if metadata.get("deletionTimestamp"):
        return None
    if not isinstance(spec, dict):
        raise Unreadable
    name, wanted = self_of(item), prompt_of(item)
    prompt = None if wanted is None else companions.prompts.get(wanted)
    entry = RegistryEntry(
        registry,
        name.namespace,
        name.name,
        name.tag,
        hash_of({"spec": spec, "labels": mapping(metadata.get("labels")), "prompt": prompt}),
        labels=labels_of(metadata.get("labels")),
        **_content(spec, prompt, missing=wanted is not None and prompt is None),
        **_uses(spec, name.namespace, companions),
    )
    return Version(entry, moment_of(metadata.get("updatedAt")), latest=name.tag == LATEST)


def _content(spec: Mapping[str, Any], prompt: Any, *, missing: bool) -> dict[str, Any]:
    source, instructions = mapping(spec.get("source")), instructions_of(prompt)
    image = image_of(source.get("image"))
    form: Form = "image" if image else "declarative" if instructions or missing else "other"
    return {
        "title": title_of(spec.get("title")),
        "description": description_of(spec.get("description")),
        "form": form,
        "image": image,
        "protocol": plain(source.get("protocol"), MOST_PROTOCOL_CHARACTERS) or "A2A",
        "instructions": instructions,
        "missing_prompt": missing,
    }


def _uses(spec: Mapping[str, Any], home: str, companions: Companions) -> dict[str, Any]:
    servers = [reference(value, home) for value in items(spec.get("mcpServers"))]
    skills = [reference(value, home) for value in items(spec.get("skills"))]
    told = [companions.skills.get(skill, skill.name) for skill in skills]
    told += [companions.servers.get(server, "") for server in servers]
    return {"tool_servers": tool_servers_of(server.name for server in servers), "skills": skills_of(told)}

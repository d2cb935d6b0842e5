"""May this registry entry be found here, and does the policy let this template take it?"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, RequestGuard, verdict_of
from mcp_agentspawn.core.names import LABEL
from mcp_agentspawn.core.registry import EVERY_NAMESPACE, NAMESPACE, RegistryEntry, Scope
from mcp_agentspawn.core.strict import Strict
from mcp_agentspawn.core.template import Name, Names, Template
from mcp_agentspawn.core.verdict import Reason, Verdict

REPOSITORY = re.compile(rf"({LABEL}(\.{LABEL})+(:[0-9]{{1,5}})?|{LABEL}:[0-9]{{1,5}})(/[a-z0-9]+([._-]+[a-z0-9]+)*)+\Z")
"""A host, known by its dot or port, and a path: short names mean another registry on every node."""
PINNED = re.compile(r"(?P<repository>[^@]+)@sha256:[0-9a-f]{64}\Z")
UNKNOWN = Reason(
    "registry.unknown_entry", "There is no such registry entry for you. Take the handle from a hit.", "registry_entry"
)


def _a_tool(name: str) -> str:
    server, _, tool = name.partition("/")
    if not server or not tool:
        raise ValueError("a tool is named as server/tool")
    return name


def _a_repository(name: str) -> str:
    if not REPOSITORY.match(name):
        raise ValueError(
            "one repository, whole: a host with a dot or a port, and a path; no tag, digest or wildcard, "
            "as in registry.example/acme/reviewer"
        )
    return name


RegistryName = Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")]
NamespaceName = Annotated[str, StringConstraints(pattern=rf"^({NAMESPACE}|\{EVERY_NAMESPACE})$")]
ToolName = Annotated[str, StringConstraints(max_length=512), AfterValidator(_a_tool)]
Repository = Annotated[str, StringConstraints(max_length=255), AfterValidator(_a_repository)]


def no_template(who: str, entry: RegistryEntry) -> Reason:
    """Nothing takes this entry, in a sentence that begins like this."""
    what = "image" if entry.form == "image" else "instructions"
    return Reason("registry.no_template", f"{who} take the {what} of that entry.", "template")


class ScopeRule(Strict):
    """Entries of one registry that callers find: of these namespaces (`*`: every one), with all of these labels.

    `templates` are those that may take them, in order; without any they are found and can not be spawned.
    """

    registry: RegistryName
    namespaces: Annotated[tuple[NamespaceName, ...], Field(strict=False)] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    templates: Names = ()

    @cached_property
    def scope(self) -> Scope:
        """What it says, as a value."""
        return Scope(self.registry, frozenset(self.namespaces), frozenset(self.labels.items()))


class RegistryGuard(RequestGuard):
    """Which registry entries callers find, and what takes them; nothing is found that no rule of `see` names.

    `tools` says for an entry's tool server, by its name, which tools here (`server/tool`) stand for it; a server that
    is not named is not known here. `images` are the repositories, without tag or digest, of images that may run.
    """

    see: Annotated[tuple[ScopeRule, ...], Field(strict=False)] = ()
    tools: dict[Name, Annotated[tuple[ToolName, ...], Field(strict=False)]] = Field(default_factory=dict)
    images: Annotated[tuple[Repository, ...], Field(strict=False)] = ()

    async def check(self, asked: Asked, facts: Facts) -> Verdict:  # noqa: ARG002 - the entry alone decides
        """Deny an entry that is not for this caller or this template, and a template that lacks its entry."""
        return verdict_of(list(self._reasons(asked)))

    @cached_property
    def scopes(self) -> frozenset[Scope]:
        """All that callers find of registries."""
        return frozenset(rule.scope for rule in self.see)

    def sees(self, entry: RegistryEntry) -> bool:
        """Whether callers find this entry."""
        return any(scope.holds(entry) for scope in self.scopes)

    def takers(self, entry: RegistryEntry, templates: Mapping[str, Template]) -> Sequence[Template]:
        """The templates that may take this entry and are made for its form, in the policy's order."""
        names = dict.fromkeys(name for rule in self.see if rule.scope.holds(entry) for name in rule.templates)
        found = [templates[name] for name in names if name in templates]
        return [template for template in found if template.takes == entry.form]

    def tools_for(self, servers: Iterable[str]) -> tuple[str, ...]:
        """The tools here that stand for these tool servers of an entry."""
        return tuple(dict.fromkeys(tool for server in servers for tool in self.tools.get(server, ())))

    def objections(self, entry: RegistryEntry) -> Iterator[Reason]:
        """Everything in an entry that is in the way of any template."""
        if entry.running:
            message = f"It runs already: give the work to {entry.running}."
            yield Reason("registry.running", message, "registry_entry")
        if entry.missing_prompt:
            yield Reason("registry.prompt_missing", "The registry does not hold its instructions.", "registry_entry")
        for server in entry.tool_servers:
            if not self.tools.get(server):
                message = f"Its tool server {server[:64]} is not known here."
                yield Reason("registry.tool_server_unknown", message, "registry_entry")
        if entry.form == "image":
            yield from self._image(entry)
        elif not entry.instructions.strip() and not entry.missing_prompt:
            message = "It holds neither instructions nor an image, so there is nothing to run."
            yield Reason("registry.nothing_to_run", message, "registry_entry")

    def _reasons(self, asked: Asked) -> Iterator[Reason]:
        entry, template = asked.entry, asked.template
        for name in asked.overridden:
            message = "Only the registry entry fills this parameter: leave it out."
            yield Reason("registry.parameter_given", message, f"parameters.{name}")
        if entry is None:
            if template is not None and template.takes:
                message = "This template is filled by a registry entry: search for one and give its handle."
                yield Reason("registry.entry_needed", message, "registry_entry")
        elif not self.sees(entry):
            yield UNKNOWN
        else:
            yield from self.objections(entry)
            if template is not None and entry.form != "other" and not self.takers(entry, {template.name: template}):
                fits = template.takes == entry.form
                yield no_template("The policy does not let this template" if fits else "This template does not", entry)

    def _image(self, entry: RegistryEntry) -> Iterator[Reason]:
        pinned = PINNED.match(entry.image)
        if entry.protocol != "A2A":
            yield Reason("registry.protocol", "Its image does not speak A2A.", "registry_entry")
        if pinned is None:
            message = "Its image is not named by digest, so that nobody knows what would run."
            yield Reason("registry.image_not_pinned", message, "registry_entry")
        elif pinned["repository"] not in self.images:
            yield Reason("registry.image_not_allowed", "Images of this repository may not run here.", "registry_entry")

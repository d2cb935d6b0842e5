"""Do templates and policies fit together? What each file alone can not tell."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from mcp_agentspawn.core.names import LABEL, SUBDOMAIN
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy

OBJECT_NAME = re.compile(rf"{SUBDOMAIN}\Z")
ACCOUNT = re.compile(rf"{LABEL}/{SUBDOMAIN}\Z")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """What does not fit: the kind of file, its name, the part of it, and why."""

    kind: Literal["template", "policy"]
    name: str
    path: Path
    message: str


def misfits(
    templates: Mapping[str, Template], policies: Mapping[str, Policy], registries: Collection[str] | None = None
) -> list[Misfit]:
    """Everything that does not fit; nothing of it makes anything unsafe, but something will always be refused.

    `registries`: the names of those that there are; `None` when that is not known.
    """
    found = [misfit for name, template in templates.items() for misfit in _of_template(name, template, policies)]
    found += [misfit for name, policy in policies.items() for misfit in _of_policy(name, policy, templates)]
    found += [misfit for name, policy in policies.items() for misfit in _of_registry(name, policy, templates)]
    if registries is not None:
        found += unknown_registries(policies, registries)
    return [*found, *overlaps(policies)]


def unknown_registries(policies: Mapping[str, Policy], registries: Collection[str]) -> list[Misfit]:
    """Where policies show a registry that is none of these."""
    there = ", ".join(sorted(registries)) or "none"
    return [
        Misfit(
            "policy",
            name,
            ("registry", "see", index, "registry"),
            f"there is no registry {rule.registry} here; there are: {there}",
        )
        for name, policy in sorted(policies.items())
        for index, rule in enumerate(policy.registry.see)
        if rule.registry not in registries
    ]


def overlaps(policies: Mapping[str, Policy]) -> list[Misfit]:
    """Callers that two policies match: such a caller is refused everything."""
    return [
        misfit for name, other in permutations(sorted(policies), 2) for misfit in _matched_too(name, other, policies)
    ]


def _matched_too(name: str, other: str, policies: Mapping[str, Policy]) -> Iterator[Misfit]:
    """What a policy shares with another; what both name is said of the later one only."""
    callers, others = policies[name].callers, policies[other].callers
    for index, namespace in enumerate(callers.namespaces):
        if name > other and namespace in others.namespaces:
            yield Misfit("policy", name, ("callers", "namespaces", index), f"policy {other} matches it, too")
    for index, account in enumerate(callers.service_accounts):
        named = name > other and account in others.service_accounts
        if named or account.partition("/")[0] in others.namespaces:
            yield Misfit("policy", name, ("callers", "service_accounts", index), f"policy {other} matches it, too")


def _of_template(name: str, template: Template, policies: Mapping[str, Policy]) -> Iterator[Misfit]:
    if not any(name in policy.template.allow for policy in policies.values()):
        yield Misfit("template", name, (), "no policy allows this template")
    elif template.takes and not any(
        name in rule.templates for policy in policies.values() for rule in policy.registry.see
    ):
        yield Misfit("template", name, (), "no policy lets this template take registry entries")
    for index, model in enumerate(template.models):
        if not OBJECT_NAME.match(model):
            yield Misfit("template", name, ("models", index), "no ModelConfig can have this name")
    for server in template.tools:
        if not OBJECT_NAME.match(server):
            yield Misfit("template", name, ("tools", server), "no RemoteMCPServer can have this name")


def _of_registry(name: str, policy: Policy, templates: Mapping[str, Template]) -> Iterator[Misfit]:
    """Where a policy's sections about registries and searches name templates and tools that are not to be had."""
    here = {allowed: templates[allowed] for allowed in policy.template.allow if allowed in templates}
    taking = {taker: template for taker, template in here.items() if template.takes}
    yield from _of_scopes(name, policy, taking)
    yield from _of_tools(name, policy, taking)
    if policy.registry.images and not any(template.takes == "image" for template in taking.values()):
        message = "no template that template.allow lists takes images"
        yield Misfit("policy", name, ("registry", "images"), message)
    for index, route in enumerate(policy.search.routes):
        if route.first not in here or route.first in taking:
            message = "no template that can be found bears this name"
            yield Misfit("policy", name, ("search", "routes", index, "first"), message)


def _of_scopes(name: str, policy: Policy, taking: Mapping[str, Template]) -> Iterator[Misfit]:
    for index, rule in enumerate(policy.registry.see):
        if not rule.namespaces:
            message = "this rule shows nothing: name namespaces of the registry, or '*' for every one"
            yield Misfit("policy", name, ("registry", "see", index), message)
        for place, taker in enumerate(rule.templates):
            if taker not in taking:
                message = "no template that template.allow lists takes registry entries under this name"
                yield Misfit("policy", name, ("registry", "see", index, "templates", place), message)


def _of_tools(name: str, policy: Policy, taking: Mapping[str, Template]) -> Iterator[Misfit]:
    rules = [(server, rule) for template in taking.values() for server, rule in template.tools.items()]
    allowed = {f"{server}/{tool}" for server, rule in rules for tool in rule.allow}
    for server, tools in policy.registry.tools.items():
        for index, tool in enumerate(tools):
            if tool not in allowed:
                message = "no template that takes registry entries allows this tool"
                yield Misfit("policy", name, ("registry", "tools", server, index), message)


def _of_policy(name: str, policy: Policy, templates: Mapping[str, Template]) -> Iterator[Misfit]:
    for index, account in enumerate(policy.callers.service_accounts):
        if not ACCOUNT.match(account):
            yield Misfit("policy", name, ("callers", "service_accounts", index), "must be namespace/account")
    for index, allowed in enumerate(policy.template.allow):
        path = ("template", "allow", index)
        if allowed not in templates:
            yield Misfit("policy", name, path, "there is no such template")
            continue
        if templates[allowed].depth > policy.lineage.most_depth:
            message = f"the template asks for depth {templates[allowed].depth}, and lineage.most_depth is less"
            yield Misfit("policy", name, path, message)
        yield from (Misfit("policy", name, path, message) for message in _of_default_tools(policy, templates[allowed]))


def _of_default_tools(policy: Policy, template: Template) -> Iterator[str]:
    tools = sum(len(rule.default) for rule in template.tools.values())
    if tools > policy.manifest.most_tools:
        yield f"the template gives {tools} tools by default, and manifest.most_tools is {policy.manifest.most_tools}"
    asking = any(set(rule.default) & set(rule.ask_first) for rule in template.tools.values())
    if asking and policy.manifest.tool_approvals == "none":
        yield "the template gives a tool that needs tool approval by default, and manifest.tool_approvals is none"

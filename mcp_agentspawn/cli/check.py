"""`agentspawn check`: are the templates and policies in these folders fit to be served?"""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel

from mcp_agentspawn.adapters.files import Folder, Problem, examine
from mcp_agentspawn.cli import FINDINGS
from mcp_agentspawn.cli.rule_folders import folder_options, line_of
from mcp_agentspawn.core.errors import AgentSpawnError
from mcp_agentspawn.core.model import Caller, Request, Root
from mcp_agentspawn.core.parameters import example
from mcp_agentspawn.core.render import proposal_id, render
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.consistency import misfits

NOBODY = Caller(Root("agents", "example", "subagents"))
PURPOSE = "What agentspawn check renders"

M = TypeVar("M", bound=BaseModel)

RenderSample = Callable[[Template], object]


def render_sample(template: Template) -> object:
    """Render a template with example values. Raises `AgentSpawnError` or `ValueError` when it can not be."""
    properties = template.parameters.get("properties", {})
    request = Request(
        template=template.name,
        purpose=PURPOSE,
        parameters={name: example(schema) for name, schema in properties.items()},
        tools=tuple(f"{server}/{tool}" for server, rule in template.tools.items() for tool in rule.default),
        model=template.default_model,
        lifetime=template.lifetime.default,
    )
    return render(proposal_id(template.name, "example"), NOBODY, request, template, template.hash)


def problems(templates: Folder[Template], policies: Folder[Policy], sample: RenderSample) -> list[Problem]:
    """Everything that is wrong, sorted. What rests on several files is judged when each of them can be read."""
    found = [*templates.problems, *policies.problems, *_unrendered(templates, sample)]
    if not templates.problems and not policies.problems:
        for misfit in misfits(templates.values, policies.values):
            folder: Folder[Template] | Folder[Policy] = templates if misfit.kind == "template" else policies
            found.append(folder.problem(misfit.name, misfit.path, misfit.message))
    return sorted(found)


def _unrendered(templates: Folder[Template], sample: RenderSample) -> Iterator[Problem]:
    for name, template in templates.values.items():
        try:
            sample(template)
        except (AgentSpawnError, ValueError) as error:
            yield templates.problem(name, ("agent",), f"can not be rendered with example values: {error}")


@click.command(short_help="Name every mistake in templates and policies.")
@folder_options
def check(policies: Path, templates: Path) -> None:
    """Parse, lint and render all templates and policies; name every mistake as file:line: key: message.

    Exits with 0 when there is none and with 1 otherwise.
    """
    read_templates, read_policies = examine(templates, Template), examine(policies, Policy)
    found = problems(read_templates, read_policies, render_sample)
    for problem in found:
        click.echo(line_of(problem, {"--policies": policies, "--templates": templates}))
    if found:
        sys.exit(FINDINGS)
    for line in [*_lines(read_templates, _of_template), *_lines(read_policies, _of_policy)]:
        click.echo(line)


def _lines(folder: Folder[M], describe: Callable[[M], str]) -> list[str]:
    return [f"{folder.file(name)}: {describe(value)}" for name, value in sorted(folder.values.items())]


def _of_template(template: Template) -> str:
    tools = sum(len(rule.allow) for rule in template.tools.values())
    most = template.lifetime.most // timedelta(minutes=1)
    once = ", one task" if template.lifetime.one_task else ""
    return f"template, risk {template.risk}, {tools} tools, {len(template.models)} models, at most {most} min{once}"


def _of_policy(policy: Policy) -> str:
    callers = [*(f"{namespace}/*" for namespace in policy.callers.namespaces), *policy.callers.service_accounts]
    return f"policy for {', '.join(callers) or 'nobody'}, allows {', '.join(policy.template.allow) or 'nothing'}"

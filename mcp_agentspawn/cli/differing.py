"""In what a request goes beyond the defaults of its template, in words."""

import json
from collections.abc import Iterator
from datetime import timedelta

from mcp_agentspawn.core.model import Request, Scalar
from mcp_agentspawn.core.template import Template


def differences(request: Request, template: Template) -> Iterator[tuple[str, str]]:
    """Each thing that is not as the template has it when nobody says: what it is, and the difference."""
    yield from _tools(request, template)
    if request.model != template.default_model:
        yield "model", f"{request.model}, by default {template.default_model}"
    if request.lifetime != template.lifetime.default:
        yield "lifetime", f"{minutes(request.lifetime)}, by default {minutes(template.lifetime.default)}"
    for name, value in sorted(request.parameters.items()):
        schema = template.parameters.get("properties", {}).get(name, {})
        if "default" not in schema:
            yield "parameter", f"{name}, which has no default:\n{_written(value)}"
        elif value != schema["default"]:
            yield "parameter", f"{name}, by default {_written(schema['default'])}:\n{_written(value)}"


def minutes(time: timedelta) -> str:
    """A lifetime as people read it."""
    return f"{time.total_seconds() / 60:g} min"


def _tools(request: Request, template: Template) -> Iterator[tuple[str, str]]:
    default = {f"{server}/{name}" for server, rule in template.tools.items() for name in rule.default}
    for tool in sorted(set(request.tools) - default):
        yield "tool more", f"{tool}{_marks(tool, template)}"
    for tool in sorted(default - set(request.tools)):
        yield "tool less", tool


def _marks(tool: str, template: Template) -> str:
    """What the template says of a tool."""
    server, _, name = tool.partition("/")
    rule = template.tools.get(server)
    marks = ["sensitive"] if rule and name in rule.sensitive else []
    marks += ["each call needs tool approval"] if rule and name in rule.ask_first else []
    return f" ({', '.join(marks)})" if marks else ""


def _written(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)

"""From what was typed to what is meant: values by the template's kinds, and every default filled in."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mcp_agentspawn.core.digest import MOST_INTEGER
from mcp_agentspawn.core.guard import Asked
from mcp_agentspawn.core.model import Caller, Request, Scalar
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.template import Template

WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)\Z")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
MOST_DIGITS = 24


@dataclass(frozen=True, slots=True)
class Ask:
    """The arguments of `propose_subagent` as they came; empty or 0 picks the template's default."""

    template: str
    purpose: str
    parameters: Sequence[tuple[str, str]] = ()
    tools: Sequence[str] = ()
    model: str = ""
    lifetime_minutes: int = 0
    registry_entry: str = ""


def resolve(
    caller: Caller,
    ask: Ask,
    template: Template | None,
    entry: RegistryEntry | None = None,
    tools: Iterable[str] = (),
) -> Asked:
    """Fill in what was left out. What can not be read as its kind stays text, for the schema to refuse.

    `entry` is what the registry holds under the handle that was asked for, and `tools` what its tool servers become.
    """
    given = Counter(name for name, _ in ask.parameters)
    request = Request(
        template=ask.template,
        purpose=ask.purpose,
        parameters=_parameters(ask, template, entry),
        tools=tuple(sorted(set(ask.tools) or {*_default_tools(template), *tools})),
        model=ask.model or (template.default_model if template else ""),
        lifetime=_lifetime(ask, template),
        entry=str(entry.handle) if entry else "",
    )
    return Asked(
        caller=caller,
        request=request,
        template=template,
        repeated=tuple(name for name, count in given.items() if count > 1),
        entry=entry,
        overridden=tuple(sorted(given.keys() & template.filled.keys())) if template else (),
    )


def _parameters(ask: Ask, template: Template | None, entry: RegistryEntry | None) -> dict[str, Scalar]:
    properties = template.parameters.get("properties", {}) if template else {}
    defaults = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    given = {name: _typed(text, properties.get(name, {}).get("type")) for name, text in ask.parameters}
    filled = {name: getattr(entry, part) for name, part in template.filled.items()} if template and entry else {}
    return {name: _as_stored(value) for name, value in (defaults | given | filled).items()}


def _as_stored(value: Scalar) -> Scalar:
    """A whole number without a fraction, as the API server will give it back."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= MOST_INTEGER
    return int(value) if whole else value


def _typed(text: str, kind: str | None) -> Scalar:
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if len(text) > MOST_DIGITS:
        return text
    if kind in {"integer", "number"} and WHOLE_NUMBER.match(text):
        return int(text) if abs(int(text)) <= MOST_INTEGER else text
    if kind == "number" and NUMBER.match(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _default_tools(template: Template | None) -> list[str]:
    rules = template.tools.items() if template else ()
    return [f"{server}/{tool}" for server, rule in rules for tool in rule.default]


def _lifetime(ask: Ask, template: Template | None) -> timedelta:
    if ask.lifetime_minutes or template is None:
        return timedelta(minutes=ask.lifetime_minutes)
    return template.lifetime.default

"""Flat JSON Schemas: no `$ref`, `$defs`, `anyOf`, `oneOf` or maps, which kagent's runtimes drop or choke on."""

from collections.abc import Callable
from inspect import Parameter as SignatureParameter
from inspect import signature
from typing import Any, get_type_hints

from pydantic import BaseModel, create_model

from mcp_agentspawn.operations.answers import Answer
from mcp_agentspawn.server.arguments import STRICT
from mcp_agentspawn.server.results import adapter

COMMON = ["outcome", "reasons", "next_step"]
INJECTED = 2


def arguments_of(function: Callable[..., Any]) -> type[BaseModel]:
    """The strict model of a tool's arguments; the first two parameters are injected and are never asked for."""
    hints = get_type_hints(function, include_extras=True)
    asked = list(signature(function).parameters.values())[INJECTED:]
    fields: dict[str, Any] = {parameter.name: (hints[parameter.name], _default(parameter)) for parameter in asked}
    return create_model(function.__name__, __config__=STRICT, **fields)


def input_schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """What a tool takes, flat."""
    return {"properties": {}} | _flat(arguments.model_json_schema())


def output_schema(*kinds: type[Answer]) -> dict[str, Any]:
    """What a tool answers, flat, the fields of all kinds together.

    A refusal has the common ones only: these alone are required.
    """
    schemas = [_flat(adapter(kind).json_schema(mode="serialization")) for kind in kinds]
    properties = {name: field for schema in reversed(schemas) for name, field in schema["properties"].items()}
    return schemas[0] | {"properties": properties, "required": COMMON}


def _default(parameter: SignatureParameter) -> Any:
    return ... if parameter.default is parameter.empty else parameter.default


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs", {})
    flat: dict[str, Any] = _inline(schema, definitions)
    return flat


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]] | {key: node[key] for key in node if key != "$ref"}
    return {key: _inline(value, definitions) for key, value in node.items() if not _is_noise(key, value)}


def _is_noise(key: str, value: Any) -> bool:
    """Generated titles say nothing, and `additionalProperties: true` is what absence means."""
    return (key == "title" and isinstance(value, str)) or (key == "additionalProperties" and value is True)

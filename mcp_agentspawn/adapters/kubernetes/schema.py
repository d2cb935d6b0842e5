"""A CRD's structural schema as JSON Schema in which unknown fields are violations.

The API server prunes what a schema does not list, or refuses it where asked strictly, but its answer names only some
of what is wrong. CEL rules are not in here: the dry run judges those.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import jsonschema_rs
from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.model import Manifest
from mcp_agentspawn.core.ports import Violation

# What OpenAPI 3.0 shares with JSON Schema draft 4, where `exclusiveMinimum` is a boolean too.
# https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
JUDGING = (
    "type", "enum", "required", "pattern", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems",
    "minProperties", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "allOf", "anyOf", "oneOf", "not",
)  # fmt: skip
NULL = {"type": "null"}
COMPLAINTS = {
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} entries",
    "maxProperties": "must have at most {} entries",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "multipleOf": "must be a multiple of {}",
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "pattern": "must match {}",
}


class ManifestSchema:
    """Says where a manifest does not fit one version of a CRD; built once, asked often (about 0.1 ms a manifest)."""

    def __init__(self, structural: Mapping[str, Any]) -> None:
        """`structural` is `spec.versions[].schema.openAPIV3Schema` of the CRD as served."""
        schema = _closed(structural)
        self.hash = digest_of(structural)
        # The API server judges metadata by its own type, and writes the status itself.
        schema.setdefault("properties", {}).update({"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}})
        self._validator = Draft4Validator(schema)
        self._accepting = _accepting(schema)

    def violations(self, manifest: Manifest) -> list[Violation]:
        """Name every place that does not fit, ordered by path, without any value of the manifest."""
        if self._accepting is not None and self._accepting.is_valid(manifest):
            return []
        found = {violation for error in self._validator.iter_errors(manifest) for violation in _violations(error)}
        return sorted(found, key=lambda violation: (violation.path, violation.message))


def served_schema(definition: Mapping[str, Any], version: str) -> ManifestSchema | None:
    """Take the schema of one served version from a CustomResourceDefinition; `None` when it is not served."""
    for item in definition["spec"]["versions"]:
        if item["name"] == version and item["served"]:
            return ManifestSchema(item.get("schema", {}).get("openAPIV3Schema", {}))
    return None


def _closed(node: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a structural schema; where it lists fields and leaves nothing open, others become violations."""
    schema = _judging(node)
    if "properties" in node:
        schema["properties"] = {name: _closed(child) for name, child in node["properties"].items()}
    if "items" in node:
        schema["items"] = _closed(node["items"])
    if isinstance(node.get("additionalProperties"), Mapping):
        schema["additionalProperties"] = _closed(node["additionalProperties"])
    elif _lists_all(node):
        schema["additionalProperties"] = False
    return _nullable(schema) if node.get("nullable") else schema


def _judging(node: Mapping[str, Any]) -> dict[str, Any]:
    schema = {key: node[key] for key in JUDGING if key in node}
    if node.get("x-kubernetes-int-or-string"):
        schema["type"] = ["integer", "string"]
    if "pattern" in schema and not _compiles(schema["pattern"]):
        del schema["pattern"]  # Go's syntax, not Python's: the dry run judges it
    return schema


def _lists_all(node: Mapping[str, Any]) -> bool:
    is_open = node.get("additionalProperties") is True or node.get("x-kubernetes-preserve-unknown-fields") is True
    return "properties" in node and not is_open


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [NULL, schema]}


def _accepting(schema: dict[str, Any]) -> jsonschema_rs.Draft4Validator | None:
    """What says yes quickly; `None` where a pattern is Python's and not Rust's."""
    try:
        return jsonschema_rs.Draft4Validator(schema)
    except jsonschema_rs.ValidationError:
        return None


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _violations(error: ValidationError) -> Iterator[Violation]:
    path, asked, instance = _path(error.absolute_path), cast("Any", error.validator_value), cast("Any", error.instance)
    if error.validator == "additionalProperties":
        known = cast("Any", error.schema)["properties"]
        yield from (Violation(_joined(path, key), "is not a known field") for key in instance if key not in known)
    elif error.validator == "required":
        yield from (Violation(_joined(path, key), "is required") for key in asked if key not in instance)
    elif error.validator == "anyOf" and NULL in asked:
        inner = (cause for cause in error.context or () if cause.schema != NULL)
        yield from (violation for cause in inner for violation in _violations(cause))
    else:
        yield Violation(path, _message(str(error.validator), asked))


def _message(keyword: str, value: Any) -> str:
    shown = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return COMPLAINTS.get(keyword, f"does not fit the schema ({keyword})").format(shown)


def _path(parts: Sequence[str | int]) -> str:
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else _joined(path, part)
    return path


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

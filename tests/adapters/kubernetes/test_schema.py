"""A CRD's schema with unknown fields refused, as strict field validation would."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.adapters.kubernetes.schema import ManifestSchema, served_schema
from tests.guards.cases import rendered

CRD = Path(__file__).parents[3] / "dev" / "kagent-crds" / "agents.yaml"


def found(schema: dict[str, Any], value: Any) -> list[tuple[str, str]]:
    structural = {"type": "object", "properties": {"spec": schema}}
    return [(violation.path, violation.message) for violation in ManifestSchema(structural).violations({"spec": value})]


OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (OBJECT, {"a": "x"}),
        (OBJECT | {"x-kubernetes-preserve-unknown-fields": True}, {"b": 1}),
        (OBJECT | {"additionalProperties": True}, {"b": 1}),
        ({"type": "object"}, {"anything": 1}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"any": 1}),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, "50%"),
        ({"x-kubernetes-int-or-string": True}, 50),
        ({"type": "string", "format": "date-time"}, "whenever"),
        ({"type": "string", "pattern": "^(?P<go>x)\\z$"}, "no Python pattern"),
        ({"type": "string", "pattern": "^(?P<python>x)$"}, "x"),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 2),
        ({"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}]}, {"a": 1}),
    ],
)
def test_what_fits(schema: dict[str, Any], value: Any) -> None:
    assert found(schema, value) == []


@pytest.mark.parametrize(
    ("schema", "value", "path", "message"),
    [
        (OBJECT, {"b": 1}, "spec.b", "is not a known field"),
        (OBJECT, {"a": 1}, "spec.a", "must be of type string"),
        (OBJECT, {"a": None}, "spec.a", "must be of type string"),
        (OBJECT, [], "spec", "must be of type object"),
        (OBJECT | {"required": ["a"]}, {}, "spec.a", "is required"),
        ({"type": "array", "items": OBJECT}, [{"a": "x"}, {"c": 1}], "spec[1].c", "is not a known field"),
        ({"type": "object", "additionalProperties": OBJECT}, {"k": {"c": 1}}, "spec.k.c", "is not a known field"),
        (OBJECT | {"nullable": True}, {"b": 1}, "spec.b", "is not a known field"),
        ({"type": "string", "nullable": True, "enum": ["a"]}, "b", "spec", "must be one of a"),
        ({"x-kubernetes-int-or-string": True}, 1.5, "spec", "must be of type integer, string"),
        ({"type": "integer"}, True, "spec", "must be of type integer"),
        ({"type": "integer"}, "1", "spec", "must be of type integer"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "spec", "must be one of a, b"),
        ({"type": "string", "maxLength": 2}, "abc", "spec", "must have at most 2 characters"),
        ({"type": "string", "pattern": "^a+$"}, "b", "spec", "must match ^a+$"),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1, "spec", "must be at least 1"),
        ({"type": "object", "oneOf": [{"required": ["a"]}]}, {}, "spec", "does not fit the schema (oneOf)"),
    ],
)
def test_what_does_not_fit_is_named(schema: dict[str, Any], value: Any, path: str, message: str) -> None:
    assert found(schema, value) == [(path, message)]


def test_all_is_named_at_once_and_no_value_is_shown() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["x", "y"]}

    said = found(schema, {"a": 12345, "secret": "12345", "more": "12345"})

    assert [path for path, _ in said] == ["spec.a", "spec.more", "spec.secret", "spec.x", "spec.y"]
    assert "12345" not in str(said)


def test_metadata_and_kind_are_the_api_servers_to_judge() -> None:
    closed = ManifestSchema({"type": "object", "properties": {"spec": OBJECT}})

    assert closed.violations({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "labels": {}}}) == []
    assert [violation.path for violation in closed.violations({"data": 1})] == ["data"]


def test_the_installed_crd_of_agents_is_read_without_descriptions() -> None:
    schema = served_schema(yaml.safe_load(CRD.read_text()), "v1alpha2")

    assert schema is not None
    kept: Any = schema._validator.schema
    assert "description" not in kept
    wrong = {"spec": {"type": "BYO", "declarative": {"serviceAccountName": "x"}}}
    assert "spec.declarative.serviceAccountName" in [violation.path for violation in schema.violations(wrong)]


@pytest.mark.parametrize("version", ["v1alpha9", "v1alpha1"])
def test_a_version_that_is_not_served_has_no_schema(version: str) -> None:
    versions = [{"name": "v1alpha1", "served": False}, {"name": "v1alpha2", "served": True}]

    assert served_schema({"spec": {"versions": versions}}, version) is None


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
PLACES = st.sampled_from(
    [
        ("spec", "type"),
        ("spec", "declarative", "runtime"),
        ("spec", "declarative", "modelConfig"),
        ("spec", "declarative", "stream"),
        ("spec", "declarative", "tools", 0, "type"),
        ("spec", "declarative", "tools", 0, "mcpServer", "toolNames"),
        ("spec", "declarative", "tools", 0, "mcpServer", "unknown"),
        ("spec", "declarative", "context", "compaction", "tokenThreshold"),
        ("spec", "byo"),
    ]
)


@cache
def of_agents() -> ManifestSchema:
    schema = served_schema(yaml.safe_load(CRD.read_text(encoding="utf-8")), "v1alpha2")
    assert schema
    return schema


@given(place=PLACES, value=SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS))
def test_what_is_quickly_accepted_is_what_would_be_found_without_violation(place: Any, value: Any) -> None:
    schema = of_agents()
    manifest = deepcopy(dict(rendered().manifest))
    where: Any = manifest
    for step in place[:-1]:
        where = where[step]
    where[place[-1]] = value

    assert schema._accepting
    assert schema._accepting.is_valid(manifest) == (not list(schema._validator.iter_errors(manifest)))

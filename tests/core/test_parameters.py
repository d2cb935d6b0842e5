from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from mcp_agentspawn.core.parameters import Parameters, example, is_free_text

PARAMETERS: TypeAdapter[dict[str, Any]] = TypeAdapter(Parameters)


def accept(**properties: Any) -> dict[str, Any]:
    return PARAMETERS.validate_python({"type": "object", "properties": properties})


def refusals(schema: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        PARAMETERS.validate_python(schema)
    return [(".".join(map(str, error["loc"])), error["type"]) for error in refused.value.errors()]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "maxLength": 10},
        {
            "type": "string",
            "minLength": 2,
            "maxLength": 10,
            "pattern": "^[a-z]+$",
            "default": "abc",
            "examples": ["ab"],
        },
        {"type": "string", "enum": ["a", "b"], "default": "b", "title": "T", "description": "D"},
        {"type": "integer", "minimum": 1, "maximum": 3, "default": 2},
        {"type": "integer", "enum": [1, 2]},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5, "multipleOf": 0.5},
        {"type": "boolean", "default": True},
    ],
)
def test_scalars_are_accepted_and_left_as_they_are(schema: dict[str, Any]) -> None:
    assert accept(x=schema)["properties"]["x"] is schema


@pytest.mark.parametrize(
    ("schema", "where", "code"),
    [
        ({"maxLength": 3}, "", "value_error"),
        ({"type": "array"}, "", "value_error"),
        ({"type": "object"}, "", "value_error"),
        ({"type": "null"}, "", "value_error"),
        ({"type": ["string", "null"], "maxLength": 3}, "", "value_error"),
        ({"type": "string"}, "", "unbounded"),
        ({"type": "string", "maxLength": -1}, "maxLength", "greater_than_equal"),
        ({"type": "string", "maxLength": "3"}, "maxLength", "int_type"),
        ({"type": "string", "maxLength": True}, "maxLength", "int_type"),
        ({"type": "string", "max_length": 3, "maxLength": 3}, "max_length", "extra_forbidden"),
        ({"type": "string", "maxLength": 3, "$ref": "#"}, "$ref", "extra_forbidden"),
        ({"type": "string", "maxLength": 3, "format": "uri"}, "format", "extra_forbidden"),
        ({"type": "string", "maxLength": 3, "anyOf": []}, "anyOf", "extra_forbidden"),
        ({"type": "string", "maxLength": 3, "pattern": "("}, "pattern", "value_error"),
        ({"type": "string", "maxLength": 3, "pattern": "a{99999999999}"}, "pattern", "value_error"),
        ({"type": "string", "maxLength": 3, "pattern": "(?=a)"}, "pattern", "value_error"),
        ({"type": "string", "maxLength": 3, "pattern": r"(a)\1"}, "pattern", "value_error"),
        ({"type": "string", "maxLength": 3, "default": "abcd"}, "", "value_error"),
        ({"type": "string", "maxLength": 3, "default": 1}, "default", "string_type"),
        ({"type": "string", "maxLength": 3, "examples": ["abcd"]}, "", "value_error"),
        ({"type": "string", "maxLength": 3, "from_registry": "title"}, "from_registry", "literal_error"),
        ({"type": "string", "maxLength": 3, "from_registry": "image", "default": ""}, "", "filled"),
        ({"type": "string", "enum": ["a"], "from_registry": "image"}, "", "filled"),
        ({"type": "string", "maxLength": 3, "from_registry": "image", "narrows": True}, "", "filled"),
        ({"type": "integer", "from_registry": "image"}, "from_registry", "extra_forbidden"),
        ({"type": "string", "enum": []}, "enum", "too_short"),
        ({"type": "string", "enum": ["a"], "default": "b"}, "", "value_error"),
        ({"type": "integer", "maxLength": 3}, "maxLength", "extra_forbidden"),
        ({"type": "integer", "minimum": 1, "default": 0}, "", "value_error"),
        ({"type": "integer", "default": 1.5}, "", "value_error"),
        ({"type": "integer", "multipleOf": 0}, "", "value_error"),
        ({"type": "boolean", "enum": [True]}, "enum", "extra_forbidden"),
        ({"type": "boolean", "default": 1}, "default", "bool_type"),
    ],
)
def test_what_does_not_bound_a_scalar_is_refused(schema: dict[str, Any], where: str, code: str) -> None:
    found = refusals({"type": "object", "properties": {"x": schema}})

    assert (".".join(part for part in ("properties", "x", where) if part), code) in found


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({}, "type"),
        ({"type": "string"}, "type"),
        ({"type": "object", "additionalProperties": True}, "additionalProperties"),
        ({"type": "object", "patternProperties": {}}, "patternProperties"),
        ({"type": "object", "allOf": []}, "allOf"),
        ({"type": "object", "required": ["x"]}, "required"),
        ({"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x", "x"]}, "required"),
        ({"type": "object", "properties": {"a-b": {"type": "boolean"}}}, "properties.a-b.[key]"),
        ({"type": "object", "properties": {"x\n": {"type": "boolean"}}}, "properties.x\n.[key]"),
        ({"type": "object", "properties": {"x": []}}, "properties.x"),
    ],
)
def test_the_whole_is_an_object_of_named_scalars(schema: dict[str, Any], where: str) -> None:
    assert where in [place for place, _ in refusals(schema)]


def test_text_is_free_unless_it_is_chosen_from_a_list() -> None:
    assert is_free_text({"type": "string", "maxLength": 3})
    assert not is_free_text({"type": "string", "enum": ["a"]})
    assert not is_free_text({"type": "integer"})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "maxLength": 3}, "exa"),
        ({"type": "string", "minLength": 9, "maxLength": 20}, "example.."),
        ({"type": "string", "maxLength": 20, "default": "given"}, "given"),
        ({"type": "string", "maxLength": 20, "default": "given", "examples": ["shown"]}, "shown"),
        ({"type": "string", "enum": ["a", "b"]}, "a"),
        ({"type": "integer", "minimum": 4}, 4),
        ({"type": "integer", "maximum": -4}, -4),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 2}, 1),
        ({"type": "boolean"}, False),
        ({"type": "boolean", "default": True}, True),
        ({"type": "string", "maxLength": 5, "pattern": "^[0-9]+$"}, "examp"),
    ],
)
def test_an_example_is_what_the_template_says_or_else_the_plainest(schema: dict[str, Any], value: object) -> None:
    assert example(schema) == value


@given(st.integers(0, 40), st.integers(0, 40))
def test_an_example_of_text_fits_its_bounds(one: int, two: int) -> None:
    schema = {"type": "string", "minLength": min(one, two), "maxLength": max(one, two)}

    assert Draft202012Validator(schema).is_valid(example(schema))

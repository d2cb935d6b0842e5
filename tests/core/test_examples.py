"""A template is tried with values that its parameters allow, also where nobody gave an example."""

from typing import Any

import pytest

from mcp_agentspawn.core.parameters import ParameterValidator, example

FITTING: list[tuple[dict[str, Any], object]] = [
    ({"type": "integer"}, 0),
    ({"type": "integer", "minimum": 5}, 5),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 3}, 6),
    ({"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5}, 0.5),
    ({"type": "number", "minimum": 0.5, "multipleOf": 1}, 1),
    ({"type": "boolean"}, False),
    ({"type": "string"}, "example"),
    ({"type": "string", "maxLength": 0}, ""),
    ({"type": "string", "maxLength": 3}, "exa"),
    ({"type": "string", "minLength": 9}, "example.."),
]


@pytest.mark.parametrize(("schema", "value"), FITTING, ids=str)
def test_an_example_fits_its_schema(schema: dict[str, Any], value: object) -> None:
    found = example(schema)

    assert (found, type(found) is bool) == (value, schema["type"] == "boolean")
    assert ParameterValidator(schema).is_valid(found)


def test_where_nothing_fits_the_example_is_nothing() -> None:
    assert example({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}) == 0


def test_a_pattern_that_is_not_matched_is_said_without_the_value() -> None:
    (error,) = ParameterValidator({"type": "string", "pattern": "^a$"}).iter_errors("secret")

    assert error.message == "does not match the pattern"

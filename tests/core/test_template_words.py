"""What is wrong with a template is said in words that its author can act on."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.builders import RESEARCHER, template


def said(**changes: Any) -> list[str]:
    """What is said of a template with these changes."""
    with pytest.raises(ValidationError) as refused:
        template(**changes)
    return [error["msg"].removeprefix("Value error, ") for error in refused.value.errors()]


def with_parameter(schema: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"p": schema}}
    return {"parameters": parameters, "agent": {"description": "x", "instructions": "x"}}


ROLE = {"type": "string", "maxLength": 99, "from_registry": "instructions"}
IMAGE = {"type": "string", "maxLength": 99, "from_registry": "image"}

WORDS: list[tuple[dict[str, Any], str]] = [
    (with_parameter(IMAGE), "the placeholder of the one parameter with from_registry: image"),
    (with_parameter(ROLE), "${p} is filled by a registry entry and stands nowhere here"),
    (
        {
            "parameters": {"type": "object", "properties": {"p": ROLE, "q": ROLE}},
            "agent": {"description": "x", "instructions": "${p}\n${q}"},
        },
        "only one parameter can have from_registry: instructions",
    ),
    (
        with_parameter({"type": "array"}),
        "type must be one of string, integer, number, boolean: parameters are scalars",
    ),
    (
        with_parameter({"type": "number", "multipleOf": 0}),
        "not valid in JSON Schema 2020-12, see multipleOf",
    ),
    (
        with_parameter({"type": "integer", "minimum": 3, "default": 1}),
        "default does not fit the parameter's own schema",
    ),
    (
        {"lifetime": {"default": "0m", "most": "4h"}},
        "a duration is a whole number above 0 and a unit, as in 90s, 30m, 4h or 1d",
    ),
    ({"description": "In ${language}"}, "no placeholder can stand here: they are filled in the agent's texts only"),
    ({"description": " "}, "there must be text here"),
    ({"keywords": ["b", "a", "b", "a"]}, "named more than once: a, b"),
    (
        {"agent": RESEARCHER["agent"] | {"description": "About ${topic}"}},
        "${topic} is free text: it stands alone on a line of the instructions, nowhere else",
    ),
]


@pytest.mark.parametrize(("changes", "words"), WORDS, ids=[words[:30] for _, words in WORDS])
def test_a_problem_is_said_in_these_words(changes: dict[str, Any], words: str) -> None:
    assert said(**changes) == [words]

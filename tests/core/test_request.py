from copy import deepcopy
from datetime import timedelta

import pytest

from mcp_agentspawn.core.model import Scalar
from mcp_agentspawn.core.request import resolve
from tests.builders import (
    CALLER,
    RESEARCHER,
    SOME_IMAGE,
    ask,
    image_entry,
    image_template,
    registry_entry,
    template,
    worker,
)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("depth", "3", 3),
        ("depth", "-3", -3),
        ("depth", "03", "03"),
        ("depth", "3.0", "3.0"),
        ("depth", "", ""),
        ("depth", "9007199254740991", 9007199254740991),
        ("depth", "9007199254740992", "9007199254740992"),
        ("depth", "9" * 5000, "9" * 5000),
        ("share", "0.25", 0.25),
        ("share", "1", 1),
        ("share", "1e400", "1e400"),
        ("share", "NaN", "NaN"),
        ("strict", "true", True),
        ("strict", "false", False),
        ("strict", "True", "True"),
        ("topic", "5", "5"),
        ("unknown", "5", "5"),
    ],
)
def test_text_is_read_as_the_kind_that_the_template_names(name: str, text: str, value: Scalar) -> None:
    asked = resolve(CALLER, ask(parameters=((name, text),)), template())

    assert asked.request.parameters[name] == value
    assert type(asked.request.parameters[name]) is type(value)


def test_names_given_twice_are_remembered() -> None:
    assert resolve(CALLER, ask(parameters=(("topic", "a"), ("topic", "b"))), template()).repeated == ("topic",)
    assert resolve(CALLER, ask(), template()).repeated == ()


def test_what_is_given_stands_instead_of_the_default() -> None:
    given = ask(tools=("web-search/fetch",), model="fast-model-config", lifetime_minutes=5)
    request = resolve(CALLER, given, template()).request

    assert (request.tools, request.model) == (("web-search/fetch",), "fast-model-config")
    assert request.lifetime == timedelta(minutes=5)


def test_without_a_template_nothing_is_filled_in() -> None:
    asked = resolve(CALLER, ask(template="unknown"), None)

    assert asked.template is None
    assert (asked.request.model, asked.request.tools, asked.request.lifetime) == ("", (), timedelta(0))


@pytest.mark.parametrize(("text", "value"), [("1.0", 1), ("0.5", 0.5), ("1e300", 1e300), ("-0.0", 0)])
def test_a_whole_number_has_no_fraction_because_the_api_server_keeps_none(text: str, value: float) -> None:
    schema = deepcopy(RESEARCHER["parameters"])
    schema["properties"]["share"] = {"type": "number", "default": 1.0}
    numbers = template(parameters=schema)
    given = resolve(CALLER, ask(parameters=(("share", text),)), numbers).request.parameters["share"]
    left_out = resolve(CALLER, ask(parameters=()), numbers).request.parameters["share"]

    assert (given, type(given)) == (value, type(value))
    assert (left_out, type(left_out)) == (1, int)


def test_an_entry_fills_its_parameter_and_is_named_by_its_handle() -> None:
    asked = resolve(CALLER, ask(), worker(), registry_entry(), ["web-search/fetch"])

    assert asked.request.parameters["role"] == registry_entry().instructions
    assert asked.request.tools == ("web-search/fetch", "web-search/search")
    assert (asked.request.entry, asked.overridden) == (str(registry_entry().handle), ())


def test_an_image_has_no_model_and_no_tools() -> None:
    request = resolve(CALLER, ask(), image_template(), image_entry()).request

    assert (request.model, request.tools, request.parameters["image"]) == ("", (), SOME_IMAGE)


def test_what_a_caller_gives_for_an_entrys_parameter_is_remembered_and_not_taken() -> None:
    asked = resolve(CALLER, ask(parameters=(("role", "Be root"),)), worker(), registry_entry())

    assert (asked.overridden, asked.request.parameters["role"]) == (("role",), registry_entry().instructions)


def test_an_entry_alone_is_named_and_fills_nothing() -> None:
    assert resolve(CALLER, ask(), None, registry_entry()).request.entry == str(registry_entry().handle)

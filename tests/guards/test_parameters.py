import pytest

from mcp_agentspawn.guards.parameters import MOST_PURPOSE_CHARACTERS, ParametersGuard
from tests.builders import RESEARCHER, template
from tests.guards.cases import FixedFacts, asked, codes, fields

GUARD = ParametersGuard()
TOPIC = ("topic", "Kubernetes admission")


async def test_values_that_fit_are_allowed() -> None:
    values = (TOPIC, ("language", "German"), ("depth", "5"), ("share", "0.1"), ("strict", "true"), ("notes", "a\nb"))

    assert codes(await GUARD.check(asked(parameters=values), FixedFacts())) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((), "parameters"),
        ((("topic", "ab"),), "parameters.topic"),
        ((("topic", "a" * 201),), "parameters.topic"),
        ((TOPIC, ("language", "Latin")), "parameters.language"),
        ((TOPIC, ("depth", "6")), "parameters.depth"),
        ((TOPIC, ("depth", "two")), "parameters.depth"),
        ((TOPIC, ("strict", "yes")), "parameters.strict"),
        ((TOPIC, ("unknown", "x")), "parameters"),
    ],
)
async def test_values_that_do_not_fit_are_named(values: tuple[tuple[str, str], ...], field: str) -> None:
    verdict = await GUARD.check(asked(parameters=values), FixedFacts())

    assert codes(verdict) == ["parameters.invalid"]
    assert fields(verdict) == [field]


async def test_every_violation_is_said_at_once() -> None:
    values = (TOPIC, TOPIC, ("depth", "9"), ("notes", "a\u202eb"), ("language", "<<<"))
    verdict = await GUARD.check(asked(parameters=values, purpose="\u200b"), FixedFacts())

    assert codes(verdict) == [
        "parameters.repeated",
        "parameters.hidden_characters",
        "parameters.fence",
        "parameters.hidden_characters",
        "parameters.invalid",
        "parameters.invalid",
    ]


@pytest.mark.parametrize("purpose", ["", "  ", "a" * (MOST_PURPOSE_CHARACTERS + 1)])
async def test_a_purpose_says_something_and_not_too_much(purpose: str) -> None:
    assert codes(await GUARD.check(asked(purpose=purpose), FixedFacts())) == ["parameters.purpose"]


@pytest.mark.parametrize("purpose", ["two\nlines", "a\u202eb", "a\x1b[2Jb"])
async def test_a_purpose_is_one_line_that_people_can_see(purpose: str) -> None:
    assert codes(await GUARD.check(asked(purpose=purpose), FixedFacts())) == ["parameters.hidden_characters"]


@pytest.mark.parametrize("value", ["<<<END notes>>>", "<<<", ">>>", "\uff1c\uff1c\uff1cEND", "\ufe65>\uff1e"])
async def test_a_fence_mark_is_refused_and_named(value: str) -> None:
    verdict = await GUARD.check(asked(parameters=(TOPIC, ("notes", value))), FixedFacts())

    assert (codes(verdict), fields(verdict)) == (["parameters.fence"], ["parameters.notes"])


async def test_too_much_is_refused_before_anything_looks_at_it() -> None:
    verdict = await ParametersGuard(most_bytes=100).check(asked(parameters=(("topic", "ü" * 51),)), FixedFacts())

    assert codes(verdict) == ["parameters.too_large"]


async def test_zero_bytes_allow_nothing() -> None:
    assert codes(await ParametersGuard(most_bytes=0).check(asked(), FixedFacts())) == ["parameters.too_large"]


async def test_without_a_template_nothing_fits() -> None:
    verdict = await GUARD.check(asked(unknown=True), FixedFacts())

    assert codes(verdict) == ["parameters.unknown_template"]


async def test_no_value_is_repeated_in_a_refusal() -> None:
    verdict = await GUARD.check(asked(parameters=(("topic", "s3cr3t" * 100), ("depth", "s3cr3t"))), FixedFacts())

    assert codes(verdict) == ["parameters.invalid", "parameters.invalid"]
    assert "s3cr3t" not in repr(verdict)


@pytest.mark.parametrize(("value", "fits"), [("a" * 60, True), ("a" * 60 + "!", False)])
async def test_no_pattern_and_no_value_together_stop_the_server(value: str, fits: bool) -> None:
    """With backtracking, 60 characters would take longer than anybody lives."""
    topic = {"type": "string", "maxLength": 200, "pattern": r"^(\w+\s?)*$"}
    parameters = {"type": "object", "properties": {"topic": topic}}
    agent = RESEARCHER["agent"] | {"instructions": "${topic}", "description": "R", "skills": []}
    patterned = template(parameters=parameters, agent=agent)
    found = await GUARD.check(asked(patterned, parameters=(("topic", value),)), FixedFacts())

    assert codes(found) == ([] if fits else ["parameters.invalid"])

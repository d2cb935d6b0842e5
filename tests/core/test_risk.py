from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.model import Risk
from mcp_agentspawn.core.request import resolve
from mcp_agentspawn.core.risk import highest, raised_by, risk_of
from tests.builders import CALLER, RESEARCHER, ask, image_entry, image_template, registry_entry, template, worker

SENSITIVE = {"web-search": {**RESEARCHER["tools"]["web-search"], "sensitive": ["fetch"]}}
LONG = timedelta(hours=1)


def risk(known: dict[str, Any] | None = None, *, at_least: Risk = "low", **changes: Any) -> Risk:
    blueprint = template(**(known or {}))
    return risk_of(blueprint, resolve(CALLER, ask(**changes), blueprint).request, at_least=at_least, long_life=LONG)


@pytest.mark.parametrize("own", ["low", "medium", "high"])
def test_a_risk_is_the_templates(own: Risk) -> None:
    assert risk({"risk": own}) == own


@pytest.mark.parametrize(("at_least", "expected"), [("low", "low"), ("medium", "medium"), ("high", "high")])
def test_a_policy_says_the_least_risk_of_all(at_least: Risk, expected: Risk) -> None:
    assert risk(at_least=at_least) == expected
    assert risk({"risk": "high"}, at_least=at_least) == "high"


def test_each_thing_that_raises_it_raises_it_one_tier_up_to_the_highest() -> None:
    sensitive = {"tools": SENSITIVE}

    assert risk(sensitive, tools=("web-search/search",)) == "low"
    assert risk(sensitive, tools=("web-search/fetch",)) == "medium"
    assert risk({"depth": 1}) == "medium"
    assert risk(lifetime_minutes=60) == "low"
    assert risk(lifetime_minutes=61) == "medium"
    assert risk({**sensitive, "depth": 1}, tools=("web-search/fetch",)) == "high"
    assert risk({**sensitive, "depth": 1}, tools=("web-search/fetch",), lifetime_minutes=61) == "high"


def test_a_tool_of_a_server_that_the_template_does_not_know_raises_nothing() -> None:
    assert risk(tools=("other/fetch", "fetch", "")) == "low"


def test_what_raises_a_risk_is_said_in_words() -> None:
    blueprint = template(depth=1, tools=SENSITIVE)
    request = resolve(CALLER, ask(tools=("web-search/fetch",), lifetime_minutes=61), blueprint).request

    assert raised_by(blueprint, request, long_life=LONG) == (
        "asks for tools that the template marks as sensitive",
        "may spawn agents itself",
        "lives longer than 60 minutes",
    )


def test_the_highest_of_no_risks_is_low() -> None:
    assert highest() == "low"
    assert highest("low", "high", "medium") == "high"


def test_what_a_registry_says_asks_at_least_one_person_and_an_image_two() -> None:
    for known, entry, expected in ((worker(), registry_entry(), "medium"), (image_template(), image_entry(), "high")):
        request = resolve(CALLER, ask(), known, entry).request

        assert risk_of(known, request, at_least="low", long_life=LONG) == expected


def test_an_entry_asks_a_person_whatever_the_template_and_a_template_for_entries_whatever_the_entry() -> None:
    request = resolve(CALLER, ask(), template(), registry_entry()).request
    assert risk_of(template(), request, at_least="low", long_life=LONG) == "medium"

    request = resolve(CALLER, ask(), worker()).request
    assert risk_of(worker(), request, at_least="low", long_life=LONG) == "medium"


def test_what_raises_a_risk_raises_that_of_an_entry_too() -> None:
    known = worker(depth=1)

    assert (
        risk_of(known, resolve(CALLER, ask(), known, registry_entry()).request, at_least="low", long_life=LONG)
        == "high"
    )

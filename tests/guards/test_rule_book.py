from dataclasses import replace

import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.guard import Asked, LedgerGuard
from mcp_agentspawn.core.registry import Blueprint, Route, Scope, View
from mcp_agentspawn.guards import Callers, Policy
from mcp_agentspawn.operations.services import Rules
from tests.builders import (
    CALLER,
    NOON,
    OTHER,
    ROOT,
    SEES_MAIN,
    guard_names,
    image_template,
    policy,
    template,
    worker,
)
from tests.guards.cases import FixedFacts, asked, codes, ledger, rendered


def test_every_guard_of_the_model_is_asked_in_its_declared_order() -> None:
    case, facts = rendered(), FixedFacts()
    questions = {
        **policy().before_rendering(asked(), facts, "propose"),
        **policy().once_rendered(case, facts, "propose"),
    }

    assert list(questions) == guard_names()


async def test_before_a_registry_is_read_those_before_its_guard_are_asked() -> None:
    questions = policy().before_reading(asked(), FixedFacts(granted=False), "propose")

    assert list(questions) == guard_names()[: guard_names().index("registry")] == ["freeze", "template"]
    assert codes(await questions["freeze"]()) == []
    assert codes(await questions["template"]()) == ["template.not_allowed"]


def test_what_a_policy_shows_are_its_scopes_its_routes_and_what_stands_on_its_own() -> None:
    route = {"words": ["log", "logs"], "first": "researcher"}
    allow = {"allow": ["researcher", "registry-worker", "registry-image", "gone"]}
    shown = policy(template=allow, registry=SEES_MAIN, search={"routes": [route]})
    templates = {one.name: one for one in (template(), template("other"), worker(), image_template())}

    assert shown.view(templates) == View(
        frozenset({Scope("main", frozenset({"default"}))}),
        (Blueprint("researcher", template().description, tuple(template().keywords)),),
        (Route(("log", "logs"), "researcher"),),
    )
    assert policy(template={}).view(templates) == View()


def test_templates_are_shown_by_name() -> None:
    allow = {"allow": ["b", "researcher", "a"]}
    templates = {name: template(name) for name in ("researcher", "b", "a")}

    assert [one.name for one in policy(template=allow).view(templates).blueprints] == ["a", "b", "researcher"]


def test_all_but_the_dry_run_are_asked_again_at_apply() -> None:
    assert set(policy().guards("propose")) - set(policy().guards("apply")) == {"access"}


def test_a_reserved_place_is_not_asked_for_again() -> None:
    book = policy()
    questions = book.once_rendered(rendered(), FixedFacts(), "apply", reserved=True)
    ledger_guards = {name for name, guard in book.guards("apply").items() if isinstance(guard, LedgerGuard)}

    assert not ledger_guards & questions.keys()


def test_room_is_what_the_guards_of_the_ledger_say() -> None:
    book = policy(quota={"open_proposals": 1}, rate={"changes_per_minute": 1})

    assert book.room("propose", CALLER, ledger(), NOON).outcome == "allowed"
    full = book.room("propose", CALLER, ledger(opened=1, changes=1), NOON)
    assert [reason.code for reason in full.reasons] == ["rate.changes_per_minute", "quota.open_proposals"]


async def test_an_empty_policy_allows_nobody_and_nothing() -> None:
    empty = Policy()

    assert not empty.callers.match(ROOT)
    question = empty.before_rendering(asked(), FixedFacts(), "propose")["template"]
    assert repr(await question()).startswith("Deny")


@pytest.mark.parametrize("section", ["registries", "searches", "surprise"])
def test_a_section_that_does_not_exist_is_an_error(section: str) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({section: {}})


@pytest.mark.parametrize("value", [None, "5", 5.0, True, -1])
def test_a_limit_is_a_whole_number_and_never_nothing(value: object) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({"quota": {"live_per_root": value}})


@pytest.mark.parametrize(
    ("callers", "matches"),
    [
        (Callers(), False),
        (Callers(namespaces=("agents",)), True),
        (Callers(service_accounts=("agents/orchestrator",)), True),
        (Callers(service_accounts=("agents/other",)), False),
        (Callers(namespaces=("agent",)), False),
        (Callers(namespaces=("*",)), False),
    ],
)
def test_a_policy_is_for_whom_it_names(callers: Callers, matches: bool) -> None:
    assert callers.match(ROOT) is matches


def test_exactly_one_policy_is_for_a_caller() -> None:
    one, two = policy(), policy(callers={"service_accounts": ["agents/orchestrator"]})

    assert Rules({}, {"one": one}).policy_for(ROOT) == one
    assert Rules({}, {"one": one, "two": two}).policy_for(ROOT) is None
    assert Rules({}, {"one": one, "two": two}).policy_for(OTHER) == one
    assert Rules({}, {}).policy_for(ROOT) is None


def test_what_is_asked_can_be_rebuilt_from_what_was_stored() -> None:
    assert replace(asked()) == Asked(CALLER, asked().request, asked().template)

from typing import Any

import pytest

from mcp_agentspawn.core.template import Template
from mcp_agentspawn.guards import Policy, Search
from mcp_agentspawn.operations.consistency import Misfit, misfits, overlaps
from tests.builders import policy, template, worker


def callers(*namespaces: str, accounts: tuple[str, ...] = ()) -> Policy:
    return policy(callers={"namespaces": namespaces, "service_accounts": accounts})


def of(templates: dict[str, Template], policies: dict[str, Policy]) -> set[tuple[str, str, Any]]:
    return {(misfit.kind, misfit.name, misfit.path) for misfit in misfits(templates, policies)}


def test_what_fits_together_has_no_misfit() -> None:
    assert misfits({"researcher": template()}, {"default": policy()}) == []


def test_a_template_that_nobody_may_use_is_a_misfit() -> None:
    other = template("verifier")

    assert of({"researcher": template(), "verifier": other}, {"default": policy()}) == {("template", "verifier", ())}


def test_a_policy_that_allows_an_unknown_template_is_a_misfit() -> None:
    allowing = policy(template={"allow": ["researcher", "reseacher"]})

    assert of({"researcher": template()}, {"default": allowing}) == {("policy", "default", ("template", "allow", 1))}


@pytest.mark.parametrize(("most", "fits"), [(0, False), (1, True)])
def test_default_tools_beyond_the_policy_s_limit_are_a_misfit(most: int, fits: bool) -> None:
    limited = policy(manifest={"most_tools": most})

    assert (of({"researcher": template()}, {"default": limited}) == set()) is fits


@pytest.mark.parametrize(
    ("default", "who", "fits"), [("fetch", "none", False), ("fetch", "people", True), ("search", "none", True)]
)
def test_a_default_tool_that_nobody_answers_for_is_a_misfit(default: str, who: str, fits: bool) -> None:
    asking = template(
        tools={"web-search": {"allow": ["search", "fetch"], "default": [default], "ask_first": ["fetch"]}}
    )

    assert (of({"researcher": asking}, {"default": policy(manifest={"tool_approvals": who})}) == set()) is fits


@pytest.mark.parametrize("name", ["Default", "a_b", "-a", "a-", "a."])
def test_a_model_or_server_that_no_object_can_be_named_after_is_a_misfit(name: str) -> None:
    odd = template(models=["fine", name], tools={name: {"allow": ["x"]}})

    assert of({"researcher": odd}, {"default": policy()}) == {
        ("template", "researcher", ("models", 1)),
        ("template", "researcher", ("tools", name)),
    }


def test_a_template_deeper_than_the_policy_allows_is_a_misfit() -> None:
    deep = {"researcher": template(depth=1)}

    assert of(deep, {"default": policy()}) == {("policy", "default", ("template", "allow", 0))}
    assert of(deep, {"default": policy(lineage={"most_depth": 1})}) == set()


@pytest.mark.parametrize("account", ["orchestrator", "agents/", "/a", "agents/a/b", "a.b/c", "agents/*"])
def test_an_account_that_is_no_account_is_a_misfit(account: str) -> None:
    odd = callers(accounts=("agents/fine", account))

    assert of({"researcher": template()}, {"default": odd}) == {
        ("policy", "default", ("callers", "service_accounts", 1))
    }


@pytest.mark.parametrize(
    ("one", "two", "found"),
    [
        (callers("a"), callers("b"), []),
        (callers(), callers(), []),
        (callers("a"), callers("b", "a"), [("two", ("callers", "namespaces", 1))]),
        (callers("a"), callers(accounts=("b/x", "a/x")), [("two", ("callers", "service_accounts", 1))]),
        (callers(accounts=("a/x",)), callers("a"), [("one", ("callers", "service_accounts", 0))]),
        (callers(accounts=("a/x",)), callers(accounts=("a/x",)), [("two", ("callers", "service_accounts", 0))]),
        (callers(accounts=("a/x",)), callers(accounts=("a/y",)), []),
        (callers("a", accounts=("a/x",)), callers("b"), []),
    ],
)
def test_a_caller_that_two_policies_match_is_named_once(
    one: Policy, two: Policy, found: list[tuple[str, tuple[str | int, ...]]]
) -> None:
    assert [(misfit.name, misfit.path) for misfit in overlaps({"one": one, "two": two})] == found


def test_overlaps_are_misfits_too() -> None:
    policies = {"one": policy(), "two": policy()}

    assert misfits({"researcher": template()}, policies) == overlaps(policies)
    assert isinstance(overlaps(policies)[0], Misfit)


def with_registry(**registry: Any) -> dict[str, Policy]:
    rule = {"registry": "main", "namespaces": ["default"], "templates": ["registry-worker"]}
    allow = {"allow": ["researcher", "registry-worker"]}
    return {"default": policy(template=allow, registry={"see": [rule]} | registry)}


TAKING = {"researcher": template(), "registry-worker": worker()}


def test_a_template_that_takes_entries_is_given_some() -> None:
    assert of(TAKING, with_registry(tools={"fetch": ["web-search/fetch"]})) == set()
    assert of(TAKING, with_registry(see=[])) == {("template", "registry-worker", ())}


@pytest.mark.parametrize("taker", ["researcher", "registry-workers", "gone"])
def test_only_a_template_that_takes_entries_is_given_some(taker: str) -> None:
    rules = with_registry(
        see=[{"registry": "main", "namespaces": ["default"], "templates": ["registry-worker", taker]}]
    )

    assert of(TAKING, rules) == {("policy", "default", ("registry", "see", 0, "templates", 1))}


@pytest.mark.parametrize("tool", ["web-search/delete", "other/fetch"])
def test_a_tool_that_no_taking_template_allows_is_a_misfit(tool: str) -> None:
    rules = with_registry(tools={"fetch": ["web-search/fetch", tool]})

    assert of(TAKING, rules) == {("policy", "default", ("registry", "tools", "fetch", 1))}


@pytest.mark.parametrize(("first", "fits"), [("researcher", True), ("registry-worker", False), ("gone", False)])
def test_a_route_leads_to_a_template_that_can_be_found(first: str, fits: bool) -> None:
    rules = with_registry()
    route = {"routes": [{"words": ["log"], "first": first}]}
    rules["default"] = rules["default"].model_copy(update={"search": Search.model_validate(route)})

    assert (of(TAKING, rules) == set()) is fits


def test_a_rule_that_names_no_namespace_shows_nothing() -> None:
    rules = with_registry(see=[{"registry": "main", "templates": ["registry-worker"]}])

    assert of(TAKING, rules) == {("policy", "default", ("registry", "see", 0))}


def test_images_that_no_template_takes_are_a_misfit() -> None:
    assert of(TAKING, with_registry(images=["registry.example/a/b"])) == {("policy", "default", ("registry", "images"))}


@pytest.mark.parametrize(("there", "fits"), [(["main"], True), (["mian"], False), ([], False)])
def test_a_registry_that_is_not_there_is_a_misfit_where_that_is_known(there: list[str], fits: bool) -> None:
    found = misfits(TAKING, with_registry(), there)

    assert ([misfit.path for misfit in found] == []) is fits
    assert misfits(TAKING, with_registry()) == []

from typing import Any

import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.guards.registry import RegistryGuard
from tests.builders import SEES_MAIN, SOME_IMAGE, image_entry, image_template, registry_entry, template, worker
from tests.guards.cases import FixedFacts, asked, codes

DIGEST = SOME_IMAGE.partition("@")[2]
SEEING = RegistryGuard.model_validate(SEES_MAIN)


def seeing(**changes: Any) -> RegistryGuard:
    """The guard with another rule of what is seen."""
    rule = {"registry": "main", "namespaces": ["default"], "templates": ["registry-worker"]} | changes
    return RegistryGuard.model_validate({"see": [rule]})


async def said(guard: RegistryGuard, entry: RegistryEntry) -> list[str]:
    known = image_template() if entry.form == "image" else worker()
    return codes(await guard.check(asked(known, entry=entry), FixedFacts()))


async def test_a_request_without_an_entry_is_none_of_its_business() -> None:
    assert codes(await RegistryGuard().check(asked(), FixedFacts())) == []


async def test_a_request_without_a_template_is_refused_by_another() -> None:
    assert codes(await SEEING.check(asked(unknown=True, entry=registry_entry()), FixedFacts())) == []


@pytest.mark.parametrize("entry", [registry_entry(), image_entry(), registry_entry(tool_servers=("fetch",))])
async def test_an_entry_that_a_rule_shows_and_gives_to_the_template_may_be_used(entry: RegistryEntry) -> None:
    assert await said(SEEING, entry) == []


@pytest.mark.parametrize(
    "guard",
    [
        RegistryGuard(),
        seeing(registry="other"),
        seeing(namespaces=[]),
        seeing(namespaces=["team-a"]),
        seeing(labels={"tier": "approved"}),
        seeing(labels={"team": "docs", "tier": "approved"}),
        seeing(labels={"team": ""}),
    ],
)
async def test_what_no_rule_shows_is_answered_like_what_is_not_there(guard: RegistryGuard) -> None:
    running = registry_entry(running="kagent/it", tool_servers=("unknown",))

    assert await said(guard, running) == ["registry.unknown_entry"]


@pytest.mark.parametrize("guard", [seeing(namespaces=["*"]), seeing(labels={"team": "docs"})])
async def test_every_namespace_and_labels_can_be_named(guard: RegistryGuard) -> None:
    assert await said(guard, registry_entry()) == []


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (registry_entry(running="kagent/summarizer"), "registry.running"),
        (registry_entry(missing_prompt=True, instructions=""), "registry.prompt_missing"),
        (registry_entry(tool_servers=("fetch", "jira")), "registry.tool_server_unknown"),
        (image_entry(protocol="HTTP"), "registry.protocol"),
        (image_entry(image="registry.example/agents/other@" + DIGEST), "registry.image_not_allowed"),
        (image_entry(image="registry.example/agents/summarizer-evil@" + DIGEST), "registry.image_not_allowed"),
        (image_entry(image="registry.example/agents/summarizer/x@" + DIGEST), "registry.image_not_allowed"),
        (image_entry(image="registry.example/agents/summarizer:1.0@" + DIGEST), "registry.image_not_allowed"),
        (image_entry(image="REGISTRY.example/agents/summarizer@" + DIGEST), "registry.image_not_allowed"),
        (image_entry(image="registry.example/agents/summarizer:1.0"), "registry.image_not_pinned"),
        (image_entry(image="registry.example/agents/summarizer"), "registry.image_not_pinned"),
        (image_entry(image=SOME_IMAGE + "\n"), "registry.image_not_pinned"),
        (image_entry(image=SOME_IMAGE[:-1]), "registry.image_not_pinned"),
        (image_entry(image=SOME_IMAGE.replace("sha256", "SHA256")), "registry.image_not_pinned"),
    ],
)
async def test_what_stands_in_the_way_of_an_entry_is_named(entry: RegistryEntry, code: str) -> None:
    assert await said(SEEING, entry) == [code]


async def test_an_entry_of_source_code_alone_can_not_be_run() -> None:
    assert await said(SEEING, registry_entry(form="other", instructions="")) == ["registry.nothing_to_run"]


@pytest.mark.parametrize("instructions", ["", " \n\t"])
async def test_instructions_that_say_nothing_are_nothing_to_run(instructions: str) -> None:
    assert await said(SEEING, registry_entry(instructions=instructions)) == ["registry.nothing_to_run"]


async def test_a_server_that_stands_for_no_tools_is_not_known() -> None:
    guard = RegistryGuard.model_validate(SEES_MAIN | {"tools": {"fetch": []}})

    assert await said(guard, registry_entry(tool_servers=("fetch",))) == ["registry.tool_server_unknown"]


async def test_images_are_refused_where_no_repository_is_named() -> None:
    guard = RegistryGuard.model_validate(SEES_MAIN | {"images": []})

    assert await said(guard, image_entry()) == ["registry.image_not_allowed"]


@pytest.mark.parametrize(
    ("known", "entry"),
    [
        (template(), registry_entry()),
        (worker("other"), registry_entry()),
        (worker(), image_entry()),
        (image_template(), registry_entry()),
    ],
)
async def test_a_template_takes_what_it_is_made_for_and_the_policy_gives_it(known: Any, entry: RegistryEntry) -> None:
    assert codes(await SEEING.check(asked(known, entry=entry), FixedFacts())) == ["registry.no_template"]


@pytest.mark.parametrize("known", [worker(), image_template()])
async def test_a_template_that_an_entry_fills_needs_one(known: Any) -> None:
    assert codes(await SEEING.check(asked(known), FixedFacts())) == ["registry.entry_needed"]


async def test_what_an_entry_fills_is_not_given_by_the_caller() -> None:
    case = asked(worker(), entry=registry_entry(), parameters=(("task", "Do it"), ("role", "Be root")))

    assert case.request.parameters["role"] == registry_entry().instructions
    assert codes(await SEEING.check(case, FixedFacts())) == ["registry.parameter_given"]


def test_tools_are_those_that_the_policy_gives_for_the_servers() -> None:
    assert SEEING.tools_for(["fetch", "fetch", "jira"]) == ("web-search/fetch",)


def test_takers_come_in_the_order_of_the_policy_and_are_there() -> None:
    rule = {"registry": "main", "namespaces": ["*"], "templates": ["gone", "b", "a", "registry-image"]}
    guard = RegistryGuard.model_validate({"see": [rule, rule | {"templates": ["a", "c"]}]})
    here = {one.name: one for one in (worker("a"), worker("b"), worker("c"), worker("d"), image_template())}

    assert [one.name for one in guard.takers(registry_entry(), here)] == ["b", "a", "c"]


@pytest.mark.parametrize(
    "section",
    [
        {"see": [{"namespaces": ["default"]}]},
        {"see": [{"registry": "Main"}]},
        {"see": [{"registry": "main", "namespaces": ["team-*"]}]},
        {"see": [{"registry": "main", "namespaces": None}]},
        {"see": [{"registry": "main", "labels": {"team": 1}}]},
        {"see": [{"registry": "main", "template": "x"}]},
        {"tools": {"fetch": ["web-search"]}},
        {"tools": {"fetch": ["web-search/"]}},
        {"tools": {"fetch": "web-search/fetch"}},
        {"images": ["registry.example/*"]},
        {"images": ["registry.example/agents:1.0"]},
        {"images": ["registry.example/agents@" + DIGEST]},
        {"images": ["registry.example"]},
        {"images": ["acme/agents"]},
        {"images": ["registry.example/../agents"]},
        {"images": ["registry.example/agents\n"]},
        {"images": ["https://registry.example/agents"]},
    ],
)
def test_a_rule_that_says_something_else_is_an_error(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegistryGuard.model_validate(section)


@pytest.mark.parametrize("repository", ["registry.example/agents", "localhost:5000/team_a/agent-b", "ghcr.io/a/b/c.d"])
def test_repositories_are_named_whole(repository: str) -> None:
    assert RegistryGuard.model_validate({"images": [repository]}).images == (repository,)

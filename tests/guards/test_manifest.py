from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Root, ToolSelection
from mcp_agentspawn.guards.manifest import ManifestInvariants
from tests.builders import OTHER, ROOT, SOME_IMAGE, registry_entry, template
from tests.guards.cases import FixedFacts, codes, image_rendered, lineage, rendered

GUARD = ManifestInvariants()
SEARCH = ToolSelection("web-search", ("search",))


async def judge(agent: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    return codes(await GUARD.check(rendered(agent, **changes), FixedFacts()))


async def test_what_the_template_allows_is_allowed() -> None:
    both = ("web-search/search", "web-search/fetch")

    assert await judge() == []
    assert await judge(tools=both, model="fast-model-config", lifetime_minutes=240) == []


@pytest.mark.parametrize("id_", ["sub-other", "agentspawn", "SUB-A", "sub-", "sub-" + "a" * 40])
async def test_an_agent_bears_the_id_of_its_proposal(id_: str) -> None:
    assert await judge({"id": id_}) == ["manifest.name"]


@pytest.mark.parametrize(
    "stamp", [{"root": OTHER}, {"root": Root(ROOT.namespace, ROOT.account, "kagent")}, {"parent": "sub-b"}]
)
async def test_an_agent_is_stamped_with_its_caller_and_lives_in_its_namespace(stamp: dict[str, Any]) -> None:
    assert await judge(lineage(**stamp)) == ["manifest.owner"]


async def test_an_agent_is_stamped_with_its_template() -> None:
    assert await judge(lineage(template="verifier")) == ["manifest.template"]


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(minutes=-1), timedelta(minutes=241)])
async def test_a_lifetime_ends_and_ends_in_time(lifetime: timedelta) -> None:
    assert await judge(lineage(lifetime=lifetime)) == ["manifest.lifetime"]


@pytest.mark.parametrize("model", ["gpt-9", "default-model-config ", "Default-Model-Config", ""])
async def test_a_model_is_one_of_the_templates_by_its_exact_name(model: str) -> None:
    assert await judge({"model": model}) == ["manifest.model_not_allowed"]


@pytest.mark.parametrize(
    "tool",
    ["web-search/*", "web-search/Search", "web-search/search ", "web-search/", "web-search", "k8s/apply", "/search"],
)
async def test_a_tool_is_one_of_the_templates_by_its_exact_name(tool: str) -> None:
    assert await judge(tools=(tool,)) == ["manifest.tool_not_allowed"]


async def test_without_depth_left_no_subagent_holds_a_spawn_tool() -> None:
    spawning = {"tools": (ToolSelection("agentspawn", ("propose_subagent",)),)}

    assert await judge(spawning) == ["manifest.tool_not_allowed"]


async def test_an_agent_is_stamped_with_the_depth_that_it_is_granted() -> None:
    assert await judge(lineage(depth=1)) == ["manifest.depth"]


async def test_no_tools_named_would_be_all_tools() -> None:
    assert await judge({"tools": (ToolSelection("web-search", ()),)}) == ["manifest.no_tools_named"]


async def test_a_tool_that_needs_tool_approval_keeps_it() -> None:
    assert await judge({"tools": (ToolSelection("web-search", ("fetch",)),)}) == ["manifest.tool_approval"]
    assert await judge({"tools": (ToolSelection("web-search", ("fetch", "search"), ("fetch", "search")),)}) == []


@pytest.mark.parametrize(
    ("tool", "who", "refused"),
    [
        ("fetch", "none", ["manifest.tool_approval_unanswerable"]),
        ("fetch", "people", []),
        ("search", "none", []),
    ],
)
async def test_a_tool_that_needs_tool_approval_needs_somebody_to_give_it(
    tool: str, who: Literal["people", "none"], refused: list[str]
) -> None:
    guard = ManifestInvariants(tool_approvals=who)

    assert codes(await guard.check(rendered(tools=(f"web-search/{tool}",)), FixedFacts())) == refused


async def test_no_server_puts_a_tool_in_the_place_of_kagents_questions() -> None:
    """A subagent's caller answers these, so that a tool of this name would be approved by no person."""
    tools = {"web-search": {"allow": ["search", "ask_user"], "default": ["search"], "ask_first": ["ask_user"]}}
    case = replace(rendered(), template=template(tools=tools))
    held = ToolSelection("web-search", ("ask_user",), ("ask_user",))
    facts = FixedFacts(present_tools={"web-search": frozenset({"search", "ask_user"})})
    described = replace(case, agent=replace(case.agent, tools=(held,)))

    assert codes(await GUARD.check(described, facts)) == ["manifest.tool_not_allowed"]


async def test_a_server_is_named_once() -> None:
    assert await judge({"tools": (SEARCH, SEARCH)}) == ["manifest.server_repeated"]


async def test_tools_are_counted_over_all_servers() -> None:
    both = rendered(tools=("web-search/search", "web-search/fetch"))

    assert codes(await ManifestInvariants(most_tools=2).check(both, FixedFacts())) == []
    assert codes(await ManifestInvariants(most_tools=1).check(both, FixedFacts())) == ["manifest.too_many_tools"]
    assert codes(await ManifestInvariants(most_tools=0).check(rendered(), FixedFacts())) == ["manifest.too_many_tools"]


async def test_what_is_not_there_is_refused() -> None:
    facts = FixedFacts(present_models=frozenset(), present_tools={"web-search": frozenset({"fetch"})})

    assert codes(await GUARD.check(rendered(), facts)) == ["manifest.model_missing", "manifest.tool_missing"]
    assert codes(await GUARD.check(rendered(), FixedFacts(present_tools={}))) == ["manifest.tool_missing"]


async def test_nothing_is_refused_because_of_an_old_look() -> None:
    assert codes(await GUARD.check(rendered(), FixedFacts(stale=Ledger("old")))) == []


async def test_an_agent_is_stamped_with_its_registry_entry_and_with_no_other() -> None:
    assert await judge(lineage(entry=str(registry_entry().handle))) == ["manifest.registry_entry"]


async def test_an_agent_is_of_an_image_when_its_template_is_and_only_then() -> None:
    plain, image = rendered(), image_rendered()

    assert codes(await GUARD.check(image, FixedFacts())) == []
    swapped = replace(plain, agent=replace(plain.agent, image=SOME_IMAGE))
    assert codes(await GUARD.check(swapped, FixedFacts())) == ["manifest.image"]
    swapped = replace(image, agent=replace(image.agent, image=""))
    assert codes(await GUARD.check(swapped, FixedFacts())) == ["manifest.image"]
    swapped = replace(image, agent=replace(image.agent, model="default-model-config"))
    assert codes(await GUARD.check(swapped, FixedFacts())) == ["manifest.model_not_allowed"]

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.ledger import Ledger, Live
from mcp_agentspawn.core.model import Ancestor, Caller, Grant, Proposal, Subagent, ToolSelection
from mcp_agentspawn.core.names import SPAWN_TOOLS
from mcp_agentspawn.core.request import resolve
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, Reset, Switches
from mcp_agentspawn.guards.lineage import LineageGuard
from tests.builders import CALLER, NOON, ROOT, ask, template
from tests.guards.cases import ID, FixedFacts, codes, image_rendered, rendered

PARENT = "sub-parent"
WIDE = Grant(
    tools=("web-search/fetch", "web-search/search"),
    models=("default-model-config",),
    lifetime=timedelta(hours=2),
    depth=1,
)
DEEP = LineageGuard(most_depth=2)


def ancestor(id_: str = PARENT, parent: str = "", *, grant: Grant = WIDE, **agent: Any) -> Ancestor:
    request = resolve(CALLER, ask(), template()).request
    proposal = Proposal(
        id=id_, root=ROOT.name, parent=parent, home="subagents", request=request, template_hash="", digest="",
        request_digest=f"sha256:{id_}", risk="low", expires_at=NOON, manifest="{}", grant=grant, phase="starting",
        agent_uid=f"uid-{id_}",
    )  # fmt: skip
    standing = Subagent(
        id=id_, uid=f"uid-{id_}", home="subagents", virtual_user=ROOT.virtual_user, parent=parent, template="",
        request_digest=f"sha256:{id_}", lifetime=timedelta(hours=2), created_at=NOON,
    )  # fmt: skip
    return Ancestor(proposal, replace(standing, **agent))


def facts(*above: Ancestor, **changes: Any) -> FixedFacts:
    live = {one.proposal.id: Live(NOON, "n", one.proposal.request_digest) for one in above}
    return FixedFacts(above=above, held=Ledger(ROOT.name, live=live), **changes)


async def judge(seen: FixedFacts, *, grant: Mapping[str, Any] | None = None, **changes: Any) -> list[str]:
    made = replace(rendered(**changes), caller=Caller(ROOT, PARENT))
    return codes(await DEEP.check(replace(made, grant=replace(made.grant, **(grant or {}))), seen))


async def of_root(guard: LineageGuard | None = None, seen: FixedFacts | None = None, **changes: Any) -> list[str]:
    return codes(await (guard or LineageGuard()).check(rendered(**changes), seen or FixedFacts()))


async def test_a_roots_own_subagent_has_no_parent_to_stay_within() -> None:
    assert await of_root() == []


@pytest.mark.parametrize(("depth", "most", "fine"), [(0, 0, True), (1, 0, False), (1, 1, True), (2, 1, False)])
async def test_a_template_gets_no_more_depth_than_the_policy_allows(depth: int, most: int, fine: bool) -> None:
    found = await of_root(LineageGuard(most_depth=most), known=template(depth=depth))

    assert found == ([] if fine else ["lineage.depth"])


async def test_the_policys_depth_is_counted_from_the_root() -> None:
    made = replace(rendered(known=template(depth=1)), caller=Caller(ROOT, PARENT))
    seen = facts(ancestor(grant=replace(WIDE, depth=2)))

    assert codes(await LineageGuard(most_depth=2).check(made, seen)) == []
    assert codes(await LineageGuard(most_depth=1).check(made, seen)) == ["lineage.depth"]


async def test_a_child_within_its_parents_grant_is_allowed() -> None:
    assert await judge(facts(ancestor())) == []


async def test_everything_beyond_the_parent_is_listed_and_nothing_is_clamped() -> None:
    narrow = Grant(tools=(), models=("slow",), lifetime=timedelta(hours=2), depth=0, parameters={"share": 1})

    assert await judge(facts(ancestor(grant=narrow))) == [
        "lineage.tool",
        "lineage.model",
        "lineage.depth",
        "lineage.parameter",
    ]


async def test_a_child_does_not_outlive_its_parent() -> None:
    assert await judge(facts(ancestor(lifetime=timedelta(minutes=30)))) == []
    assert await judge(facts(ancestor(lifetime=timedelta(minutes=29)))) == ["lineage.lifetime"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"deleting": True}, "lineage.parent_retiring"),
        ({"uid": "uid-another"}, "lineage.parent_recreated"),
        ({"request_digest": "sha256:another"}, "lineage.parent_recreated"),
    ],
)
async def test_a_parent_that_leaves_or_is_another_by_now_has_no_children(change: dict[str, Any], code: str) -> None:
    assert await judge(facts(ancestor(**change))) == [code]


async def test_an_expired_parent_has_no_children() -> None:
    expired = ancestor(created_at=NOON - timedelta(hours=2))

    assert await judge(facts(expired)) == ["lineage.parent_expired", "lineage.lifetime"]


@pytest.mark.parametrize("phase", ["retired", "lapsed"])
async def test_a_parent_whose_proposal_has_ended_has_no_children(phase: Any) -> None:
    parent = ancestor()

    assert await judge(facts(replace(parent, proposal=replace(parent.proposal, phase=phase)))) == [
        "lineage.parent_gone"
    ]


async def test_a_parent_that_is_being_retired_has_no_children() -> None:
    parent = ancestor()

    assert await judge(facts(replace(parent, proposal=replace(parent.proposal, phase="retiring")))) == [
        "lineage.parent_retiring"
    ]


async def test_a_parent_whose_agent_or_place_is_gone_has_no_children() -> None:
    parent = ancestor()

    assert await judge(facts(replace(parent, agent=None))) == ["lineage.parent_gone"]
    assert await judge(FixedFacts(above=(parent,), held=Ledger(ROOT.name))) == ["lineage.parent_gone"]


async def test_a_parent_that_is_not_marked_yet_is_known_by_its_request() -> None:
    parent = ancestor()

    assert await judge(facts(replace(parent, proposal=replace(parent.proposal, agent_uid="")))) == []


async def test_everyone_above_must_stand_and_not_the_parent_alone() -> None:
    grandparent = ancestor("sub-grandparent", deleting=True)

    assert await judge(facts(ancestor(parent="sub-grandparent"), grandparent)) == ["lineage.parent_retiring"]


@pytest.mark.parametrize(
    "above",
    [
        (),
        (ancestor(parent="sub-grandparent"),),
        (ancestor("sub-stranger"),),
        (ancestor(parent="sub-b"), ancestor("sub-b", PARENT), ancestor()),
        (ancestor(parent=ID), ancestor(ID)),
    ],
)
async def test_a_line_that_breaks_off_or_goes_in_a_circle_leads_to_no_root(above: tuple[Ancestor, ...]) -> None:
    assert "lineage.broken" in await judge(facts(*above))


async def test_a_line_through_another_root_is_broken() -> None:
    parent = ancestor()
    stranger = replace(parent, proposal=replace(parent.proposal, root="agents/other"))

    assert await judge(facts(stranger)) == ["lineage.broken"]


@pytest.mark.parametrize("tools", [("web-search/*",), ("web-search/search ",), ("w\u0435b-search/search",)])
async def test_a_name_that_only_looks_like_an_allowed_one_is_refused(tools: tuple[str, ...]) -> None:
    assert await of_root(tools=tools) == ["lineage.name"]


async def test_a_model_is_named_plainly_too() -> None:
    assert await of_root(model="default-model-config.") == ["lineage.name"]


async def test_spawn_tools_come_with_depth_and_all_together() -> None:
    deep = template(depth=1)
    some = ToolSelection("agentspawn", SPAWN_TOOLS[:1])

    assert await of_root(DEEP, known=deep) == []
    assert await of_root(DEEP, agent={"tools": (some,)}, known=deep) == ["lineage.spawn_tool"]
    assert await of_root(agent={"tools": (ToolSelection("agentspawn", SPAWN_TOOLS),)}) == ["lineage.spawn_tool"]


async def test_a_spawn_tool_is_not_held_through_another_servers_name_for_it() -> None:
    offered = {"web-search": frozenset({"search", "apply_subagent"})}
    behind_a_gateway = {"web-search": frozenset({"search", "agentspawn__Propose-Subagent"})}

    assert await of_root(agent={"tools": (ToolSelection("k8s", ("propose_subagent",)),)}) == ["lineage.spawn_tool"]
    assert await of_root(seen=FixedFacts(present_tools=offered)) == ["lineage.spawn_tool"]
    assert await of_root(seen=FixedFacts(present_tools=behind_a_gateway)) == ["lineage.spawn_tool"]


async def test_a_recreated_service_account_waits_for_a_person() -> None:
    opened = (Freeze(EVERYWHERE, frozen=False),)
    accepted = Switches(opened, (Reset("one", ROOT.name, account="uid-2"),))
    made = replace(rendered(), caller=Caller(ROOT, account="uid-2"))
    held = Ledger(ROOT.name, account="uid-1")

    assert codes(await LineageGuard().check(made, FixedFacts(held=held))) == ["lineage.account_recreated"]
    assert codes(await LineageGuard().check(made, FixedFacts(held=held, switched=accepted))) == []
    assert codes(await LineageGuard().check(made, FixedFacts(held=replace(held, account="uid-2")))) == []
    assert codes(await LineageGuard().check(made, FixedFacts(held=replace(held, account="")))) == []


async def test_an_image_is_for_an_orchestrator_alone_to_ask_for() -> None:
    known = image_rendered()
    child = replace(known, caller=Caller(ROOT, PARENT))

    assert codes(await LineageGuard().check(known, FixedFacts())) == []
    assert "lineage.image" in codes(await LineageGuard(most_depth=1).check(child, facts(ancestor())))

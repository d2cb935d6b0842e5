"""A subagent that may spawn is bound by its own parent, by its root's limits, and by how long it lives itself."""

import asyncio
from typing import Any

import pytest

from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import TOPIC, Orchestrator, codes, message
from tests.attacks.people import OPERATORS, Person
from tests.faults.cluster import AGENTS
from tests.faults.replicas import start
from tests.localplane.waiting import until

SHORT: dict[str, Any] = {"lifetime_minutes": 5}
BEYOND: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a tool": ({"tools": ["web-search/search", "web-search/fetch"]}, {"lineage.tool"}),
    "only tools that the parent lacks": ({"tools": ["web-search/fetch"]}, {"lineage.tool"}),
    "a model": ({"model": "fast-model-config"}, {"lineage.model"}),
    "a longer life": ({"lifetime_minutes": 60}, {"lineage.lifetime"}),
    "a life that is left out": ({"lifetime_minutes": 0}, {"lineage.lifetime"}),
    "its own like": ({"template": "spawner"}, {"lineage.depth"}),
    "a deeper one": ({"template": "deep"}, {"lineage.depth"}),
    "everything at once": (
        {"template": "deep", "tools": ["web-search/fetch"], "model": "fast-model-config", "lifetime_minutes": 60},
        {"lineage.depth", "lineage.tool", "lineage.model", "lineage.lifetime"},
    ),
}


async def _stands(field: Battlefield, agent: str) -> bool:
    return await field.cluster.get(f"{AGENTS}/{agent}") is not None


async def test_a_tree_is_as_deep_as_its_parts_say_and_stamped_so(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    upper = await field.parent(orchestrator, "deep", lifetime_minutes=60)
    lower = await field.parent(upper, "spawner", lifetime_minutes=30)
    leaf = await lower.spawn("A leaf", **SHORT)
    stamped = {
        agent["metadata"]["name"]: agent["metadata"]["annotations"]
        for agent in await field.cluster.agents_of(orchestrator.root)
    }

    assert {stamped[id_]["agentspawn.dev/depth"] for id_ in stamped} == {"2", "1", "0"}
    lineage = [stamped[id_]["agentspawn.dev/parent"] for id_ in (upper.agent, lower.agent, leaf)]
    assert lineage == ["", upper.agent, lower.agent]
    assert {stamped[id_]["agentspawn.dev/root"] for id_ in stamped} == {orchestrator.root.virtual_user}


async def test_a_leaf_holds_no_spawn_tool_and_no_credential(field: Battlefield, orchestrator: Orchestrator) -> None:
    leaf = await orchestrator.spawn()
    standing = await field.cluster.get(f"{AGENTS}/{leaf}")

    assert standing is not None
    servers = [tool["mcpServer"]["name"] for tool in standing["spec"]["declarative"]["tools"]]
    assert "agentspawn" not in servers
    assert await field.credential(leaf) == ""


async def test_the_spawn_tools_are_given_by_depth_alone_whatever_they_are_called(field: Battlefield) -> None:
    caller = await field.anyone()

    assert codes(await caller.propose(template="disguised")) == {"lineage.spawn_tool"}
    assert codes(await caller.propose(tools=["agentspawn/propose_subagent"])) == {"manifest.tool_not_allowed"}


@pytest.mark.parametrize("what", BEYOND)
async def test_a_child_holds_no_more_than_its_parent_and_nothing_is_clamped(
    field: Battlefield, orchestrator: Orchestrator, what: str
) -> None:
    changes, wanted = BEYOND[what]
    parent = await field.parent(orchestrator)
    answer = await parent.propose("Beyond", **SHORT | changes)

    assert codes(answer) == wanted
    assert len(await field.cluster.agents_of(orchestrator.root)) == 1


async def test_a_child_keeps_the_tool_approval_of_its_parent(field: Battlefield, orchestrator: Orchestrator) -> None:
    tools = ["web-search/search", "web-search/fetch"]
    parent = await field.parent(orchestrator, tools=tools)

    assert codes(await parent.propose(template="bold", tools=tools, **SHORT)) == {"lineage.tool_approval"}
    assert (await parent.propose(tools=tools, **SHORT))["outcome"] == "allowed"


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"pages": "11"}, True),
        ({"site": "example.org"}, True),
        ({"deeper": "true"}, True),
        ({"pages": "10"}, False),
        ({"pages": "0"}, False),
    ],
)
async def test_a_value_that_narrows_never_widens_down_the_tree(
    field: Battlefield, orchestrator: Orchestrator, values: dict[str, str], refused: bool
) -> None:
    parent = await field.parent(orchestrator, "narrow-spawner")
    given = [TOPIC, *({"name": name, "value": value} for name, value in values.items())]
    answer = await parent.propose(template="narrow", parameters=given, **SHORT)

    assert (answer["outcome"] == "denied") is refused
    assert [reason["code"] for reason in answer["reasons"]] == ["lineage.parameter"] * refused


@pytest.mark.parametrize(
    ("account", "template", "allowed"),
    [
        ("attack-depth-0", "spawner", False),
        ("attack-depth-1", "spawner", True),
        ("attack-depth-1", "deep", False),
        ("attack-depth-2", "deep", True),
    ],
)
async def test_depth_is_what_the_policy_leaves_and_not_one_more(
    field: Battlefield, account: str, template: str, allowed: bool
) -> None:
    caller = await field.caller(account)
    answer = await caller.propose(f"At {account}", template=template)

    if allowed:
        assert answer["outcome"] == "pending_approval"
    else:
        assert codes(answer) == {"lineage.depth"}


async def test_the_roots_limit_holds_for_the_whole_tree(field: Battlefield) -> None:
    caller = await field.caller("attack-small-tree")
    parent = await field.parent(caller)
    child = await parent.spawn("One", **SHORT)

    assert codes(await parent.apply(await parent.propose("Two", **SHORT))) == {"quota.live_per_root"}
    assert codes(await caller.apply(await caller.propose("Three"))) == {"quota.live_per_root"}
    assert {agent["metadata"]["name"] for agent in await field.cluster.agents_of(caller.root)} == {parent.agent, child}
    await caller.retire(parent.agent)


async def test_a_subagent_sees_and_retires_what_is_below_it_alone(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    parent, sibling = await field.parent(orchestrator), await orchestrator.spawn("A sibling")
    child = await parent.spawn("A child", **SHORT)
    listed = {entry["agent"] for entry in (await parent.call("list_subagents"))["subagents"]}

    assert listed == {child}
    for other in (sibling, parent.agent):
        assert codes(await parent.retire(other)) == {"agent.unknown"}
        assert codes(await parent.call("get_subagent", agent=other)) == {"agent.unknown"}
    assert (await parent.retire(child))["phase"] == "retired"
    assert await _stands(field, sibling)


async def test_a_proposal_is_applied_by_its_own_caller_not_by_a_relative(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    parent = await field.parent(orchestrator)
    childs, own = await parent.propose("Of the child", **SHORT), await orchestrator.propose("Of the root")

    assert codes(await orchestrator.apply(childs)) == {"proposal.unknown"}
    assert codes(await parent.apply(own)) == {"proposal.unknown"}


async def test_a_persons_yes_to_a_parent_is_none_to_its_child(field: Battlefield, orchestrator: Orchestrator) -> None:
    parent = await field.parent(orchestrator)
    risky = await parent.propose(template="careful", **SHORT)

    assert risky["outcome"] == "pending_approval"
    assert (await parent.apply(risky))["outcome"] == "pending_approval"


async def test_a_credential_is_worth_nothing_when_altered_or_at_the_api_server(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    parent, other = await field.parent(orchestrator), await field.parent(orchestrator, "deep")
    prefix, _, secret = parent.token.rpartition("/")
    made_up = [f"{prefix}/{'A' * 43}", parent.token[:-1], f"{other.token.rpartition('/')[0]}/{secret}"]
    for token in made_up:
        assert (await orchestrator.post(message("tools/list"), X_Agentspawn_Token=token)).status_code == 401

    headers = {"Authorization": f"Bearer {parent.token}"}
    async with field.cluster.plane.connection("").session() as session, session.get(AGENTS, headers=headers) as answer:
        assert answer.status == 401


async def test_a_credential_ends_with_its_agent_and_its_secret_goes_with_it(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    parent = await field.parent(orchestrator)
    await orchestrator.retire(parent.agent)

    assert (await parent.post(message("tools/list"))).status_code == 401
    assert await field.credential(parent.agent) == ""


async def test_a_credential_is_in_no_answer_no_ledger_and_no_audit(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    parent = await field.parent(orchestrator)
    secret = parent.token.rpartition("/")[2]
    kept = [file.read_text(encoding="utf-8") for file in field.audit_files]
    kept += [str(await orchestrator.call("get_subagent", agent=parent.agent))]
    kept += [str(await field.cluster.ledger_of(orchestrator.root)), str(await field.cluster.get(AGENTS))]

    assert len(secret) == 43
    assert [text for text in kept if secret in text] == []


async def test_what_is_below_a_retired_agent_goes_with_it(field: Battlefield, orchestrator: Orchestrator) -> None:
    parent = await field.parent(orchestrator)
    child, waiting = await parent.spawn("A child", **SHORT), await parent.propose("Another", **SHORT)
    answer = await orchestrator.retire(parent.agent)

    assert set(answer["retired"]) == {parent.agent, child, waiting["proposal"]}
    assert await field.cluster.agents_of(orchestrator.root) == []
    ledger = await field.cluster.ledger_of(orchestrator.root)
    assert (ledger["live"], ledger["open"]) == ({}, {})


async def test_what_is_below_an_agent_that_died_is_taken_away(field: Battlefield, orchestrator: Orchestrator) -> None:
    parent = await field.parent(orchestrator)
    child = await parent.spawn("A child", **SHORT)
    await field.cluster.remove(f"{AGENTS}/{parent.agent}")

    assert (await parent.post(message("tools/list"))).status_code == 401
    async with start(field.cluster, orchestrator.root) as replica:
        await replica.repair()
        await until(lambda: _is_gone(field, child))
        await replica.repair()
    assert (await field.cluster.ledger_of(orchestrator.root))["live"] == {}


async def _is_gone(field: Battlefield, agent: str) -> bool:
    return not await _stands(field, agent)


async def test_a_namesake_of_a_parent_is_no_parent(field: Battlefield, orchestrator: Orchestrator) -> None:
    parent = await field.parent(orchestrator)
    await field.cluster.remove(f"{AGENTS}/{parent.agent}")
    async with field.human_agent(parent.agent):
        answered = await parent.post(message("tools/list"))

    assert answered.status_code == 401


async def test_a_parent_that_is_retired_while_its_child_is_applied_leaves_no_child(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    parent = await field.parent(orchestrator)
    proposal = await parent.propose("A child", **SHORT)
    await asyncio.gather(parent.apply(proposal), orchestrator.retire(parent.agent), return_exceptions=True)
    async with start(field.cluster, orchestrator.root) as replica:

        async def nothing_is_left() -> bool:
            await replica.repair()
            return await field.cluster.agents_of(orchestrator.root) == []

        await until(nothing_is_left)


async def test_a_service_account_that_was_made_again_waits_for_a_persons_word(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    agent = await orchestrator.spawn()
    path = f"/api/v1/namespaces/agents/serviceaccounts/{orchestrator.root.account}"
    await field.cluster.remove(path)
    await field.cluster.onboard(orchestrator.root.account)
    namesake = await field.caller(orchestrator.root.account)
    account = await field.cluster.get(path)
    assert account is not None

    assert codes(await namesake.propose("More")) == {"lineage.account_recreated"}
    oscar = Person(field.cluster, "oscar", (OPERATORS,))
    assert await oscar.let_go_on(orchestrator.root, account["metadata"]["uid"]) == 201
    await until(lambda: _goes_on(namesake))
    assert len((await field.cluster.ledger_of(orchestrator.root))["live"]) == 1
    assert (await namesake.retire(agent))["phase"] == "retired"


async def _goes_on(caller: Orchestrator) -> bool:
    return bool((await caller.propose("More"))["outcome"] == "allowed")

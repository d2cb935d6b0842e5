"""Who one is comes from the token alone: not from arguments, metadata, headers, sessions or handles."""

from typing import Any

import pytest

from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import TOPIC, Orchestrator, codes, fields, message

FORGED: dict[str, Any] = {
    "parent": "sub-x",
    "root": "agents/other",
    "caller": "agents/other",
    "tenant": "other",
    "depth": 9,
}
PROPOSE: dict[str, Any] = {"template": "researcher", "purpose": "Find out", "parameters": [TOPIC]}


@pytest.mark.parametrize("name", FORGED)
async def test_there_is_no_argument_that_says_who_one_is(orchestrator: Orchestrator, name: str) -> None:
    answer = await orchestrator.propose(**{name: FORGED[name]})

    assert codes(answer) == {"arguments.invalid"}
    assert fields(answer) == {name}


async def test_metadata_and_headers_that_say_who_one_is_are_not_read(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    victim = await field.newcomer()
    forged = {"root": victim.root.name, "parent": "sub-x", "agentspawn.dev/root": victim.root.virtual_user}
    body = message("tools/call", name="propose_subagent", arguments=PROPOSE, _meta=forged)
    headers = {"Impersonate_User": victim.root.virtual_user, "X_Remote_User": "admin", "X_User_Id": "admin"}
    answered = await orchestrator.post(body, **headers, X_Agent_Name="sub-x")
    agent = (await orchestrator.apply(answered.json()["result"]["structuredContent"]))["agent"]

    (made,) = await field.cluster.agents_of(orchestrator.root)
    assert made["metadata"]["name"] == agent
    assert made["metadata"]["annotations"]["agentspawn.dev/root"] == orchestrator.root.virtual_user
    assert made["metadata"]["annotations"]["agentspawn.dev/parent"] == ""
    assert await field.cluster.agents_of(victim.root) == []


async def test_whoever_names_no_parent_is_bound_to_the_token_all_the_same(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    agent = await orchestrator.spawn()

    (made,) = await field.cluster.agents_of(orchestrator.root)
    assert made["metadata"]["name"] == agent
    assert made["metadata"]["annotations"]["agentspawn.dev/root"] == orchestrator.root.virtual_user


async def test_a_new_session_and_another_server_see_the_same_caller_and_the_same_limits(field: Battlefield) -> None:
    here, there = await field.caller("attack-two-open", 0), await field.caller("attack-two-open", 1)
    proposals = [await here.propose("One"), await there.propose("Two")]

    assert codes(await here.propose("Three")) == {"quota.open_proposals"}
    assert codes(await there.propose("Three")) == {"quota.open_proposals"}
    listed = await there.call("list_subagents")
    assert {entry["agent"] for entry in listed["subagents"]} == {proposal["proposal"] for proposal in proposals}


async def test_without_a_credential_nothing_is_called(orchestrator: Orchestrator) -> None:
    nobody = orchestrator.with_token("")

    assert codes(await nobody.propose()) == {"identity.missing"}
    assert codes(await nobody.call("list_subagents")) == {"identity.missing"}


async def test_a_made_up_credential_and_two_of_them_are_no_credential(orchestrator: Orchestrator) -> None:
    made_up = await orchestrator.post(message("tools/list"), X_Agentspawn_Token="e30.e30.e30")
    two = await orchestrator.post(message("tools/list"), Authorization=f"Bearer {orchestrator.token}")

    assert [made_up.status_code, two.status_code] == [401, 401]


async def test_a_token_for_the_api_server_is_not_one_for_us(field: Battlefield, orchestrator: Orchestrator) -> None:
    token = await field.cluster.token_of(orchestrator.root, audience="")
    answered = await orchestrator.post(message("tools/list"), X_Agentspawn_Token=token)

    assert answered.status_code == 401


async def test_an_account_that_nobody_onboarded_may_call_nothing(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    stranger = await field.cluster.onboard("attack-stranger")
    caller = orchestrator.with_token(await field.cluster.token_of(stranger))

    assert codes(await caller.propose()) == {"identity.unknown_root"}
    assert codes(await caller.call("list_templates")) == {"identity.unknown_root"}


async def test_what_belongs_to_another_caller_is_as_unknown_as_what_never_was(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    victim = await field.newcomer()
    agent, proposal = await victim.spawn(), await victim.propose("Another")
    for tool, unknown in (("get_subagent", "agent.unknown"), ("retire_subagent", "agent.unknown")):
        answers = [await orchestrator.call(tool, agent=id_) for id_ in (agent, proposal["proposal"], "sub-never-was")]
        assert answers[0] == answers[1] == answers[2]
        assert codes(answers[0]) == {unknown}
    stolen = await orchestrator.apply(proposal)
    assert stolen == await orchestrator.apply(proposal | {"proposal": "sub-never-was"})
    assert codes(stolen) == {"proposal.unknown"}
    assert (await orchestrator.call("list_subagents"))["subagents"] == []
    assert len(await field.cluster.agents_of(victim.root)) == 1


async def test_no_answer_holds_another_callers_numbers(field: Battlefield, orchestrator: Orchestrator) -> None:
    before = await orchestrator.call("list_subagents")
    victim = await field.newcomer()
    await victim.spawn()

    assert await orchestrator.call("list_subagents") == before


async def test_a_search_finds_nothing_that_the_caller_may_not_use(field: Battlefield) -> None:
    ungranted, unlisted = await field.caller("attack-ungranted"), await field.caller("attack-not-listed")
    for caller in (ungranted, unlisted):
        assert (await caller.call("search_agents_agentregistry", query="research"))["hits"] == []
        assert (await caller.call("list_templates"))["templates"] == []


async def test_state_that_a_client_claims_to_carry_is_not_read(orchestrator: Orchestrator) -> None:
    proposal = await orchestrator.propose()
    which = {"proposal": proposal["proposal"], "digest": f"sha256:{'0' * 64}"}
    claimed = {"requestState": "eyJhcHByb3ZlZCI6dHJ1ZX0", "inputResponses": {"approve": {"action": "accept"}}}
    body = message("tools/call", name="apply_subagent", arguments=which, **claimed)
    answered = (await orchestrator.post(body)).json()

    assert codes(answered["result"]["structuredContent"]) == {"proposal.digest"}
    assert "requestState" not in answered["result"]


async def test_a_handle_is_worth_nothing_to_another_caller_and_nothing_when_altered(
    field: Battlefield, orchestrator: Orchestrator
) -> None:
    proposal = await orchestrator.propose()
    thief = await field.newcomer()

    assert codes(await thief.apply(proposal)) == {"proposal.unknown"}
    assert codes(await orchestrator.apply(proposal, digest=f"sha256:{'f' * 64}")) == {"proposal.digest"}
    assert codes(await orchestrator.apply(proposal | {"proposal": f"{proposal['proposal']}x"})) == {"proposal.unknown"}


@pytest.mark.parametrize("hidden", ["approve_subagent", "apply_manifest", "kubectl", "freeze", "Propose_Subagent"])
async def test_a_tool_that_is_not_listed_can_not_be_called(orchestrator: Orchestrator, hidden: str) -> None:
    async with orchestrator.session() as session:
        listed = {tool.name for tool in (await session.list_tools()).tools}
    answered = (await orchestrator.post(message("tools/call", name=hidden, arguments={}))).json()

    assert hidden not in listed
    assert "result" not in answered
    assert answered["error"]["code"] == -32602


async def test_no_tool_approves_takes_yaml_or_names_an_account(orchestrator: Orchestrator) -> None:
    async with orchestrator.session() as session:
        tools = (await session.list_tools()).tools
    words = {word for tool in tools for word in (*tool.name.split("_"), *tool.input_schema["properties"])}

    assert not words & {"approve", "manifest", "yaml", "image", "namespace", "service_account", "secret", "url", "root"}


async def test_the_tools_read_the_same_to_everyone(field: Battlefield, orchestrator: Orchestrator) -> None:
    callers = [orchestrator, await field.caller("attack-ungranted", 1), orchestrator.with_token("")]
    lists = [(await caller.post(message("tools/list"))).json()["result"]["tools"] for caller in callers[:2]]

    assert lists[0] == lists[1]

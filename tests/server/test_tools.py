"""What clients see of the tools, and what is said about malformed calls."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from mcp_agentspawn.core.errors import Unavailable as UnavailableAudit
from mcp_agentspawn.server.tools import TOOLS
from tests.server.edges import ERAS, a_call, call, client, codes, post, serving

NAMES = [
    "search_agents_agentregistry",
    "list_templates",
    "propose_subagent",
    "apply_subagent",
    "list_subagents",
    "get_subagent",
    "retire_subagent",
    "delegate_task",
    "get_task",
    "cancel_task",
]
FORBIDDEN = {"$ref", "$defs", "$id", "anyOf", "oneOf", "allOf", "not", "patternProperties", "definitions"}
HIDDEN = {"services", "caller", "root", "parent", "tenant", "depth", "namespace", "service_account", "token", "image"}


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    if isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


@pytest.mark.parametrize("era", ERAS)
async def test_the_ten_tools_are_listed_without_a_credential(era: str) -> None:
    async with serving() as edge, client(edge, era, token=None) as session:
        listed = (await session.list_tools()).tools

    assert [tool.name for tool in listed] == NAMES
    assert all(tool.title and tool.description for tool in listed)


@pytest.mark.parametrize("era", ERAS)
async def test_every_schema_on_the_wire_is_flat(era: str) -> None:
    async with serving() as edge, client(edge, era) as session:
        listed = (await session.list_tools()).tools

    for tool in listed:
        for schema in (tool.input_schema, tool.output_schema):
            for node in nodes(schema):
                assert FORBIDDEN.isdisjoint(node)
                assert not isinstance(node.get("type"), list)
                assert not isinstance(node.get("additionalProperties"), dict)
    assert all(node["additionalProperties"] is False for tool in listed for node in objects(tool.input_schema))


KEYWORDS = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "default",
    "description",
    "pattern",
}
KEYWORDS |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}


def keywords(schema: Any) -> set[str]:
    """Every word that a schema and those inside it use."""
    inside = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return set(schema).union(*map(keywords, inside))


def test_a_bound_is_one_that_clients_understand() -> None:
    """A word that JSON Schema does not know bounds nothing, and nobody says so."""
    assert set().union(*(keywords(tool.definition.input_schema) for tool in TOOLS)) <= KEYWORDS


def objects(schema: Any) -> list[dict[str, Any]]:
    return [node for node in nodes(schema) if node.get("type") == "object"]


def test_nobody_can_say_who_they_are() -> None:
    for tool in TOOLS:
        assert HIDDEN.isdisjoint(tool.definition.input_schema["properties"])


def test_arguments_and_defaults_are_those_of_the_contract() -> None:
    seen = {tool.name: {name: at.get("default", ...) for name, at in properties(tool).items()} for tool in TOOLS}

    assert seen == {
        "search_agents_agentregistry": {"query": ..., "limit": 10, "cursor": "", "source": "", "labels": []},
        "list_templates": {},
        "propose_subagent": {
            "template": ...,
            "purpose": ...,
            "parameters": [],
            "tools": [],
            "model": "",
            "lifetime_minutes": 0,
            "registry_entry": "",
        },
        "apply_subagent": {"proposal": ..., "digest": ..., "wait_seconds": 0},
        "list_subagents": {},
        "get_subagent": {"agent": ...},
        "retire_subagent": {"agent": ..., "reason": ""},
        "delegate_task": {"agent": ..., "message": ..., "task": "", "wait_seconds": 0},
        "get_task": {"task": ..., "wait_seconds": 0},
        "cancel_task": {"task": ...},
    }


def properties(tool: Any) -> dict[str, Any]:
    found: dict[str, Any] = tool.definition.input_schema["properties"]
    assert all(at["description"] for at in found.values())
    return found


def test_every_tool_says_honestly_what_it_does() -> None:
    changing = {"propose_subagent", "apply_subagent", "retire_subagent", "delegate_task", "cancel_task"}
    for tool in TOOLS:
        changes = tool.name in changing
        assert tool.definition.annotations is not None
        assert tool.definition.annotations.model_dump(exclude={"title"}) == {
            "read_only_hint": not changes,
            "destructive_hint": tool.name in {"retire_subagent", "cancel_task"},
            "idempotent_hint": True,
            "open_world_hint": tool.name == "delegate_task",
        }


@pytest.mark.parametrize(
    ("name", "arguments", "fields"),
    [
        ("list_templates", {"caller": "agents/other"}, ["caller"]),
        ("get_subagent", {"agent": "sub-a", "root": "x"}, ["root"]),
        ("get_subagent", {}, ["agent"]),
        ("get_subagent", {"agent": None}, ["agent"]),
        ("get_subagent", {"agent": "../../secrets"}, ["agent"]),
        ("get_subagent", {"agent": "a" * 64}, ["agent"]),
        ("search_agents_agentregistry", {"query": "x", "limit": "5"}, ["limit"]),
        ("search_agents_agentregistry", {"query": "x", "limit": True}, ["limit"]),
        ("search_agents_agentregistry", {"query": "x", "limit": 5.5}, ["limit"]),
        ("search_agents_agentregistry", {"query": "x", "limit": 51}, ["limit"]),
        ("search_agents_agentregistry", {"query": "x", "labels": '["a"]'}, ["labels"]),
        ("propose_subagent", {"template": "t", "purpose": "p", "parameters": {"a": "b"}}, ["parameters"]),
        (
            "propose_subagent",
            {
                "template": "t",
                "purpose": "p",
                "parameters": [{"name": "a", "value": 5}, {"name": "b", "value": "", "x": 1}],
            },
            ["parameters[0].value", "parameters[1].x"],
        ),
        ("apply_subagent", {"proposal": "sub-a", "digest": "sha256:abc"}, ["digest"]),
        ("apply_subagent", {"proposal": "sub-a", "digest": f"sha256:{'0' * 64}\n"}, ["digest"]),
        ("apply_subagent", {"proposal": "sub-a", "digest": f"sha256:{'0' * 64}", "wait_seconds": 21}, ["wait_seconds"]),
        ("delegate_task", {"agent": "sub-a", "message": ""}, ["message"]),
        ("delegate_task", {"agent": "sub-a", "message": "x" * 32769}, ["message"]),
        ("delegate_task", {"agent": "sub-a", "message": "x", "task": "task-1"}, ["task"]),
        ("delegate_task", {"agent": "sub-a", "message": "x", "url": "http://elsewhere/"}, ["url"]),
        ("get_task", {"task": ""}, ["task"]),
        ("get_task", {"task": f"task-{'0' * 32}\n"}, ["task"]),
        ("cancel_task", {"task": f"task-{'G' * 32}"}, ["task"]),
    ],
)
async def test_malformed_arguments_are_refused_by_field(
    name: str, arguments: dict[str, Any], fields: list[str]
) -> None:
    async with serving() as edge:
        answer = await call(edge, name, **arguments)

    assert answer["outcome"] == "denied"
    assert set(codes(answer)) == {"arguments.invalid"}
    assert [reason["field"] for reason in answer["reasons"]] == fields


async def test_a_malformed_call_is_in_the_audit_by_its_code_alone() -> None:
    async with serving() as edge:
        await call(edge, "get_subagent", agent="NOT AN ID")

        (record,) = edge.bench.audit.records
    assert (record.event, record.outcome, record.reasons) == ("refused", "denied", ("arguments.invalid",))
    assert record.details == {"tool": "get_subagent"}


async def test_a_malformed_call_is_refused_although_the_audit_fails() -> None:
    async with serving() as edge:
        edge.bench.audit.failing = UnavailableAudit("full")
        answer = await call(edge, "get_subagent", agent="NOT AN ID")

    assert codes(answer) == ["arguments.invalid"]


async def test_a_whole_number_may_be_written_as_a_float() -> None:
    async with serving() as edge:
        answer = await call(edge, "search_agents_agentregistry", query="research", limit=5.0)

    assert answer["outcome"] == "allowed"


async def test_neither_values_nor_made_up_names_are_repeated() -> None:
    secret = "hunter2 is my secret"
    async with serving() as edge:
        body = a_call("propose_subagent", template=secret, purpose=[secret], **{secret: secret})
        text = (await post(edge, body, x_agentspawn_token=edge.token)).text

    assert secret not in text
    assert "pydantic" not in text
    assert "(name withheld)" in text


async def test_a_flood_of_complaints_is_cut() -> None:
    async with serving() as edge:
        answer = await call(edge, "list_templates", **{f"unknown_{number}": 1 for number in range(500)})

    assert len(answer["reasons"]) == 20


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", ["approve_subagent", "apply_manifest", "run", "Propose_subagent", ""])
async def test_a_tool_that_is_not_listed_can_not_be_called(era: str, name: str) -> None:
    async with serving() as edge, client(edge, era) as session:
        with pytest.raises(MCPError) as refused:
            await session.call_tool(name, {})

    assert refused.value.error.code == -32602


async def test_arguments_that_are_no_object_are_a_protocol_error() -> None:
    async with serving() as edge:
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "list_templates", "arguments": [7]},
        }
        answered = (await post(edge, body, x_agentspawn_token=edge.token)).json()

    assert answered["error"]["code"] == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_is_the_same_as_text_and_as_structure(era: str) -> None:
    async with serving(world="memory") as edge, client(edge, era) as session:
        answered = await session.call_tool("list_templates", {})

    assert answered.is_error is False
    assert answered.structured_content is not None
    assert json.loads(answered.content[0].text) == answered.structured_content  # type: ignore[union-attr] # it is text
    assert answered.structured_content["world"] == "memory"
    assert [offer["name"] for offer in answered.structured_content["templates"]] == ["researcher"]
    assert ": " not in answered.content[0].text.replace('": ', "")[:60]  # type: ignore[union-attr] # it is text

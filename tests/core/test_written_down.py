"""What others hold on to: stored documents, names of objects, texts of errors, marks that nobody sees."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.digest import digest_of, grant_document, request_digest
from mcp_agentspawn.core.errors import ConfigError, Refused
from mcp_agentspawn.core.model import (
    AgentDescription,
    Caller,
    Compaction,
    Grant,
    Lineage,
    Request,
    Root,
    Scalar,
    Skill,
    ToolSelection,
)
from mcp_agentspawn.core.names import SPAWN_SERVER, SPAWN_TOOLS
from mcp_agentspawn.core.render import MOST_ID_CHARACTERS, grant_of, proposal_id, render
from mcp_agentspawn.core.request import Ask, resolve
from mcp_agentspawn.core.switches import Freeze, Switches
from mcp_agentspawn.core.text import hidden_characters
from tests.builders import RESEARCHER, template


def test_a_grant_is_stored_under_these_names() -> None:
    grant = Grant(("web-search/search",), ("m",), timedelta(minutes=5), 1, ("web-search/search",), {"pages": 3})

    assert grant_document(grant) == {
        "tools": ["web-search/search"],
        "models": ["m"],
        "lifetimeSeconds": 300,
        "depth": 1,
        "askFirst": ["web-search/search"],
        "parameters": {"pages": 3},
    }


def test_a_request_is_found_again_under_this_digest() -> None:
    request = Request("researcher", "Find out", {"pages": 3}, ("web-search/search",), "m", timedelta(minutes=5))
    caller = Caller(Root("agents", "orchestrator", "subagents"), "sub-p")

    assert request_digest(caller, request, "sha256:t") == digest_of(
        {
            "root": "agents/orchestrator",
            "home": "subagents",
            "parent": "sub-p",
            "template": "sha256:t",
            "name": "researcher",
            "purpose": "Find out",
            "parameters": {"pages": 3},
            "tools": ["web-search/search"],
            "model": "m",
            "lifetime": 300,
        }
    )


def test_the_widest_freeze_is_named_first() -> None:
    root = Root("agents", "orchestrator", "subagents")
    freezes = [
        Freeze("root.agents.orchestrator", frozen=True, root="agents/orchestrator"),
        Freeze("a-namespace", frozen=True, namespace="agents"),
        Freeze("everywhere", frozen=True),
        Freeze("b-everywhere", frozen=True),
    ]

    named = []
    while freeze := Switches(freezes).stopping(root):
        named.append(freeze.name)
        freezes.remove(freeze)
    assert named == ["b-everywhere", "everywhere", "a-namespace", "root.agents.orchestrator"]


NARROWING = {
    "type": "object",
    "properties": {
        "pages": {"type": "integer", "narrows": True},
        "site": {"type": "string", "maxLength": 9, "narrows": False},
        "topic": {"type": "string", "maxLength": 9},
    },
}


def test_a_grant_is_what_was_asked_for_and_what_its_template_marks() -> None:
    known = template(parameters=NARROWING, depth=1, agent={"description": "x", "instructions": "x"})
    values: dict[str, Scalar] = {"pages": 3, "site": "x", "topic": "y", "made-up": 1}
    tools = ("web-search/fetch", "web-search/search", "other/fetch")
    request = Request("researcher", "Find out", values, tools, "m", timedelta(minutes=5))

    assert grant_of(request, known) == Grant(
        tools=tools,
        models=("m",),
        lifetime=timedelta(minutes=5),
        depth=1,
        ask_first=("web-search/fetch",),
        parameters={"pages": 3},
    )


def test_an_agent_has_its_templates_compaction_and_spawn_tools_by_its_depth() -> None:
    flat, deep = template(), template(depth=1)
    request = Request("researcher", "Find out", {"topic": "x"}, (), "m", timedelta(minutes=5))
    caller = Caller(Root("agents", "orchestrator", "subagents"))
    made, spawning = [render("sub-a", caller, request, known, "sha256:r") for known in (flat, deep)]

    assert made.compaction == Compaction(after_tokens=12000, keep_events=10)
    assert (made.tools, spawning.tools) == ((), (ToolSelection(SPAWN_SERVER, SPAWN_TOOLS),))


def test_an_agent_is_all_that_its_template_and_its_request_say() -> None:
    agent = {
        "description": "In ${language}",
        "instructions": "Be brief.",
        "skills": [{"id": "look", "name": "Look in ${language}", "description": "${language} only", "tags": ["a"]}],
        "compaction": {"after_tokens": 2000, "keep_events": 3},
    }
    known = template(agent=agent)
    tools = ("web-search/search", "web-search/fetch")
    request = Request("researcher", "Find out", {"language": "German"}, tools, "m", timedelta(minutes=5))
    caller = Caller(Root("agents", "orchestrator", "subagents"), "sub-p")

    assert render("sub-a", caller, request, known, "sha256:r") == AgentDescription(
        id="sub-a",
        description="In German",
        instructions="Be brief.",
        model="m",
        tools=(ToolSelection("web-search", ("fetch", "search"), ("fetch",)),),
        skills=(Skill("look", "Look in German", "German only", ("a",)),),
        compaction=Compaction(2000, 3),
        lineage=Lineage(caller.root, "sub-p", "researcher", "sha256:r", timedelta(minutes=5), 0),
    )


def test_an_agent_of_a_template_without_compaction_has_none() -> None:
    agent = {key: value for key, value in RESEARCHER["agent"].items() if key != "compaction"}
    request = Request("researcher", "Find out", {"topic": "x"}, (), "m", timedelta(minutes=5))
    caller = Caller(Root("agents", "orchestrator", "subagents"))

    assert render("sub-a", caller, request, template(agent=agent), "sha256:r").compaction is None


def test_a_fence_mark_that_came_so_far_is_refused_by_the_name_of_its_value() -> None:
    request = Request("researcher", "Find out", {"topic": "a >>> b"}, (), "m", timedelta(minutes=5))
    with pytest.raises(Refused) as refused:
        render("sub-a", Caller(Root("agents", "orchestrator", "subagents")), request, template(), "sha256:r")

    assert (refused.value.code, refused.value.message) == ("render.fence", "The value of topic holds a fence mark.")


def test_a_user_of_another_kind_is_no_root() -> None:
    assert Root.of_virtual_user("alice", "subagents") is None
    assert Root.of_virtual_user("agentspawn:agents:a", "subagents") == Root("agents", "a", "subagents")


def test_a_template_without_parameters_grants_none() -> None:
    known = template(parameters={"type": "object"}, agent={"description": "x", "instructions": "x"})
    request = Request("researcher", "Find out", {"pages": 3}, (), "m", timedelta(minutes=5))

    assert grant_of(request, known).parameters == {}


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("researcher", "sub-researcher-0123456789"),
        ("a" * 25, f"sub-{'a' * 25}-0123456789"),
        ("a" * 26, f"sub-{'a' * 25}-0123456789"),
        ("a" * 24 + "-b", f"sub-{'a' * 24}-0123456789"),
        ("XX", "sub-XX-0123456789"),
    ],
)
def test_an_id_names_its_template_and_stays_short(name: str, id_: str) -> None:
    assert proposal_id(name, "0123456789") == id_
    assert len(id_) <= MOST_ID_CHARACTERS


def test_an_error_says_what_it_was_told() -> None:
    refused = Refused("forbidden", "No.")

    assert (refused.code, refused.message, str(refused)) == ("forbidden", "No.", "No.")
    assert str(ConfigError(["one", "two"])) == "one\ntwo"


@pytest.mark.parametrize("selector", ["\ufe00", "\ufe0d", "\U000e0100", "\U000e01ef"])
def test_the_first_and_the_last_variation_selectors_are_hidden(selector: str) -> None:
    assert hidden_characters(f"a{selector}") == [f"U+{ord(selector):04X}"]


@pytest.mark.parametrize("beside", ["\ufdfd", "\ufe10", "\ufe0e", "\ufe0f"])
def test_what_stands_beside_them_is_not(beside: str) -> None:
    assert hidden_characters(f"a{beside}") == []


def test_a_placeholder_that_is_none_is_said_with_its_line() -> None:
    agent = RESEARCHER["agent"] | {"instructions": "First.\nSecond.\n${\n"}
    with pytest.raises(ValidationError) as refused:
        template(agent=agent)
    (error,) = refused.value.errors()

    assert error["msg"] == "a placeholder reads ${name}; write $${ where ${ itself is meant"
    assert error["ctx"]["line"] == 2


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", "5", 5),
        ("number", "5.5", 5.5),
        ("number", "2.0", 2),
        ("number", str(2**53), str(2**53)),
        ("integer", "-7", -7),
        ("integer", str(2**53 - 1), 2**53 - 1),
        ("integer", str(2**53), str(2**53)),
        ("number", f"{2**53 - 1}.0", 2**53 - 1),
        ("number", "0." + "1" * 22, 0.1111111111111111),
        ("number", "0." + "1" * 23, "0." + "1" * 23),
        ("boolean", "true", True),
        ("boolean", "True", "True"),
        ("string", "5", "5"),
    ],
)
def test_a_value_is_read_as_its_kind_or_stays_text(kind: str, text: str, value: object) -> None:
    schema = {"type": kind} | ({"maxLength": 99} if kind == "string" else {})
    known = template(
        parameters={"type": "object", "properties": {"p": schema}}, agent={"description": "x", "instructions": "x"}
    )
    asked = Ask("researcher", "Find out", parameters=(("p", text),))
    read = resolve(Caller(Root("agents", "orchestrator", "subagents")), asked, known).request.parameters["p"]

    assert (read, type(read)) == (value, type(value))


def test_free_text_beside_other_words_is_said_with_its_place() -> None:
    agent = RESEARCHER["agent"] | {"instructions": "First.\nLook into ${topic} now.\n"}
    with pytest.raises(ValidationError) as refused:
        template(agent=agent)
    (error,) = refused.value.errors()

    words = "${topic} is free text: it stands alone on a line of the instructions, nowhere else"
    assert (error["msg"], error["ctx"]["line"]) == (words, 1)


def test_a_placeholder_that_names_nothing_is_said_with_its_line() -> None:
    agent = RESEARCHER["agent"] | {"instructions": "First.\n${nobody}\n"}
    with pytest.raises(ValidationError) as refused:
        template(agent=agent)
    (error,) = refused.value.errors()

    assert (error["type"], error["msg"]) == ("placeholder", "${nobody} names no parameter")
    assert error["ctx"] == {"message": "${nobody} names no parameter", "line": 1}
    assert (error["loc"], error["input"]) == (("agent", "instructions"), None)

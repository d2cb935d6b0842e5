"""What the runtime is started with is what kagent's controller makes of the same objects."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.localplane.agents.scripted_model import QUESTION, completion, turn
from mcp_agentspawn.localplane.agents.translating import (
    Endpoint,
    NotHere,
    Untranslatable,
    application_name,
    card,
    configuration,
    model_key,
    references,
    seconds,
    secrets_of,
)
from tests.localplane.agent_samples import FOUND, SERVER, TOKEN, agent

ENDPOINT = Endpoint("http://127.0.0.1:2/v1", "key-of-the-endpoint")
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "kagent-0.10"
TOOL = {"type": "McpServer", "mcpServer": SERVER}
OWN_URL = {"provider": "OpenAI", "model": "m", "openAI": {"baseUrl": "http://there/v1"}}
SECRETS = {"sub-one-agentspawn": {"token": "secret"}, "llm": {"KEY": "key-of-its-own"}}


def found(**model: Any) -> Any:
    return FOUND | {("modelconfigs", "model"): {"spec": FOUND["modelconfigs", "model"]["spec"] | model}}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples of a real controller lie beside the clone")
def test_the_controller_itself_makes_the_same_of_an_agent() -> None:
    sample, server = (json.loads((SAMPLES / f"{name}.json").read_text()) for name in ("agent", "remotemcpserver"))
    there = {
        ("modelconfigs", "fake"): {"spec": OWN_URL | {"model": "gpt-4o"}},
        ("remotemcpservers", "agentspawn"): server,
    }
    made = configuration(sample, there, {"orch-token": {"token": "tok-123"}}, ENDPOINT)
    written = json.loads((SAMPLES / "orchestrator-config.json").read_text())

    assert made | {"model": written["model"]} == written
    assert card(sample) == json.loads((SAMPLES / "orchestrator-agent-card.json").read_text())


def test_tools_go_where_their_server_is_with_the_agent_s_own_credential() -> None:
    asked = {"type": "McpServer", "mcpServer": SERVER | {"requireApproval": ["fetch"]}, "headersFrom": [TOKEN]}
    sample = agent(tools=[asked])
    [tool] = configuration(sample, FOUND, SECRETS, ENDPOINT)["http_tools"]

    assert references(sample) == {("modelconfigs", "model"), ("remotemcpservers", "web-search")}
    assert secrets_of(sample, FOUND) == {"sub-one-agentspawn"}
    assert (tool["tools"], tool["require_approval"]) == (["search", "fetch"], ["fetch"])
    assert tool["params"] == {
        "url": "http://127.0.0.1:1/mcp",
        "headers": {"X-Agentspawn-Token": "secret"},
        "timeout": 30.0,
        "terminate_on_close": False,
    }
    with pytest.raises(Untranslatable, match="sub-one-agentspawn"):
        configuration(sample, FOUND, {}, ENDPOINT)


def test_the_endpoint_s_key_goes_to_the_endpoint_and_nowhere_else() -> None:
    own = found(**OWN_URL)
    keyed = found(**OWN_URL, apiKeySecret="llm", apiKeySecretKey="KEY")

    assert configuration(agent(), FOUND, {}, ENDPOINT)["model"]["base_url"] == ENDPOINT.url
    assert model_key(agent(), FOUND, {}, ENDPOINT) == ENDPOINT.key
    assert configuration(agent(), own, {}, ENDPOINT)["model"]["base_url"] == "http://there/v1"
    assert model_key(agent(), own, {}, ENDPOINT) == "none"
    assert secrets_of(agent(), keyed) == {"llm"}
    assert model_key(agent(), keyed, SECRETS, ENDPOINT) == "key-of-its-own"


def test_the_endpoint_may_name_the_model() -> None:
    named = Endpoint("http://x", "none", "big")

    assert configuration(agent(), FOUND, {}, ENDPOINT)["model"]["model"] == "gpt-4.1"
    assert configuration(agent(), FOUND, {}, named)["model"]["model"] == "big"
    assert configuration(agent(), found(**OWN_URL), {}, named)["model"]["model"] == "m"


def test_compaction_is_said_in_the_runtime_s_words() -> None:
    compaction = {"compactionInterval": 5, "overlapSize": 2, "tokenThreshold": 12000, "eventRetentionSize": 10}
    made = configuration(agent(context={"compaction": compaction}), FOUND, {}, ENDPOINT)

    assert made["context_config"]["compaction"] == {
        "compaction_interval": 5,
        "overlap_size": 2,
        "token_threshold": 12000,
        "event_retention_size": 10,
    }
    assert application_name(agent()) == "subagents__NS__sub_one"


@pytest.mark.parametrize(
    "changes",
    [
        {"modelConfig": ""},
        {"tools": [{"type": "Agent", "agent": {"name": "other"}}]},
        {"tools": [TOOL | {"mcpServer": SERVER | {"kind": "MCPServer"}}]},
        {"tools": [TOOL | {"mcpServer": SERVER | {"namespace": "elsewhere"}}]},
    ],
)
def test_what_a_laptop_can_not_give_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable):
        references(agent(**changes))


def test_images_do_not_run_here() -> None:
    with pytest.raises(NotHere):
        references({"spec": {"type": "BYO"}})


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("5m0s", 300), ("1h2m", 3720), ("1500ms", 1.5), ("0s", 0)])
def test_durations_are_read_as_go_writes_them(text: str, value: float) -> None:
    assert seconds(text) == value


def request(*messages: dict[str, Any], tools: tuple[str, ...] = ()) -> dict[str, Any]:
    schema = {"required": ["query", "limit"], "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}
    offered = [{"function": {"name": name, "parameters": schema}} for name in tools]
    return {"messages": [{"role": "system", "content": "Help."}, *messages], "tools": offered}


SEARCH = ("search", {"query": "What is it?", "limit": 1})
ASKED = {"role": "user", "content": [{"type": "text", "text": "What is it?"}]}


def test_the_scripted_model_calls_one_tool_and_reports_what_it_saw() -> None:
    told = {"role": "tool", "content": "a hit"}
    said = turn(request(ASKED, told, tools=("search",)))

    assert turn(request(ASKED, tools=("ask_user", "fetch", "search"))) == (
        "search",
        {"query": "What is it?", "limit": 1},
    )
    assert isinstance(said, str)
    assert all(words in said for words in ("scripted model", "What is it?", "a hit"))


def test_the_scripted_model_never_spawns_and_asks_when_it_is_wished() -> None:
    wish = {"role": "user", "content": "Please ask me first."}

    assert isinstance(turn(request(ASKED, tools=("ask_user", "propose_subagent", "retire_subagent"))), str)
    assert turn(request(wish, tools=("ask_user", "search"))) == ("ask_user", {"questions": [{"question": QUESTION}]})


def test_what_was_told_for_an_earlier_message_is_not_told_again() -> None:
    earlier: list[dict[str, Any]] = [
        ASKED,
        {"role": "tool", "content": "a hit"},
        {"role": "assistant", "content": "It is."},
    ]

    assert turn(request(*earlier, ASKED, tools=("search",))) == SEARCH


def test_a_completion_is_one_that_openai_s_client_reads() -> None:
    call = completion(1, ("search", {"query": "x"}))["choices"][0]
    text = completion(2, "Done.")["choices"][0]

    assert (call["finish_reason"], call["message"]["tool_calls"][0]["function"]["name"]) == ("tool_calls", "search")
    assert (text["finish_reason"], text["message"]["content"]) == ("stop", "Done.")

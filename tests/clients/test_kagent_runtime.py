"""kagent's real Python runtime is the orchestrator: a scripted model proposes and applies through its header."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.orchestrators import answer_of, config, orchestrator
from tests.clients.recording_proxy import RecordingProxy, recording_proxy
from tests.clients.rights import rights_withdrawn
from tests.clients.scripted_model import ScriptedModel, ToolCall, Turn, scripted_model
from tests.dev_fixtures import DevServer

ROOT_USER = "agentspawn:agents:orchestrator"
QUESTION = "Which guards does a subagent pass?"


def proposing(question: str) -> Turn:
    parameters = [{"name": "question", "value": question}]
    arguments = {"template": "researcher", "purpose": "Find out", "parameters": parameters}
    return lambda _results: ToolCall("propose_subagent", arguments)


def apply(results: Sequence[Any]) -> ToolCall:
    return ToolCall("apply_subagent", {name: results[0][name] for name in ("proposal", "digest")})


def conclude(results: Sequence[Any]) -> str:
    return f"{results[1]['agent']} stands as {results[1]['uid']}."


async def test_an_orchestrator_in_kagents_runtime_proposes_and_applies_a_subagent(
    dev_server: DevServer, tmp_path: Path
) -> None:
    token = dev_server.token("orchestrator")
    async with (
        scripted_model(proposing(QUESTION), apply, conclude) as model,
        recording_proxy(dev_server.mcp_url) as proxy,
        orchestrator(tmp_path, config(model.url, proxy.url, token, dev_server.namespace)) as runtime,
    ):
        task = await runtime.send("Have somebody look into it.")

    proposed, applied = model.tool_results()
    assert task["status"]["state"] == "completed", task
    assert answer_of(task) == f"{applied['agent']} stands as {applied['uid']}."
    agent = dev_server.agent(applied["agent"])
    assert agent["metadata"]["uid"] == applied["uid"]
    assert agent["metadata"]["labels"]["agentspawn.dev/proposal"] == proposed["proposal"] == applied["agent"]
    assert agent["metadata"]["labels"]["agentspawn.dev/tree"] == "agents.orchestrator"
    assert agent["metadata"]["annotations"]["agentspawn.dev/root"] == ROOT_USER
    assert QUESTION in agent["spec"]["declarative"]["systemMessage"]
    the_credential_was_in_the_header_only(token, proxy, model)


def the_credential_was_in_the_header_only(token: str, proxy: RecordingProxy, model: ScriptedModel) -> None:
    assert [seen.headers["X-Agentspawn-Token"] for seen in proxy.seen] == [token] * len(proxy.seen)
    assert proxy.calls() == ["propose_subagent", "apply_subagent"]
    for seen in proxy.seen:
        others = [value for name, value in seen.headers.items() if name.lower() != "x-agentspawn-token"]
        assert token not in " ".join([seen.path, seen.body.decode(), *others])
    assert token not in json.dumps(model.requests)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def refused(dev_server: DevServer, tmp_path_factory: pytest.TempPathFactory) -> ScriptedModel:
    """The model of an orchestrator that proposed while the API server granted its virtual user nothing."""
    folder, token = tmp_path_factory.mktemp("refused"), dev_server.token("orchestrator")
    async with (
        rights_withdrawn(dev_server, ROOT_USER),
        scripted_model(proposing("Who is asked, and who answers?"), lambda _results: "It was refused.") as model,
        orchestrator(folder, config(model.url, dev_server.mcp_url, token, dev_server.namespace)) as runtime,
    ):
        task = await runtime.send("Have somebody look into it.")
    assert answer_of(task) == "It was refused."
    return model


async def test_without_its_virtual_users_rights_the_orchestrator_is_refused_and_its_model_reads_why(
    refused: ScriptedModel,
) -> None:
    [answer] = refused.tool_results()
    assert (answer["outcome"], bool(answer["next_step"])) == ("denied", True)
    [reason] = answer["reasons"]
    assert reason["code"] == "access.forbidden.rbac"
    assert f'User "{ROOT_USER}"' in reason["message"]  # the API server's own words: this is who writes


async def test_the_runtime_hands_the_model_every_argument_of_the_tools(refused: ScriptedModel) -> None:
    schema = refused.tools_offered()["propose_subagent"]
    assert schema["required"] == ["template", "purpose"]
    assert set(schema["properties"]) == {
        "template",
        "purpose",
        "parameters",
        "tools",
        "model",
        "lifetime_minutes",
        "registry_entry",
    }
    assert set(schema["properties"]["parameters"]["items"]["properties"]) == {"name", "value"}

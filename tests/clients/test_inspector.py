"""MCP Inspector's command line lists and calls the tools, in both eras, against a server on a real API server."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.inspector import AUTHORIZATION_REQUIRED, ERAS, OK, TOOL_REFUSED, Inspector, finished, installed
from tests.dev_fixtures import DevServer
from tests.localplane.waiting import until

NPX = "npx @modelcontextprotocol/inspector"
TOOLS = {
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
}


@pytest.fixture(params=ERAS)
def inspector(request: pytest.FixtureRequest, dev_server: DevServer, tmp_path: Path) -> Inspector:
    return Inspector(dev_server.mcp_url, request.param, tmp_path, dev_server.token("orchestrator"))


async def test_the_tools_are_listed_without_a_credential_and_their_schemas_pass_the_strict_lint(
    inspector: Inspector,
) -> None:
    ran = await replace(inspector, token="").tools()
    assert (ran.exit_code, ran.complaint) == (OK, "")  # warnings of the lint would be a complaint too
    assert {tool["name"] for tool in ran.result["tools"]} == TOOLS


async def test_a_subagent_is_proposed_created_seen_and_retired(inspector: Inspector, dev_server: DevServer) -> None:
    templates = await inspector.call("list_templates")
    assert templates.exit_code == OK, templates.complaint
    assert "researcher" in [template["name"] for template in templates.answer["templates"]]

    question = [{"name": "question", "value": f"What does Inspector do in the {inspector.era} era?"}]
    proposed = await inspector.call("propose_subagent", template="researcher", purpose="Try", parameters=question)
    assert proposed.exit_code == OK, proposed.result or proposed.complaint
    handle = {name: proposed.answer[name] for name in ("proposal", "digest")}

    applied = await inspector.call("apply_subagent", **handle)
    assert applied.exit_code == OK, applied.result or applied.complaint
    agent = applied.answer["agent"]
    assert dev_server.agent(agent)["metadata"]["uid"] == applied.answer["uid"]

    listed = await inspector.call("list_subagents")
    assert agent in [entry["agent"] for entry in listed.answer["subagents"]]
    found = await inspector.call("get_subagent", agent=agent)
    assert (found.exit_code, found.answer["uid"]) == (OK, applied.answer["uid"])

    retired = await inspector.call("retire_subagent", agent=agent)
    assert retired.exit_code == OK, retired.result or retired.complaint
    assert agent in {*retired.answer["retired"], *retired.answer["not_yet"]}
    await dev_server.gone(agent)


async def test_a_refusal_ends_with_the_exit_code_of_a_tools_error_and_its_reasons(inspector: Inspector) -> None:
    ran = await inspector.call("propose_subagent", template="no-such-template", purpose="Try")
    assert (ran.exit_code, ran.answer["outcome"]) == (TOOL_REFUSED, "denied")
    assert "template.not_allowed" in ran.codes


async def test_a_call_without_a_credential_is_refused_as_a_result(inspector: Inspector) -> None:
    ran = await replace(inspector, token="").call("list_subagents")
    assert (ran.exit_code, ran.codes) == (TOOL_REFUSED, ["identity.missing"])


async def test_a_bad_credential_asks_for_authorization(inspector: Inspector) -> None:
    ran = await replace(inspector, token="not-a-token").call("list_subagents")
    assert (ran.exit_code, ran.result) == (AUTHORIZATION_REQUIRED, {})


async def test_the_commands_that_it_prints_work_as_they_stand(dev_server: DevServer, tmp_path: Path) -> None:
    def printed() -> list[str]:
        return [line.strip() for line in dev_server.output.read_text().splitlines() if NPX in line]

    await until(lambda: len(printed()) == len(ERAS) + 1)  # the last one searches
    for line in printed():
        exit_code, output, errors = await finished(["bash", "-c", line.replace(NPX, installed())], tmp_path)
        assert (exit_code, errors) == (OK, ""), line
        assert json.loads(output)["structuredContent"]["outcome"] == "allowed"

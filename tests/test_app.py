"""The parts put together: over the in-process world, as `agentspawn serve --memory` runs it."""

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import structlog
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_agentspawn import app
from mcp_agentspawn.core.errors import ConfigError, Unavailable
from mcp_agentspawn.localplane.registry import Standin, registry_standin
from mcp_agentspawn.localplane.registry import load as load_content
from mcp_agentspawn.settings import Settings, load
from tests.localplane.waiting import until
from tests.server.edges import ERAS, codes

REPOSITORY = Path(__file__).parents[1]
QUESTION = [{"name": "question", "value": "What is an admission policy?"}]
PROPOSE = {"template": "researcher", "purpose": "To know it", "parameters": QUESTION}


def settings(**options: Any) -> Settings:
    folders = {"policies": REPOSITORY / "policies", "templates": REPOSITORY / "templates"}
    return load({}, folders | {"port": 0} | options)


@asynccontextmanager
async def connected(serving: app.MemoryServing, era: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {serving.token_file.read_text()}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(serving.served.url, http_client=http), mode=era) as session,
    ):
        yield session


async def call(session: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answered: dict[str, Any] | None = (await session.call_tool(tool, arguments)).structured_content
    assert answered is not None
    return answered


@pytest.mark.parametrize("era", ERAS)
async def test_one_spawn_from_search_to_retirement(era: str) -> None:
    async with app.serving_memory(settings()) as serving, connected(serving, era) as session:
        found = await call(session, "search_agents_agentregistry", query="research a question")
        proposed = await call(session, "propose_subagent", **PROPOSE)
        again = await call(session, "propose_subagent", **PROPOSE)
        which = {"proposal": proposed["proposal"], "digest": proposed["digest"]}
        applied = await call(session, "apply_subagent", **which)
        same = await call(session, "apply_subagent", **which)
        listed = await call(session, "list_subagents")
        retired = await call(session, "retire_subagent", agent=applied["agent"])
        after = await call(session, "propose_subagent", **PROPOSE)

    assert found["hits"][0]["handle"] == "researcher"
    assert again["proposal"] == proposed["proposal"] == applied["agent"]
    assert same["uid"] == applied["uid"]
    assert [entry["agent"] for entry in listed["subagents"]] == [applied["agent"]]
    assert (retired["outcome"], retired["phase"]) == ("allowed", "retired")
    assert after["proposal"] != proposed["proposal"]
    assert {answer["world"] for answer in (found, proposed, applied, listed, retired)} == {"memory"}


async def test_what_is_refused_says_so_and_changes_nothing() -> None:
    async with app.serving_memory(settings()) as serving, connected(serving, "legacy") as session:
        unknown = await call(session, "propose_subagent", **PROPOSE | {"template": "nobody"})
        registry = await call(session, "propose_subagent", **PROPOSE, registry_entry="x/y")
        stranger = await call(session, "get_subagent", agent="sub-researcher-abc")
        listed = await call(session, "list_subagents")

    assert [answer["outcome"] for answer in (unknown, registry, stranger)] == ["denied"] * 3
    assert all(answer["reasons"] and answer["next_step"] for answer in (unknown, registry, stranger))
    assert listed["subagents"] == []


async def test_a_subagent_becomes_ready_in_this_world() -> None:
    async with app.serving_memory(settings()) as serving, connected(serving, "legacy") as session:
        proposed = await call(session, "propose_subagent", **PROPOSE)
        await call(session, "apply_subagent", proposal=proposed["proposal"], digest=proposed["digest"])

        async def ready() -> bool:
            return bool((await call(session, "get_subagent", agent=proposed["proposal"]))["phase"] == "ready")

        await until(ready)
        found = await call(session, "get_subagent", agent=proposed["proposal"])

    assert found["a2a_url"].startswith("http://")


async def test_every_change_and_refusal_is_in_the_named_audit_file(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    async with app.serving_memory(settings(audit_file=file)) as serving, connected(serving, "legacy") as session:
        await call(session, "propose_subagent", **PROPOSE)
        await call(session, "get_subagent", agent="NOT AN ID")

    events = [json.loads(line).get("event") for line in file.read_text().splitlines()]
    assert events[-3:] == ["proposal.intent", "proposal.outcome", "refused"]
    assert "admission policy" not in file.read_text()


async def test_nothing_is_left() -> None:
    async with app.serving_memory(settings()) as serving:
        assert stat.S_IMODE(serving.token_file.stat().st_mode) == 0o600
        folder = serving.token_file.parent

    assert not folder.exists()


async def test_the_token_is_said_by_its_file_alone() -> None:
    with structlog.testing.capture_logs() as logs:
        async with app.serving_memory(settings()) as serving, connected(serving, "legacy") as session:
            token = serving.token_file.read_text()
            await call(session, "list_templates")

    assert token not in str(logs)
    assert token not in repr(serving)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "agents.example.com"])  # noqa: S104 - an example
async def test_the_world_without_guards_of_its_own_serves_this_machine_alone(host: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with app.serving_memory(settings(host=host)):
            pass

    assert refused.value.problems[0].startswith("AGENTSPAWN_HOST: ")


async def test_a_taken_port_is_unavailable() -> None:
    async with app.serving_memory(settings()) as serving:
        port = int(serving.served.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(Unavailable, match=str(port)):
            async with app.serving_memory(settings(port=port)):
                pass


async def test_a_cluster_without_roots_is_not_served() -> None:
    with pytest.raises(ConfigError, match="AGENTSPAWN_ROOTS"):
        async with app.serving_cluster(settings()):
            pass


@pytest.mark.parametrize("kind", ["templates", "policies", "registries"])
async def test_bad_rules_are_not_served_and_every_problem_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "bad.yaml").write_text("colour: red\n")
    with pytest.raises(ConfigError) as refused:
        async with app.serving_memory(settings(**{kind: tmp_path})):
            pass

    assert all("bad.yaml:" in problem for problem in refused.value.problems)


def test_two_policies_for_one_caller_are_an_error_with_a_line(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("callers: {namespaces: [agents]}\n")
    with pytest.raises(ConfigError) as refused:
        app.load_rules(REPOSITORY / "templates", tmp_path)

    assert len(refused.value.problems) == 1
    assert "two.yaml:1:" in refused.value.problems[0]


async def test_rules_are_loaded_again_and_bad_ones_are_not_taken(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("callers: {namespaces: [agents]}\ntemplate: {allow: [researcher]}\n")
    async with app.serving_memory(settings(policies=tmp_path)) as serving, connected(serving, "legacy") as session:
        policy.write_text("callers: {namespaces: [agents]}\ntemplate: {allow: [verifier]}\n")
        await until_offered(session, ["verifier"])
        policy.write_text("callers: {colour: red}\n")
        await until_metric(serving, "agentspawn_rules_reload_failures_total 1.0")
        await until_offered(session, ["verifier"])


@asynccontextmanager
async def served_with_a_registry(folder: Path) -> AsyncIterator[tuple[Standin, app.MemoryServing]]:
    """A server that reads a stand-in registry, as `main`."""
    async with registry_standin(load_content(REPOSITORY / "dev" / "registry" / "agents.yaml")) as registry:
        (folder / "main.yaml").write_text(f"url: {registry.url}\nprivate_addresses: true\n")
        async with app.serving_memory(settings(registries=folder)) as serving:
            yield registry, serving


async def until_found(session: Client, query: str) -> dict[str, Any]:
    """The first hit of registry `main` for these words, once it has been read."""
    hits: list[dict[str, Any]] = []

    async def found() -> bool:
        hits[:] = (await call(session, "search_agents_agentregistry", query=query, source="main"))["hits"]
        return bool(hits)

    await until(found)
    return hits[0]


async def test_an_entry_of_a_registry_is_found_and_proposed(tmp_path: Path) -> None:
    async with served_with_a_registry(tmp_path) as (_, serving), connected(serving, "legacy") as session:
        hit = await until_found(session, "write release notes")
        proposed = await call(
            session,
            "propose_subagent",
            template=hit["template"],
            purpose="To know it",
            registry_entry=hit["handle"],
            parameters=[{"name": "task", "value": "Write the notes of 1.2"}],
        )
        await until_metric(serving, 'agentspawn_registry_readings_total{outcome="read",registry="main"} 1.0')

    assert hit["spawnable"], hit["blocked_by"]
    assert (proposed["outcome"], proposed["risk"]) == ("pending_approval", "medium")
    assert proposed["manifest"]["metadata"]["annotations"]["agentspawn.dev/registry-entry"] == hit["handle"]


async def test_in_memory_a_new_template_can_be_used_as_soon_as_it_is_read(tmp_path: Path) -> None:
    templates, policies = tmp_path / "templates", tmp_path / "policies"
    templates.mkdir()
    policies.mkdir()
    (policies / "policy.yaml").write_text(
        "callers: {namespaces: [agents]}\ntemplate: {allow: [researcher, newcomer]}\n"
    )
    text = (REPOSITORY / "templates" / "researcher.yaml").read_text()
    (templates / "researcher.yaml").write_text(text)
    folders = {"policies": policies, "templates": templates}
    async with app.serving_memory(settings(**folders)) as serving, connected(serving, "legacy") as session:
        await until_offered(session, ["researcher"])
        (templates / "newcomer.yaml").write_text(text)
        await until_offered(session, ["newcomer", "researcher"])
        proposed = await call(session, "propose_subagent", **PROPOSE | {"template": "newcomer"})

    assert proposed["outcome"] == "allowed"


async def test_new_rules_show_other_entries(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    rules = "callers: {namespaces: [agents]}\nregistry: {see: [{registry: main, namespaces: [%s]}]}\n"
    (policies / "policy.yaml").write_text(rules % "nowhere")
    (tmp_path / "registries").mkdir()
    async with registry_standin(load_content(REPOSITORY / "dev" / "registry" / "agents.yaml")) as registry:
        (tmp_path / "registries" / "main.yaml").write_text(f"url: {registry.url}\nprivate_addresses: true\n")
        folders = {"policies": policies, "registries": tmp_path / "registries"}
        async with app.serving_memory(settings(**folders)) as serving, connected(serving, "legacy") as session:
            await until_metric(serving, 'agentspawn_registry_readings_total{outcome="read",registry="main"} 1.0')
            hidden = await call(session, "search_agents_agentregistry", query="", source="main")
            (policies / "policy.yaml").write_text(rules % '"*"')
            hit = await until_found(session, "")

    assert hidden["hits"] == []
    assert [reason["code"] for reason in hit["blocked_by"]][-1] == "registry.no_template"


async def until_offered(session: Client, names: list[str]) -> None:
    async def offered() -> bool:
        return [offer["name"] for offer in (await call(session, "list_templates"))["templates"]] == names

    await until(offered)


async def until_metric(serving: app.MemoryServing, line: str) -> None:
    url = serving.served.url.removesuffix("/mcp")

    async def counted() -> bool:
        async with httpx.AsyncClient() as http:
            return line in (await http.get(f"{url}/metrics")).text

    await until(counted)


async def test_an_audit_that_can_not_be_written_makes_the_server_unready_until_it_can(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    async with app.serving_memory(settings(audit_file=file)) as serving, connected(serving, "legacy") as session:
        health = serving.served.process.health

        async def ready() -> bool:
            return not await health.problems()

        async def unready() -> bool:
            return list(await health.problems()) == ["audit"]

        await until(ready)
        file.rename(file.with_suffix(".gone"))
        file.mkdir()
        refused = await call(session, "propose_subagent", **PROPOSE)
        await until(unready)
        file.rmdir()
        file.with_suffix(".gone").rename(file)
        await until(ready)
        allowed = await call(session, "propose_subagent", **PROPOSE)

    assert codes(refused) == ["server.unavailable"]
    assert allowed["outcome"] == "allowed"


def test_rules_that_do_not_fit_are_loaded_and_said_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text(
        "callers: {namespaces: [agents]}\nregistry:\n  see:\n    - {registry: mian, namespaces: [default]}\n"
    )
    with structlog.testing.capture_logs() as logs:
        app.load_rules(REPOSITORY / "templates", tmp_path, ["main"])

    said = [entry["at"] for entry in logs if entry["event"] == "a rule does not fit"]
    assert [at for at in said if "default.yaml:4: registry.see[0].registry: " in at and "main" in at]

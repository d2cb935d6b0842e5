"""A whole world on this machine, as people start it: told step by step, confirmed by the API server, then gone."""

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from mcp_agentspawn.cli.dev import checkout
from mcp_agentspawn.cli.dev.cluster import ROOTS
from mcp_agentspawn.cli.dev.command import _once, _tell
from mcp_agentspawn.cli.dev.models import configured
from mcp_agentspawn.cli.dev.registry_story import hire
from mcp_agentspawn.cli.dev.story import retire, spawn
from mcp_agentspawn.cli.dev.telling import Teller, caller
from mcp_agentspawn.cli.dev.working_story import live, work
from mcp_agentspawn.cli.dev.world import LocalWorld, local_world
from mcp_agentspawn.core.registry import Handle
from mcp_agentspawn.localplane import Binaries
from mcp_agentspawn.localplane.agents import Endpoint
from mcp_agentspawn.localplane.registry import load, registry_standin
from tests.dev_fixtures import DevServer
from tests.localplane.waiting import left_behind, until, until_now

REPOSITORY = Path(__file__).parents[2]
AGENTSPAWN = Path(sys.executable).with_name("agentspawn")
pytestmark = pytest.mark.timeout(180)


def variables(folder: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTSPAWN_")}
    return kept | {"TMPDIR": str(folder)}


@contextmanager
def dev(folder: Path, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """The command in a session of its own, as a terminal would run it; and its output."""
    output = folder.with_suffix(".output")
    with output.open("w") as stream:
        process = subprocess.Popen(
            [str(AGENTSPAWN), "dev", *options],
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=variables(folder),
        )
        try:
            yield process, output
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_the_ready_file_says_where_everything_is(dev_server: DevServer) -> None:
    """That it goes with the command, as everything else does, is shown where the command ends."""
    ready = json.loads(dev_server.ready_file.read_text())
    files = [*ready["tokens"].values(), ready["kubeconfig"], *ready["kubeconfigs"].values()]
    verified = subprocess.run(
        [str(AGENTSPAWN), "audit", "verify", ready["audit_file"], "--kubeconfig", ready["kubeconfig"]],
        check=False,
        capture_output=True,
    )

    assert list(ready) == [
        "mcp_url",
        "kubeconfig",
        "system_namespace",
        "namespace",
        "tokens",
        "kubeconfigs",
        "audit_file",
        "registry_url",
        "a2a_url",
    ]
    assert list(ready["kubeconfigs"]) == ["alice", "bob"]
    assert (ready["system_namespace"], ready["namespace"]) == ("agentspawn-system", "subagents")
    assert {stat.S_IMODE(Path(file).stat().st_mode) for file in [dev_server.ready_file, *files]} == {0o600}
    assert verified.returncode == 0, verified.stdout


def test_a_start_that_is_interrupted_leaves_nothing(tmp_path: Path, control_plane_binaries: Binaries) -> None:
    assert control_plane_binaries
    with dev(tmp_path) as (process, output):
        until_now(lambda: any(tmp_path.glob("agentspawn-plane-*/etcd.log")) or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)

    assert process.returncode == 0, output.read_text()
    assert "Traceback" not in output.read_text()
    until_now(lambda: left_behind(tmp_path) == [])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(control_plane_binaries: Binaries) -> AsyncIterator[LocalWorld]:
    async with local_world(control_plane_binaries, 0) as running:
        yield running


async def test_every_step_of_the_story_is_confirmed_by_the_api_server(
    world: LocalWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = Teller()
    await retire(world, teller, await spawn(world, teller))

    assert teller.failed == []
    said = capsys.readouterr().out
    assert len(re.findall(r"^   confirmed ", said, re.MULTILINE)) >= 15
    assert "HTTP 403: agents.kagent.dev is forbidden" in said
    assert "ValidatingAdmissionPolicy 'agentspawn-lock'" in said


async def test_every_step_from_a_registry_s_entry_to_an_agent_is_confirmed(
    world: LocalWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = Teller()
    agent = await hire(world, teller)
    await retire(world, teller, agent)

    assert (teller.failed, agent != "") == ([], True)
    said = capsys.readouterr().out
    assert len(re.findall(r"^   confirmed ", said, re.MULTILINE)) >= 15
    assert re.search(r"Log Analyst \(main\): .* \(not spawnable: registry.image_not_allowed", said)


async def test_the_whole_demonstration_is_confirmed_by_the_agents_and_the_audit_too(
    world: LocalWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = ["it did not come to its end"]
    await _once(world, failed)

    assert failed == []
    said = capsys.readouterr().out
    assert said.count("the agent itself says, over A2A, that it is done") == 4
    assert len(re.findall(r"state +input_required, asks a question", said)) == 2
    assert len(re.findall(r"confirmed +nothing of it was altered", said)) == 2


async def test_the_subagent_that_is_left_to_look_at_is_live_and_ready(world: LocalWorld) -> None:
    await _tell(world)
    token_file = world.cluster.credentials.callers["orchestrator"]
    async with caller("call", world.mcp_url, token_file, Teller()) as orchestrator:
        [left] = (await orchestrator.call("list_subagents"))["subagents"]

    assert (left["phase"], world.agents.process_id("subagents", left["agent"]) is not None) == ("ready", True)
    await retire(world, Teller(), left["agent"])


async def counts_begin_anew(world: LocalWorld) -> None:
    """The tests before have made as many changes as the sample policy lets one make in a minute."""
    words = ["reset", ROOTS["orchestrator"].name, "--counts", "--reason", "tests", "--kubeconfig"]
    command = [sys.executable, "-m", "mcp_agentspawn", *words, str(world.cluster.people["alice"])]
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


async def test_the_story_of_work_fails_when_the_agent_does_not_confirm(
    world: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> tuple[str, str]:
        return "", ""

    await counts_begin_anew(world)
    agent = await spawn(world, Teller())
    assert agent
    await live(world, Teller(), agent)
    monkeypatch.setattr("mcp_agentspawn.cli.dev.telling.AgentWitness.task", nothing)
    teller = Teller()
    await work(world, teller, agent)
    await retire(world, Teller(), agent)

    assert len(teller.failed) == 4


async def test_the_story_of_an_entry_fails_when_the_registry_does_not_confirm(
    world: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    monkeypatch.setattr("mcp_agentspawn.cli.dev.telling.RegistryWitness.spec", nothing)
    teller = Teller()
    agent = await hire(world, teller)
    await retire(world, Teller(), agent)

    assert len(teller.failed) == 4


async def test_what_runs_here_has_a_registry_that_was_read_by_the_time_it_is_ready(dev_server: DevServer) -> None:
    async with httpx.AsyncClient() as http:
        served = await http.get(f"{dev_server.registry_url}/v0/agents", params={"limit": "1"})
    async with caller("call", dev_server.mcp_url, dev_server.tokens["orchestrator"], Teller()) as orchestrator:
        found = await orchestrator.call("search_agents_agentregistry", query="cite sources", source="main")

    assert served.is_success
    assert [state["freshness"] for state in found["registries"]] == ["fresh"]
    assert "web-researcher" in [Handle.read(hit["handle"]).name for hit in found["hits"]]  # type: ignore[union-attr]  # it is one


async def test_a_policy_that_shows_nothing_of_the_registry_keeps_nobody_waiting_and_is_named_by_the_story(
    control_plane_binaries: Binaries,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = yaml.safe_load((checkout.POLICIES / "default.yaml").read_text())
    (tmp_path / "default.yaml").write_text(yaml.safe_dump(written | {"registry": {}}))
    monkeypatch.setattr("mcp_agentspawn.cli.dev.checkout.POLICIES", tmp_path)
    monkeypatch.setattr("mcp_agentspawn.cli.dev.world.SEARCHED_WITHIN_SECONDS", float("inf"))
    async with local_world(control_plane_binaries, 0) as world:
        assert world.registry_url.startswith("http://127.0.0.1:")
        teller = Teller()
        agent = await hire(world, teller)

    said = capsys.readouterr().out
    assert (agent, len(teller.failed)) == ("", 1)
    assert ("   missing " in said, "NOT SO" in said) == (True, False)


async def test_registries_of_one_s_own_take_the_place_of_the_stand_in(
    control_plane_binaries: Binaries, tmp_path: Path
) -> None:
    async with registry_standin(load(checkout.REGISTRY)) as mine:
        (tmp_path / "main.yaml").write_text(yaml.safe_dump({"url": mine.url, "private_addresses": True}))
        async with local_world(control_plane_binaries, 0, tmp_path) as world:
            token_file = world.cluster.credentials.callers["orchestrator"]
            async with caller("call", world.mcp_url, token_file, Teller()) as orchestrator:

                async def found() -> bool:
                    answer = await orchestrator.call("search_agents_agentregistry", query="", source="main")
                    return bool(answer["hits"])

                await until(found)

    assert (world.registry_url, world.registries) == ("", tmp_path)


def test_a_folder_without_registries_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with dev(tmp_path, "--registries", str(tmp_path / "nowhere")) as (process, output):
        process.wait(timeout=60)

    assert process.returncode == 1
    assert output.read_text().startswith("--registries ")


async def test_the_story_fails_when_the_api_server_does_not_confirm(
    world: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr("mcp_agentspawn.cli.dev.telling.Witness.agent", nothing)
    teller = Teller()
    agent = await spawn(world, teller)

    assert agent == ""
    assert len(teller.failed) == 1


async def test_credentials_are_replaced_before_they_expire(world: LocalWorld) -> None:
    credentials = world.cluster.credentials
    before = {file: file.read_text() for file in (credentials.server, *credentials.callers.values())}
    await credentials.refresh()

    assert all(file.read_text() != text for file, text in before.items())
    assert not list(world.cluster.plane.folder.glob("*.new"))


async def test_the_world_gives_up_when_a_part_of_it_ends(control_plane_binaries: Binaries) -> None:
    async with local_world(control_plane_binaries, 0) as world:
        os.kill(world.cluster.plane.process_ids["kube-apiserver"], signal.SIGKILL)
        with pytest.raises(Exception, match="kube-apiserver"):
            await world.watch()


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, None),
        ({"OPENAI_MODEL": "big"}, None),
        ({"OPENAI_API_KEY": "key"}, Endpoint("https://api.openai.com/v1", "key")),
        ({"OPENAI_BASE_URL": "http://here/v1", "OPENAI_MODEL": "big"}, Endpoint("http://here/v1", "none", "big")),
    ],
)
def test_a_model_is_the_one_that_the_environment_names(variables: Mapping[str, str], endpoint: Endpoint | None) -> None:
    assert configured(variables) == endpoint

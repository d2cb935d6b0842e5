"""Whatever happens to whoever started agents, none of them runs on; and a runtime that ends is said to have ended."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from mcp_agentspawn.localplane import ControlPlaneFailed, ControlPlaneUnavailable
from mcp_agentspawn.localplane.agents import AgentRuntime, Endpoint, find_runtime
from mcp_agentspawn.localplane.agents.process import Process
from mcp_agentspawn.localplane.agents.translating import card, configuration
from tests.clients.environments import kagent_python
from tests.localplane.agent_samples import FOUND, agent
from tests.localplane.waiting import left_behind, processes_of, until, until_now

KEY = "a-key-of-somebody"
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from mcp_agentspawn.localplane.agents import AgentRuntime

async def main():
    async with AgentRuntime(Path(sys.argv[1])) as runtime:
        for config, card in json.loads(sys.argv[2]):
            process = await runtime.start("name", config, card, "none")
            print(process.id, flush=True)
        print("", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def started(runtime: AgentRuntime) -> Process:
    sample = agent()
    return await runtime.start("name", configuration(sample, FOUND, {}, Endpoint("http://x", KEY)), card(sample), KEY)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentRuntime]:
    """A runtime that leaves nothing, whatever still runs in it."""
    folder = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(folder))
        async with AgentRuntime(kagent_python()) as runtime:
            yield runtime
            left = [await started(runtime) for _ in range(2)]
    assert left_behind(folder) == []
    await until(lambda: not any(psutil.pid_exists(process.id) for process in left))


async def test_an_agent_is_ended_alone(shared: AgentRuntime) -> None:
    one, other = await started(shared), await started(shared)
    await shared.stop(one)
    await shared.stop(one)

    assert (one.ended.result(), psutil.pid_exists(other.id)) == (-signal.SIGKILL, True)


async def test_the_key_of_the_model_is_in_no_file_no_argument_and_no_environment(shared: AgentRuntime) -> None:
    process = psutil.Process((await started(shared)).id)
    parent = process.parent()
    assert parent is not None
    seen = [*process.cmdline(), *process.environ().values(), *parent.environ().values(), *texts_in(shared.folder)]

    assert not [text for text in seen if KEY in text]


def texts_in(folder: Path) -> list[str]:
    return [file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file()]


async def test_a_runtime_that_ends_takes_its_agents_with_it_and_is_reported(temporary: Path) -> None:
    async with AgentRuntime(kagent_python()) as runtime:
        process = await started(runtime)
        os.kill(psutil.Process(process.id).ppid(), signal.SIGKILL)
        with pytest.raises(ControlPlaneFailed, match="kagent's agent runtime ended"):
            await runtime.watch()
        with pytest.raises(ControlPlaneFailed):
            await started(runtime)
        await until(lambda: not psutil.pid_exists(process.id))
    assert left_behind(temporary) == []


async def test_a_runtime_that_can_not_be_started_leaves_nothing(temporary: Path) -> None:
    with pytest.raises(ControlPlaneFailed, match="could not be started"):
        async with AgentRuntime(temporary / "python"):
            pytest.fail("it must not start")
    assert left_behind(temporary) == []


@contextmanager
def running_elsewhere(temporary: Path) -> Iterator["tuple[subprocess.Popen[str], list[int]]"]:
    """A process of its own that runs two agents, and their process ids."""
    sample = agent()
    pair = [configuration(sample, FOUND, {}, Endpoint("http://x", "none")), card(sample)]
    command = [sys.executable, "-c", PROGRAM, str(kagent_python()), json.dumps([pair, pair])]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process, [int(line) for line in iter(process.stdout.readline, "\n")]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_agents_end_with_whoever_started_them(temporary: Path, number: signal.Signals) -> None:
    with running_elsewhere(temporary) as (process, agents):
        assert len(agents) == 2
        assert processes_of(temporary)
        process.send_signal(number)
        process.wait(timeout=30)
    until_now(lambda: not any(psutil.pid_exists(id_) for id_ in agents))
    until_now(lambda: left_behind(temporary) == [])


def instead_of_python(temporary: Path, script: str) -> Path:
    """A program that is started as kagent's Python is, with the runtime's folder as `$3`."""
    program = temporary / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return program


async def test_an_agent_is_not_started_by_a_runtime_that_ends(temporary: Path) -> None:
    async with AgentRuntime(instead_of_python(temporary, "read start")) as runtime:
        with pytest.raises(ControlPlaneFailed):
            await started(runtime)


async def test_an_agent_is_not_started_by_a_runtime_that_listens_no_more(temporary: Path) -> None:
    async with AgentRuntime(instead_of_python(temporary, 'exec <&-; touch "$3/deaf"; exec sleep 60')) as runtime:
        await until((runtime.folder / "deaf").is_file)
        with pytest.raises(ControlPlaneFailed):
            await started(runtime)


async def test_whoever_waits_for_an_agents_end_hears_that_its_runtime_has_ended(temporary: Path) -> None:
    says = """read start; echo '{"started": 1, "process": 1, "port": 1}'; read stop"""
    async with AgentRuntime(instead_of_python(temporary, says)) as runtime:
        process = await started(runtime)
        await runtime.stop(process)
        with pytest.raises(ControlPlaneFailed):
            await process.ended


async def test_a_proxy_for_models_is_handed_on_however_it_is_written(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "models.example")
    async with AgentRuntime(instead_of_python(temporary, 'env > "$3/heard.part"; mv "$3/heard.part" "$3/heard"')) as it:
        await until((it.folder / "heard").is_file)
        heard = (it.folder / "heard").read_text().splitlines()

    assert {"HTTPS_PROXY=http://proxy:3128", "NO_PROXY=127.0.0.1,localhost,models.example"} <= set(heard)


def test_where_the_runtime_is_not_installed_it_is_said_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneUnavailable, match="make setup"):
        find_runtime(tmp_path)

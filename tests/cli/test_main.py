"""The command line: its commands, and its exit codes (0 fine, 1 findings, 2 usage, 3 unavailable)."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from mcp_agentspawn import cli
from mcp_agentspawn.cli import COMMANDS, main
from mcp_agentspawn.core.errors import ConfigError, Unavailable, UnknownOutcome
from mcp_agentspawn.localplane import ControlPlaneUnavailable
from mcp_agentspawn.localplane.errors import ControlPlaneFailed
from tests.localplane.waiting import until_now

REPOSITORY = Path(__file__).parents[2]
AGENTSPAWN = Path(sys.executable).with_name("agentspawn")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(name: str) -> None:
    result = run(name, "--help")

    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_all_commands_are_listed_with_what_they_do() -> None:
    result = run("--help")

    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\w", result.output, re.MULTILINE), name


def test_a_command_that_there_is_not_is_a_usage_error() -> None:
    assert run("abolish").exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(["one", "two"]), 2, "one\ntwo\n"),
        (Unavailable("no cluster"), 3, "no cluster\n"),
        (UnknownOutcome("who knows"), 3, "who knows\n"),
        (ControlPlaneUnavailable("no Go"), 3, "no Go\n"),
        (ControlPlaneFailed("etcd died"), 3, "etcd died\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_went_wrong_is_said_in_words_and_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(cli, "COMMANDS", {"failing": f"{__name__}:failing"})
    monkeypatch.setattr(sys.modules[__name__], "failing", failing, raising=False)
    result = run("failing")

    assert (result.exit_code, result.output) == (code, said)


def test_serve_names_every_bad_setting(tmp_path: Path) -> None:
    result = run("serve", "--memory", "--port", "many", "--policies", str(tmp_path / "none"))

    assert result.exit_code == 2
    assert "AGENTSPAWN_PORT: " in result.output
    assert "AGENTSPAWN_POLICIES: " in result.output


def test_serve_without_a_cluster_or_a_root_says_so(tmp_path: Path) -> None:
    folders = ["--policies", str(REPOSITORY / "policies"), "--templates", str(REPOSITORY / "templates")]
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text("{}")

    assert "AGENTSPAWN_ROOTS" in run("serve", *folders).output
    assert run("serve", *folders, "--roots", "agents/a", "--kubeconfig", str(nowhere)).exit_code == 2


def test_manifests_are_yaml_for_one_orchestrator() -> None:
    result = run("manifests", "--root", "agents/orchestrator", "--namespace", "team-b", "--template", "verifier")
    documents = list(yaml.safe_load_all(result.output))

    assert result.exit_code == 0
    assert {"ServiceAccount", "RemoteMCPServer", "RoleBinding"} <= {document["kind"] for document in documents}
    assert "researcher" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--root", "orchestrator", "--namespace", "subagents"],
        ["--root", "agents/orchestrator"],
        ["--root", "agents/orchestrator", "--namespace", "agentspawn-system"],
        ["--root", "agents/orchestrator", "--namespace", "UPPER"],
    ],
)
def test_manifests_for_what_can_not_be_are_a_usage_error(arguments: list[str]) -> None:
    assert run("manifests", *arguments).exit_code == 2


def test_a_healthcheck_without_an_answer_is_unavailable() -> None:
    assert run("healthcheck", "http://127.0.0.1:1/healthz").exit_code == 3
    assert run("healthcheck", "no url").exit_code == 3


def test_python_m_is_the_same_command() -> None:
    result = subprocess.run([sys.executable, "-m", "mcp_agentspawn", "--version"], capture_output=True, check=True)

    assert b"0.1.0" in result.stdout


def clean_environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTSPAWN_")}
    return kept | {"TMPDIR": str(folder)}


@contextmanager
def memory_server(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    output = folder / "output"
    command = [str(AGENTSPAWN), "serve", "--memory", "--port", "0"]
    with output.open("w") as stream:
        variables = clean_environment(folder)
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=REPOSITORY, env=variables)
        try:
            until_now(lambda: "X-Agentspawn-Token" in output.read_text() or process.poll() is not None)
            yield process, output
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_with_zero_when_it_is_stopped_and_leaves_nothing(tmp_path: Path, stop: signal.Signals) -> None:
    with memory_server(tmp_path) as (process, output):
        process.send_signal(stop)
        process.wait(timeout=20)

    assert process.returncode == 0, output.read_text()
    assert "Traceback" not in output.read_text()
    assert list(tmp_path.iterdir()) == [output]


def test_a_server_prints_how_to_call_it_but_no_token(tmp_path: Path) -> None:
    with memory_server(tmp_path) as (_, output):
        said = output.read_text()
        (file,) = tmp_path.glob("agentspawn-memory-*/token")
        token = file.read_text()

    assert f"$(cat {file})" in said
    assert token not in said


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with memory_server(tmp_path) as (_, output):
        port = re.findall(r"127\.0\.0\.1:(\d+)/mcp", output.read_text())[0]
        result = run("dev", "--port", port)

    assert result.exit_code == 1
    assert port in result.output


@pytest.mark.parametrize("arguments", [["--log-level", "loud"], ["--ready-file", "/no/x.json"], ["--port", "-1"]])
def test_dev_refuses_what_can_not_be_before_it_starts_anything(arguments: list[str]) -> None:
    assert run("dev", *arguments).exit_code == 2

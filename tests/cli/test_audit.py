from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_agentspawn.cli import audit as command
from mcp_agentspawn.core.errors import AgentSpawnError, ConfigError, Unavailable
from mcp_agentspawn.core.ledger import Head
from tests.audit_chain import WRITER, Chain, chain


@dataclass
class Cluster:
    """What the root command's context carries: how to read the ledgers' heads."""

    heads: Sequence[Head] = ()
    error: AgentSpawnError | TimeoutError | None = None
    asked: Path | None = None

    async def read_heads(self, kubeconfig: Path | None) -> Sequence[Head]:
        self.asked = kubeconfig
        if self.error:
            raise self.error
        return self.heads


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SECONDS_BETWEEN_LOOKS", 0)


def stored(log: Chain, path: Path, *, without: int = 0) -> Path:
    path.write_bytes(b"".join(log.lines[: len(log.lines) - without]))
    return path


def verify(*arguments: str | Path, cluster: Cluster | None = None) -> Result:
    words = [str(argument) for argument in ("verify", *arguments)]
    return CliRunner().invoke(command.audit, words, obj=cluster or Cluster())


def test_a_whole_log_is_0_and_says_what_was_read(tmp_path: Path) -> None:
    log = chain(6)
    path = stored(log, tmp_path / "audit.jsonl")

    result = verify(path, cluster=Cluster([log.head]))

    assert result.exit_code == 0
    assert result.stdout == (
        f"{path}: 6 records in 2 segments by {WRITER}, 0 findings, tail checked against 1 ledger head\n"
    )


def test_findings_are_1_and_one_line_each_with_file_and_line(tmp_path: Path) -> None:
    log = chain(6)
    del log.lines[2]
    path = stored(log, tmp_path / "audit.jsonl")

    result = verify(path, "--no-cluster")

    assert result.exit_code == 1
    first, note, last = result.stdout.splitlines()
    assert first.startswith(f"{path}:3: gap: ")
    assert note.startswith(f"{path}: note: tail_unchecked: ")
    assert last.endswith("1 finding, tail unchecked")


def test_a_cut_tail_is_found_with_a_cluster_and_only_noted_without(tmp_path: Path) -> None:
    log = chain(6)
    path = stored(log, tmp_path / "audit.jsonl", without=1)

    with_cluster = verify(path, cluster=Cluster([log.head]))
    without = verify(path, "--no-cluster")

    assert (with_cluster.exit_code, without.exit_code) == (1, 0)
    assert f"{path}:5: cut: " in with_cluster.stdout
    assert "note: tail_unchecked" in without.stdout


def test_a_log_that_no_ledger_knows_is_whole_with_an_unchecked_tail(tmp_path: Path) -> None:
    result = verify(stored(chain(6), tmp_path / "audit.jsonl"))

    assert result.exit_code == 0
    assert result.stdout.endswith("tail unchecked\n")


def test_a_torn_end_is_a_finding(tmp_path: Path) -> None:
    path = stored(chain(6), tmp_path / "audit.jsonl")
    path.write_bytes(path.read_bytes()[:-9])

    result = verify(path, "--no-cluster")

    assert result.exit_code == 1
    assert f"{path}:6: torn: " in result.stdout


def test_a_line_that_a_living_writer_is_just_writing_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(chain(6), tmp_path / "audit.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(whole))

    assert verify(path, "--no-cluster").exit_code == 0


def test_an_empty_log_is_a_finding(tmp_path: Path) -> None:
    result = verify(stored(Chain(), tmp_path / "audit.jsonl"), "--no-cluster")

    assert result.exit_code == 1
    assert "by nobody" in result.stdout


@pytest.mark.parametrize("error", [Unavailable("no answer"), ConfigError(["no such context"]), TimeoutError()])
def test_a_cluster_that_is_not_reached_is_3_unless_the_log_itself_shows_something(
    tmp_path: Path, error: AgentSpawnError | TimeoutError
) -> None:
    whole, spoiled = stored(chain(6), tmp_path / "whole"), tmp_path / "spoiled"
    spoiled.write_bytes(whole.read_bytes().replace(b"apply", b"appla", 1))

    unreached = verify(whole, cluster=Cluster(error=error))

    assert unreached.exit_code == 3
    assert "--no-cluster" in unreached.stderr
    assert unreached.stdout.endswith("tail unchecked\n")
    assert verify(spoiled, cluster=Cluster(error=error)).exit_code == 1


def test_the_kubeconfig_is_passed_on(tmp_path: Path) -> None:
    kubeconfig, cluster = tmp_path / "kubeconfig", Cluster()
    kubeconfig.touch()

    verify(stored(chain(2), tmp_path / "audit.jsonl"), "--kubeconfig", kubeconfig, cluster=cluster)

    assert cluster.asked == kubeconfig


def test_what_can_not_be_meant_is_2(tmp_path: Path) -> None:
    path = stored(chain(2), tmp_path / "audit.jsonl")

    assert verify().exit_code == 2
    assert verify(tmp_path / "missing").exit_code == 2
    assert verify(tmp_path).exit_code == 2
    assert verify(path, "--kubeconfig", tmp_path / "missing").exit_code == 2
    assert verify(path, "--kubeconfig", path, "--no-cluster").exit_code == 2


def test_a_forged_writer_can_not_write_on_the_terminal(tmp_path: Path) -> None:
    result = verify(stored(chain(2, writer="a\u009b2J\u202e"), tmp_path / "audit.jsonl"), "--no-cluster")

    assert all(line.isprintable() for line in result.stdout.splitlines())

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_agentspawn.localplane import ControlPlaneUnavailable, build, find_or_build
from mcp_agentspawn.localplane import __main__ as command
from mcp_agentspawn.localplane.binaries import CHECKOUT
from tests.localplane.waiting import processes_of, until_now

PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager"]
# Stands for the Go compiler: logs its arguments, then does what the test says, then writes the file behind -o.
FAKE_GO = """#!/bin/sh
echo "$@" >> {log}
while [ "$1" != -o ]; do shift; done
{behaviour}
echo program > "$2"
chmod 755 "$2"
"""

Go = Callable[[str], Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a checkout with nothing but the Go module."""
    source = tmp_path / "root" / "dev" / "controlplane"
    source.mkdir(parents=True)
    (source / "go.mod").write_text("module test\n")
    (source / "go.sum").write_text("")
    return tmp_path / "root"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a PATH with a folder of ours before the system's shell and its tools, and no Go."""
    folder = tmp_path / "path"
    folder.mkdir()
    for tool in ("sh", "sleep", "chmod", "env"):
        found = next(Path(place, tool) for place in ("/bin", "/usr/bin") if Path(place, tool).exists())
        (folder / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return folder


@pytest.fixture
def go(path: Path, tmp_path: Path) -> Go:
    def install(behaviour: str) -> Path:
        log = tmp_path / "calls"
        (path / "go").write_text(FAKE_GO.format(log=log, behaviour=behaviour))
        (path / "go").chmod(0o700)
        return log

    return install


def assets(folder: Path, *programs: str) -> Path:
    folder.mkdir()
    for program in programs:
        (folder / program).write_text("")
        (folder / program).chmod(0o700)
    return folder


def cached(root: Path) -> list[str]:
    """List everything below the cache but its lock."""
    cache = root / ".cache"
    return sorted(file.name for file in cache.rglob("*") if file.is_file() and file.name != ".lock")


def leftovers(root: Path) -> list[Path]:
    return list(root.glob(".cache/controlplane/*/.building-*"))


def in_another_process(root: Path) -> "subprocess.Popen[str]":
    script = f"from pathlib import Path; from mcp_agentspawn.localplane import *; find_or_build(Path({str(root)!r}))"
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_the_folder_of_kubebuilder_assets_wins(root: Path, tmp_path: Path, go: Go) -> None:
    log = go("")
    folder = assets(tmp_path / "assets", *PROGRAMS)
    binaries = find_or_build(root, environment={"KUBEBUILDER_ASSETS": str(folder)})
    assert [binaries.etcd, binaries.kube_apiserver, binaries.kube_controller_manager] == [folder / p for p in PROGRAMS]
    assert not log.exists()


def test_the_controller_manager_that_envtest_lacks_is_built_alone(root: Path, tmp_path: Path, go: Go) -> None:
    go("")
    folder = assets(tmp_path / "assets", "etcd", "kube-apiserver")
    binaries = find_or_build(root, environment={"KUBEBUILDER_ASSETS": str(folder)})
    assert binaries.kube_apiserver == folder / "kube-apiserver"
    assert binaries.kube_controller_manager.is_relative_to(root / ".cache")
    assert cached(root) == ["kube-controller-manager"]


@pytest.mark.usefixtures("path")
def test_without_go_the_controller_manager_that_envtest_lacks_is_named(root: Path, tmp_path: Path) -> None:
    folder = assets(tmp_path / "assets", "etcd", "kube-apiserver")
    with pytest.raises(ControlPlaneUnavailable, match=r"No kube-controller-manager, and no Go"):
        find_or_build(root, environment={"KUBEBUILDER_ASSETS": str(folder)})


@pytest.mark.parametrize("present", [[], ["etcd"], ["kube-apiserver", "kube-controller-manager"]])
def test_a_folder_of_assets_without_them_is_an_error(root: Path, tmp_path: Path, go: Go, present: list[str]) -> None:
    log = go("")
    folder = assets(tmp_path / "assets", *present)
    with pytest.raises(ControlPlaneUnavailable, match=re.escape(str(folder))):
        find_or_build(root, environment={"KUBEBUILDER_ASSETS": str(folder)})
    assert not log.exists()


def test_a_file_that_can_not_be_run_is_no_program(root: Path, tmp_path: Path) -> None:
    folder = assets(tmp_path / "assets", *PROGRAMS)
    (folder / "etcd").chmod(0o600)
    with pytest.raises(ControlPlaneUnavailable, match="no program etcd"):
        find_or_build(root, environment={"KUBEBUILDER_ASSETS": str(folder)})


@pytest.mark.usefixtures("path")
def test_without_go_and_programs_the_ways_out_are_said(root: Path) -> None:
    with pytest.raises(ControlPlaneUnavailable) as error:
        find_or_build(root)
    for way in ("no Go", "Go 1.26", "KUBEBUILDER_ASSETS", "agentspawn serve --memory"):
        assert way in str(error.value)
    assert not (root / ".cache").exists()


@pytest.mark.usefixtures("path")
def test_without_the_go_module_the_ways_out_are_said(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneUnavailable) as error:
        find_or_build(tmp_path)
    for way in ("a clone of the repository", "KUBEBUILDER_ASSETS", "agentspawn serve --memory"):
        assert way in str(error.value)


def test_a_build_can_be_followed(root: Path, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PROGRESS_SECONDS", 0.05)
    go("echo 'go: downloading example.org/m v1'; echo example.org/m/p; sleep 0.5")
    lines: list[str] = []
    find_or_build(root, lines.append)
    assert "kube-apiserver" in lines[0]
    assert "done once" in lines[0]
    for step in ("[1/3] etcd: ", "[2/3] kube-apiserver: ", "[3/3] kube-controller-manager: "):
        said = [line.removeprefix(step) for line in lines if line.startswith(step)]
        assert said[0] == "started"
        assert re.fullmatch(r"\d+ s, 1 modules downloaded, 1 packages compiled", said[-2])
        assert re.fullmatch(r"done in \d+ s", said[-1])


def test_what_was_built_is_used_again_at_once_and_without_go(root: Path, go: Go, path: Path) -> None:
    go("")
    first = find_or_build(root)
    (path / "go").unlink()
    lines: list[str] = []
    assert find_or_build(root, lines.append) == first
    assert lines == []


def test_other_dependencies_are_another_build(root: Path, go: Go) -> None:
    log = go("")
    first = find_or_build(root)
    (root / "dev" / "controlplane" / "go.sum").write_text("changed\n")
    assert find_or_build(root).etcd != first.etcd
    assert len(log.read_text().splitlines()) == 6


def test_a_failed_build_says_why_and_leaves_nothing_half_done(root: Path, go: Go) -> None:
    go('case "$2" in *kube-apiserver) echo half > "$2"; echo the disk is full >&2; exit 1;; esac')
    with pytest.raises(ControlPlaneUnavailable) as error:
        find_or_build(root)
    assert "the disk is full" in str(error.value)
    assert "agentspawn serve --memory" in str(error.value)
    assert (cached(root), leftovers(root)) == (["etcd"], [])


def test_after_a_failed_build_only_the_rest_is_built(root: Path, go: Go) -> None:
    go('case "$2" in *kube-apiserver) exit 1;; esac')
    with pytest.raises(ControlPlaneUnavailable):
        find_or_build(root)
    lines: list[str] = []
    go("")
    find_or_build(root, lines.append)
    assert [line for line in lines if line.endswith("started")] == [
        "[1/2] kube-apiserver: started",
        "[2/2] kube-controller-manager: started",
    ]
    assert cached(root) == PROGRAMS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing(root: Path, go: Go, number: signal.Signals) -> None:
    go(f'echo half > "$2"; sh -c "sleep 600; : {root}"')
    with in_another_process(root) as builder:
        until_now(lambda: any(root.rglob(".building-*/etcd")))
        os.killpg(builder.pid, number)
        builder.communicate(timeout=30)
    until_now(lambda: processes_of(root) == [] and cached(root) == [] and leftovers(root) == [])


def test_what_go_itself_would_leave_lies_in_the_folder_that_goes(root: Path, go: Go) -> None:
    go('case "$GOTMPDIR" in *.building-*) ;; *) exit 1 ;; esac')
    find_or_build(root)
    assert (cached(root), leftovers(root)) == (PROGRAMS, [])


def test_ctrl_c_while_building_is_an_exit_code_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "find_or_build", interrupted)
    monkeypatch.setattr(sys, "argv", ["localplane", command.BINARIES_ONLY])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 130


def test_what_a_crash_left_is_removed_by_the_next_build(root: Path, go: Go) -> None:
    go("")
    folder = find_or_build(root).etcd.parent
    (folder.parent / ".building-crashed").mkdir()
    (folder / "etcd").unlink()
    find_or_build(root)
    assert (cached(root), leftovers(root)) == (PROGRAMS, [])


def test_two_builds_at_the_same_time_build_once(root: Path, go: Go, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    log = go(f"while ! [ -e {gate} ]; do sleep 0.02; done")
    with in_another_process(root) as first:
        until_now(log.exists)
        with in_another_process(root) as second:
            assert second.stderr is not None
            assert "waiting for it" in second.stderr.readline()
            gate.touch()
            assert [first.wait(60), second.wait(60)] == [0, 0]
    assert len(log.read_text().splitlines()) == 3
    assert cached(root) == PROGRAMS


def test_the_user_s_go_settings_do_not_reach_the_build(
    root: Path, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOWORK", str(tmp_path / "go.work"))
    seen = tmp_path / "environment"
    go(f"env > {seen}")
    find_or_build(root)
    assert {"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off"} <= set(seen.read_text().splitlines())


def test_the_versions_said_here_are_those_of_the_module() -> None:
    module = (CHECKOUT / "dev" / "controlplane" / "go.mod").read_text()
    published = build.KUBERNETES_VERSION.replace("v1.", "v0.")
    staging = re.findall(r"^\t(k8s\.io/\S+) => \1 (\S+)$", module, re.MULTILINE)
    assert len(staging) == 33
    assert {version for _, version in staging} == {published}
    assert f"k8s.io/kubernetes {build.KUBERNETES_VERSION}" in module
    assert re.search(rf"^go {re.escape(build.GO_VERSION)}\b", module, re.MULTILINE)
    assert set(re.findall(r"^\t(\S+/(?:cmd|server)/\S+)$", module, re.MULTILINE)) == set(build.PROGRAMS.values())

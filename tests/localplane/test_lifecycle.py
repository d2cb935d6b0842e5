import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_agentspawn.localplane import Binaries, ControlPlane, ControlPlaneFailed, plane
from tests.localplane.waiting import left_behind, processes_of, until, until_now


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the plane's folder where nobody else's is."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    def write(script: str) -> Path:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    return write


async def listens(url: str) -> bool:
    host, port = url.removeprefix("https://").split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_leaving_leaves_no_process_no_port_no_folder(control_plane_binaries: Binaries, temporary: Path) -> None:
    async with ControlPlane(control_plane_binaries) as started:
        assert len(processes_of(temporary)) == 4
        assert await listens(started.url)
    assert left_behind(temporary) == []
    assert not await listens(started.url)


async def test_a_component_that_dies_at_the_start_is_shown(control_plane_binaries: Binaries, temporary: Path) -> None:
    with pytest.raises(ControlPlaneFailed, match=r"kube-apiserver ended with exit code 1.*\n.*--no-such-flag"):
        async with ControlPlane(control_plane_binaries, api_server_flags=["--no-such-flag"]):
            pytest.fail("it must not start")
    assert left_behind(temporary) == []


async def test_a_component_that_never_gets_ready_is_shown(
    control_plane_binaries: Binaries, temporary: Path, program: Callable[[str], Path]
) -> None:
    binaries = replace(control_plane_binaries, etcd=program("echo waiting for ever; exec sleep 600"))
    with pytest.raises(ControlPlaneFailed, match=r"etcd was not ready within 0.3 seconds.*\nwaiting for ever"):
        async with ControlPlane(binaries, timeout_seconds=0.3):
            pytest.fail("it must not start")
    assert left_behind(temporary) == []


async def test_a_component_that_will_not_stop_is_killed_with_its_children(
    control_plane_binaries: Binaries, temporary: Path, program: Callable[[str], Path]
) -> None:
    script = f'trap "" TERM; sh -c "sleep 600; : {temporary}" & while :; do sleep 600; done'
    binaries = replace(control_plane_binaries, etcd=program(script))
    with pytest.raises(ControlPlaneFailed):
        async with ControlPlane(binaries, timeout_seconds=0.3, stop_seconds=0.1):
            pytest.fail("it must not start")
    until_now(lambda: left_behind(temporary) == [])


async def test_a_program_that_can_not_be_started_leaves_nothing(
    control_plane_binaries: Binaries, temporary: Path, tmp_path: Path
) -> None:
    with pytest.raises(ControlPlaneFailed, match="etcd could not be started"):
        async with ControlPlane(replace(control_plane_binaries, etcd=tmp_path / "missing")):
            pytest.fail("it must not start")
    assert left_behind(temporary) == []


@pytest.mark.parametrize("moment", ["etcd-", "kube-apiserver.log", "kube-controller-manager.log"])
async def test_cancelling_the_start_leaves_nothing(
    control_plane_binaries: Binaries, temporary: Path, moment: str
) -> None:
    start = asyncio.create_task(ControlPlane(control_plane_binaries).__aenter__())

    await until(lambda: any(temporary.glob(f"*/{moment}*")))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert left_behind(temporary) == []


async def test_a_port_that_somebody_else_took_is_replaced(
    control_plane_binaries: Binaries, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(control_plane.url.rsplit(":", 1)[1])
    free = [plane.free_port() for _ in range(4)]
    offered = iter([taken, free[0], free[1], free[2], taken, free[3]])
    monkeypatch.setattr(plane, "free_port", lambda: next(offered))
    async with ControlPlane(control_plane_binaries) as started:
        assert started.url == f"https://127.0.0.1:{free[3]}"


async def test_it_gives_up_when_every_port_is_taken(
    control_plane_binaries: Binaries, control_plane: ControlPlane, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane, "free_port", lambda: int(control_plane.url.rsplit(":", 1)[1]))
    with pytest.raises(ControlPlaneFailed, match="etcd found its port taken"):
        async with ControlPlane(control_plane_binaries):
            pytest.fail("it must not start")
    assert left_behind(temporary) == []


async def test_a_component_that_dies_later_is_reported_and_the_rest_stops(
    control_plane_binaries: Binaries, temporary: Path
) -> None:
    async def run_until_a_component_dies() -> None:
        async with ControlPlane(control_plane_binaries) as started:
            os.kill(started.process_ids["kube-controller-manager"], signal.SIGKILL)
            await asyncio.wait_for(started.watch(), timeout=30)

    with pytest.raises(ControlPlaneFailed, match="kube-controller-manager ended with exit code -9"):
        await run_until_a_component_dies()
    assert left_behind(temporary) == []


@contextmanager
def running_command(temporary: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command for contributors as a terminal would: leader of its own process group."""
    command = [sys.executable, "-m", "mcp_agentspawn.localplane", *arguments]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def export_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_in_order_and_leaves_nothing(temporary: Path, number: signal.Signals) -> None:
    with running_command(temporary) as process:
        assert export_line(process).startswith(f"export KUBECONFIG={temporary}/")
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
    assert left_behind(temporary) == []


def test_a_killed_command_leaves_nothing(temporary: Path) -> None:
    with running_command(temporary) as process:
        export_line(process)
        assert len(processes_of(temporary)) == 4
        process.kill()
    until_now(lambda: left_behind(temporary) == [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_stopped_while_it_starts_leaves_nothing(temporary: Path, number: signal.Signals) -> None:
    with running_command(temporary) as process:
        until_now(lambda: any(temporary.glob("*/kube-apiserver.log")))
        os.killpg(process.pid, number)
        process.communicate(timeout=30)
    until_now(lambda: left_behind(temporary) == [])


def test_the_command_ends_with_3_when_a_manifest_is_refused(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n")
    with running_command(temporary, str(tmp_path / "bad.yaml")) as process:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output) == (3, "")
        assert "bad.yaml: ConfigMap Not_A_Name" in errors
    assert left_behind(temporary) == []


def test_the_command_can_be_asked_for_the_binaries_only(temporary: Path) -> None:
    with running_command(temporary, "--binaries-only") as process:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, "", "")
    assert left_behind(temporary) == []


def test_the_command_ends_with_3_when_there_are_no_binaries(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(temporary))
    with running_command(temporary, "--binaries-only") as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 3
        assert "KUBEBUILDER_ASSETS is set to" in errors

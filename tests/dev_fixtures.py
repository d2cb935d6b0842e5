"""The product as a newcomer starts it, `agentspawn dev`, once for the whole test session."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes import client, config

from mcp_agentspawn.localplane import Binaries
from tests.localplane.waiting import left_behind, until

REPOSITORY = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("agentspawn")
READY_WITHIN_SECONDS = 90
ENDED_WITHIN_SECONDS = 30
AGENTS = ("kagent.dev", "v1alpha2")


@dataclass(frozen=True, slots=True)
class DevServer:
    """A running `agentspawn dev`, as its ready file describes it. `kubeconfig` is the administrator's."""

    mcp_url: str
    kubeconfig: Path
    system_namespace: str
    namespace: str
    tokens: Mapping[str, Path]
    kubeconfigs: Mapping[str, Path]
    audit_file: Path
    registry_url: str
    a2a_url: str
    """Where subagents are talked to, with `{namespace}` and `{name}`."""
    ready_file: Path
    process_id: int
    output: Path
    """What it printed so far."""

    def token(self, name: str) -> str:
        """Read the credential of `orchestrator` or `stranger`."""
        return self.tokens[name].read_text().strip()

    def administrator(self) -> Any:
        """An `ApiClient` of the `kubernetes` package with every right."""
        return config.new_client_from_config(str(self.kubeconfig))  # type: ignore[no-untyped-call] # theirs

    def objects(self) -> Any:
        """The API server's custom objects: a `CustomObjectsApi`."""
        return client.CustomObjectsApi(self.administrator())

    def agent(self, name: str) -> dict[str, Any]:
        """The Agent of this name in the subagents' namespace. Raises ApiException, status 404, where there is none."""
        found: dict[str, Any] = self.objects().get_namespaced_custom_object(*AGENTS, self.namespace, "agents", name)
        return found

    def agents(self) -> list[dict[str, Any]]:
        """All Agents in the subagents' namespace."""
        listed = self.objects().list_namespaced_custom_object(*AGENTS, self.namespace, "agents")
        items: list[dict[str, Any]] = listed["items"]
        return items

    async def gone(self, name: str) -> None:
        """Wait until there is no such Agent. TimeoutError when it stays."""
        await until(lambda: name not in [agent["metadata"]["name"] for agent in self.agents()])


@pytest.fixture(scope="session")
def dev_server(
    control_plane_binaries: Binaries,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DevServer]:
    """Started with the binaries that the other tests use, so that none has to be built while it is waited for."""
    folder = tmp_path_factory.mktemp("dev")
    scratch, ready, log = folder / "scratch", folder / "ready.json", folder / "dev.log"
    scratch.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "dev", "--ready-file", ready],
            cwd=REPOSITORY,
            env=os.environ | {"TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    family = [psutil.Process(process.pid)]
    try:
        server = _read(_wait_for(ready, process, log), ready, process.pid, log)
        secrets = [server.token(name) for name in server.tokens]
        yield server
        family += family[0].children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # to all of its group, as a terminal's Ctrl-C
        assert process.wait(ENDED_WITHIN_SECONDS) == 0, _end_of(log)
        assert not ready.exists()
        assert left_behind(scratch) == []
        assert not [said for said in ("Traceback", *secrets) if said in log.read_text()]
    finally:
        _end(family)


def _wait_for(ready: Path, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not ready.exists():
        assert process.poll() is None, f"it ended with {process.returncode}: {_end_of(log)}"
        assert time.monotonic() < deadline, f"it did not become ready: {_end_of(log)}"
        time.sleep(0.05)
    values: dict[str, Any] = json.loads(ready.read_text())
    return values


def _read(values: dict[str, Any], ready_file: Path, process_id: int, output: Path) -> DevServer:
    return DevServer(
        mcp_url=values["mcp_url"],
        kubeconfig=Path(values["kubeconfig"]),
        system_namespace=values["system_namespace"],
        namespace=values["namespace"],
        tokens={name: Path(path) for name, path in values["tokens"].items()},
        kubeconfigs={name: Path(path) for name, path in values.get("kubeconfigs", {}).items()},
        audit_file=Path(values["audit_file"]),
        registry_url=values["registry_url"],
        a2a_url=values["a2a_url"],
        ready_file=ready_file,
        process_id=process_id,
        output=output,
    )


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _end(family: Iterable[psutil.Process]) -> None:
    """End what is left of it, whatever went wrong before; psutil knows a process from another with the same id."""
    for member in family:
        with suppress(psutil.NoSuchProcess):
            for left in [*member.children(recursive=True), member]:
                left.kill()

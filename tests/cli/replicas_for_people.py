"""Two servers on the cluster of `agentspawn dev`, whose templates ask no person, one, or two."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess, Popen
from typing import Any

import aiohttp
import yaml

from mcp_agentspawn.cli.dev.tokens import mint
from mcp_agentspawn.cli.manifests import onboarding
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane import Connection, install
from mcp_agentspawn.localplane.certificates import KeyPair
from mcp_agentspawn.localplane.plane import free_port
from tests.attacks.orchestrators import Orchestrator
from tests.builders import RESEARCHER
from tests.dev_fixtures import DevServer
from tests.faults.replicas import ROOMY
from tests.localplane.waiting import until

AGENTSPAWN = Path(sys.executable).with_name("agentspawn")
PLANNER = Root("agents", "planner", "subagents")
TEMPLATES: Mapping[str, str] = {"nobody-asked": "low", "one-asked": "medium", "two-asked": "high"}
"""Template and risk."""


@dataclass(frozen=True)
class Replicas:
    """The servers, the orchestrator that calls them, and the people beside them."""

    dev: DevServer
    processes: Sequence["Popen[bytes]"]
    urls: Sequence[str]
    token: str = field(repr=False)
    api_token_file: Path

    def caller(self, replica: int = 0) -> Orchestrator:
        """The orchestrator at one of the replicas."""
        return Orchestrator(PLANNER, self.urls[replica], self.token)

    async def propose(self, template: str, purpose: str, replica: int = 0) -> dict[str, Any]:
        """Have it propose a subagent of this template."""
        return await self.caller(replica).propose(purpose, template=template)

    def person(self, name: str, *arguments: str) -> "CompletedProcess[str]":
        """Run `agentspawn` with the kubeconfig of alice or bob."""
        return self.with_kubeconfig(self.dev.kubeconfigs[name], *arguments)

    def with_kubeconfig(self, kubeconfig: Path, *arguments: str) -> "CompletedProcess[str]":
        """Run `agentspawn` as whoever this kubeconfig names."""
        command = [str(AGENTSPAWN), *arguments, "--kubeconfig", str(kubeconfig)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=_clean())

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No server does anything as long as the block lasts."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self.processes:
                process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def replicas(dev: DevServer, folder: Path) -> AsyncIterator[Replicas]:
    """Onboard the orchestrator as an administrator, write the rules, start both, and wait until they are ready."""
    admin = _administrator(dev.kubeconfig)
    rights = folder / "rights.yaml"
    documents = onboarding("agents", "planner", "subagents", constrained=True, templates=tuple(TEMPLATES))
    rights.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    await install(admin, [rights])
    _write_rules(folder)
    async with admin.session() as session:
        token = await mint(session, "agents", "planner", "agentspawn")
        own = Connection(admin.url, admin.certificate_authority, token=await mint(session, "agents", "planner"))
    file = own.write_kubeconfig(folder / "planner.kubeconfig", "planner")
    async with AsyncExitStack() as stack:
        started = [stack.enter_context(_server(dev, folder, number)) for number in range(2)]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for _, url in started:
            await until(partial(_is_ready, http, url))
        yield Replicas(dev, [process for process, _ in started], [f"{url}/mcp" for _, url in started], token, file)


def _write_rules(folder: Path) -> None:
    policy = {"callers": {"service_accounts": [PLANNER.name]}, "template": {"allow": list(TEMPLATES)}, **ROOMY}
    files = {"policies/default": policy} | {
        f"templates/{name}": RESEARCHER | {"risk": risk} for name, risk in TEMPLATES.items()
    }
    for name, document in files.items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(document), encoding="utf-8")


@contextmanager
def _server(dev: DevServer, folder: Path, number: int) -> Iterator[tuple["Popen[bytes]", str]]:
    port = free_port()
    settings = {
        "PORT": str(port),
        "ROOTS": PLANNER.name,
        "POLICIES": str(folder / "policies"),
        "TEMPLATES": str(folder / "templates"),
        "AUDIT_FILE": str(folder / f"audit-{number}.jsonl"),
        "WRITER": f"people-{number}",
        "KUBECONFIG": str(dev.kubeconfig.with_name("server.kubeconfig")),
    }
    environment = _clean() | {f"AGENTSPAWN_{name}": value for name, value in settings.items()}
    with (folder / f"server-{number}.log").open("wb") as log:
        process = Popen([AGENTSPAWN, "serve"], stdin=DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectorError:
        return False


def _administrator(kubeconfig: Path) -> Connection:
    written = yaml.safe_load(kubeconfig.read_text())
    cluster, user = written["clusters"][0]["cluster"], written["users"][0]["user"]
    pair = KeyPair(Path(user["client-certificate"]), Path(user["client-key"]))
    return Connection(cluster["server"], Path(cluster["certificate-authority"]), client=pair)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AGENTSPAWN_", "KUBE"))}

"""Servers as processes of their own, as `agentspawn serve` starts them, and a client that calls their tools."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any, Protocol

import aiohttp
import yaml

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane.plane import free_port
from tests.builders import RESEARCHER
from tests.faults.cluster import Cluster
from tests.faults.proxy import FaultProxy
from tests.faults.replicas import ROOMY, kubeconfig
from tests.localplane.waiting import until

LEADS = "agentspawn_reconciler_leading 1.0"
LEGACY = {"MCP-Protocol-Version": "2025-11-25", "Accept": "application/json"}
COMMAND = "import sys; from mcp_agentspawn.cli import main; sys.exit(main())"
NUMBERS = count(1)

Answer = dict[str, Any]


class Process(Protocol):
    """A server's process."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def poll(self) -> int | None:
        """`None` while it runs."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def wait(self) -> int:
        """Wait until it has ended."""
        ...


Start = Callable[[Mapping[str, str], Path], Process]
"""Starts a server with this environment and this log."""


@dataclass(frozen=True)
class Rules:
    """A rule book on disk that a test may change."""

    folder: Path

    def write(self, *, template: Answer | None = None, **sections: Any) -> None:
        """Write the one template and the one policy; what is not named is as roomy as the races need it."""
        callers = {"namespaces": ["agents"]}
        policy = {"callers": callers, "template": {"allow": ["researcher"]}, **ROOMY, **sections}
        self._replace("templates/researcher.yaml", template or RESEARCHER)
        self._replace("policies/default.yaml", policy)

    def _replace(self, name: str, document: Answer) -> None:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(document), encoding="utf-8")
        fresh.replace(file)


class Unserved(Exception):
    """A call was answered, but not with a result: the status and the body."""


@dataclass(frozen=True)
class Server:
    """A process that serves, and an orchestrator's connection to it."""

    process: Process
    url: str
    session: aiohttp.ClientSession
    token: str = field(repr=False)
    log: Path
    audit_file: Path

    def of(self, token: str) -> "Server":
        """The same server, called by somebody else."""
        return replace(self, token=token)

    async def call(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool and give back its structured answer."""
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = LEGACY | {"X-Agentspawn-Token": self.token}
        async with self.session.post(f"{self.url}/mcp", json=message, headers=headers) as response:
            said = await response.json()
            if "result" not in said:
                raise Unserved(response.status, said)
            answer: Answer = said["result"]["structuredContent"]
            return answer

    async def is_known(self) -> bool:
        """Whether its caller is known: right after a start the API server may not say yet."""
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        headers = LEGACY | {"X-Agentspawn-Token": self.token}
        async with self.session.post(f"{self.url}/mcp", json=message, headers=headers) as response:
            return response.status == 200

    async def tells(self, line: str) -> bool:
        """Whether its metrics have this line now."""
        async with self.session.get(f"{self.url}/metrics") as response:
            return line in (await response.text()).splitlines()

    async def leads(self) -> bool:
        """Whether it is the one that acts on its own now."""
        return await self.tells(LEADS)

    async def propose(self, purpose: str = "Find out") -> Answer:
        parameters = [{"name": "topic", "value": "Kubernetes admission"}]
        return await self.call("propose_subagent", template="researcher", purpose=purpose, parameters=parameters)

    async def apply(self, proposal: Answer) -> Answer:
        return await self.call("apply_subagent", proposal=proposal["proposal"], digest=proposal["digest"])

    async def retire(self, agent: str) -> Answer:
        return await self.call("retire_subagent", agent=agent)

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is said."""
        _ended(self.process)

    async def is_ready(self) -> bool:
        """Whether it takes calls. Raises when it has ended."""
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        try:
            async with self.session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False


@asynccontextmanager
async def serve(
    cluster: Cluster,
    roots: Sequence[Root],
    rules: Rules,
    proxy: FaultProxy | None = None,
    *,
    name: str = "",
    start: Start | None = None,
    registries: Path | None = None,
) -> AsyncIterator[Server]:
    """Start a server and wait until it is ready; kill it in the end. Its caller is the first root.

    One with the `name` of an earlier one is that one started again: it goes on with its audit log. `registries` is the
    folder of those that it reads.
    """
    name, port, folder = name or f"server-{next(NUMBERS)}", free_port(), cluster.plane.folder
    audit_file, log = folder / f"{name}.jsonl", folder / f"{name}.log"
    environment = {
        "AGENTSPAWN_PORT": str(port),
        "AGENTSPAWN_ROOTS": ",".join(root.name for root in roots),
        "AGENTSPAWN_POLICIES": str(rules.folder / "policies"),
        "AGENTSPAWN_TEMPLATES": str(rules.folder / "templates"),
        "AGENTSPAWN_AUDIT_FILE": str(audit_file),
        "AGENTSPAWN_WRITER": name,
        "AGENTSPAWN_KUBECONFIG": str(kubeconfig(cluster, roots[0], proxy)),
        "AGENTSPAWN_REGISTRIES": str(registries or ""),
    }
    async with AsyncExitStack() as stack:
        process = (start or _starts(cluster))(environment, log)
        stack.callback(_ended, process)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        token = await cluster.token_of(roots[0])
        server = Server(process, f"http://127.0.0.1:{port}", session, token, log, audit_file)
        await until(server.is_ready)
        yield server


def _starts(cluster: Cluster) -> Start:
    """As a user would, in a new interpreter."""

    def start(environment: Mapping[str, str], log: Path) -> Process:
        with log.open("ab") as output:
            return Popen(
                [sys.executable, "-c", COMMAND, "serve"],
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], **environment},
                process_group=cluster.plane._group,  # it ends with the plane, however this process ends
            )

    return start


def _ended(process: Process) -> None:
    process.kill()
    process.wait()

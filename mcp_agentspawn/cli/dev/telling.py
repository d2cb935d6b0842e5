"""A story told line by line: what was called, what was answered, and what those say who know whether it is so."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import click
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_agentspawn.core.names import GROUP, SYSTEM_NAMESPACE, VERSION

MOST_CHARACTERS = 160
KAGENT = "/apis/kagent.dev/v1alpha2"
OURS = f"/apis/{GROUP}/{VERSION}/namespaces/{SYSTEM_NAMESPACE}"


class Unconfirmed(Exception):
    """A step that the next ones rest on did not come true."""


@dataclass
class Teller:
    """Prints, and remembers what did not come true."""

    failed: list[str] = field(default_factory=list)
    steps: int = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self.steps += 1
        click.echo(f"\n{self.steps}. {title}")

    def line(self, what: str, text: str) -> None:
        """Say one thing."""
        click.echo(f"   {what:<10} {text}")

    def confirm(self, so: bool, text: str) -> None:  # noqa: FBT001 - it is what this is about
        """Say whether it is so, by whoever was asked: the API server, a registry, an agent or the audit."""
        self.line("confirmed" if so else "NOT SO", text)
        if not so:
            self.failed.append(f"step {self.steps}: {text}")

    def missing(self, text: str) -> NoReturn:
        """Say what the next steps rest on and is not there. Raises Unconfirmed."""
        self.line("missing", text)
        self.failed.append(f"step {self.steps}: {text}")
        raise Unconfirmed(text)

    def need(self, so: bool, text: str) -> None:  # noqa: FBT001 - it is what this is about
        """The same of what the next steps rest on. Raises Unconfirmed."""
        self.confirm(so, text)
        if not so:
            raise Unconfirmed(text)


@dataclass(frozen=True, slots=True)
class Caller:
    """A real MCP client with one caller's credential."""

    name: str
    session: Client
    teller: Teller

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and tell it; gives back the structured answer."""
        shown = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
        self.teller.line(self.name, f"{tool}({shown})")
        answer = (await self.session.call_tool(tool, arguments)).structured_content or {}
        self.teller.line("answer", outcome(answer))
        return answer


@asynccontextmanager
async def caller(name: str, url: str, token_file: Path, teller: Teller) -> AsyncIterator[Caller]:
    """Connect as the one whose token is in the file."""
    headers = {"X-Agentspawn-Token": await asyncio.to_thread(token_file.read_text, "utf-8")}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http)) as session,
    ):
        yield Caller(name, session, teller)


async def command(teller: Teller, kubeconfig: Path, *arguments: str) -> int:
    """Give the real command with this kubeconfig, and tell what it says; gives back its exit code."""
    teller.line("person", f"agentspawn {' '.join(arguments)}")
    words = [sys.executable, "-m", "mcp_agentspawn", *arguments, "--kubeconfig", str(kubeconfig)]
    process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=PIPE)
    said, _ = await process.communicate()
    for line in said.decode().splitlines():
        teller.line("", line)
    return process.returncode or 0


def outcome(answer: Mapping[str, Any]) -> str:
    """One line for an answer: what was decided, and why if it was not allowed."""
    reasons = "; ".join(f"{reason['code']}: {reason['message']}" for reason in answer.get("reasons", []))
    return f"{answer.get('outcome', 'no answer')}{' (' + reasons + ')' if reasons else ''}"


def told(hit: Mapping[str, Any]) -> str:
    """One line for a hit: what it is, and what stands in the way of spawning it."""
    blocked = ", ".join(reason["code"] for reason in hit["blocked_by"])
    can = f"not spawnable: {blocked}" if blocked else f"spawnable with template {hit['template']}, risk {hit['risk']}"
    return f"{hit['name']} ({hit['source']}): {hit['description']} ({can})"


def _short(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."


@dataclass(frozen=True, slots=True)
class RegistryWitness:
    """A registry, asked past the server."""

    url: str

    async def spec(self, kind: str, namespace: str, name: str, tag: str) -> dict[str, Any]:
        """What the registry itself says of this; empty when there is none."""
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.url}/v0/{kind}/{name}/{tag}", params={"namespace": namespace})
        return answer.json()["spec"] if answer.is_success else {}


@dataclass(frozen=True, slots=True)
class AgentWitness:
    """An agent, asked past the server: over A2A, at its own address."""

    url: str

    async def task(self, remote: str) -> tuple[str, str]:
        """What the agent itself says of a task, by its own id: its state and the text that came of it."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": remote}}
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.post(self.url, json=body)
        task = answer.json().get("result", {}) if answer.is_success else {}
        parts = [part for artifact in task.get("artifacts") or [] for part in artifact["parts"]]
        return task.get("status", {}).get("state", ""), "".join(part.get("text", "") for part in parts)


@dataclass(frozen=True, slots=True)
class Witness:
    """The API server, as its administrator sees it."""

    admin: aiohttp.ClientSession

    async def agent(self, namespace: str, name: str) -> dict[str, Any] | None:
        """An Agent; None when there is none."""
        return await self._get(f"{KAGENT}/namespaces/{namespace}/agents/{name}")

    async def phase(self, proposal: str) -> str:
        """A proposal's stored phase; empty when there is none."""
        found = await self._get(f"{OURS}/subagentproposals/{proposal}")
        return str((found or {}).get("status", {}).get("phase", ""))

    async def holds_slot(self, root: str, agent: str) -> bool:
        """Whether the root's ledger counts this agent as live."""
        found = await self._get(f"{OURS}/spawnledgers/{root}")
        return agent in (found or {}).get("spec", {}).get("live", {})

    async def approved_by(self, proposal: str) -> Sequence[str]:
        """In whose names approvals of this proposal are stored."""
        found = await self._get(f"{OURS}/subagentapprovals?fieldSelector=spec.proposal%3D{proposal}") or {}
        specs = [item["spec"] for item in found.get("items", [])]
        return [spec["decider"] for spec in specs if spec["decision"] == "approve"]

    async def is_ready(self, namespace: str, name: str) -> bool:
        """Whether the Agent's status says so, as kagent's controller writes it."""
        conditions = (await self.agent(namespace, name) or {}).get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    async def task(self, task: str) -> dict[str, Any]:
        """A stored task's status; empty when there is none."""
        found: dict[str, Any] = (await self._get(f"{OURS}/subagenttasks/{task}") or {}).get("status", {})
        return found

    async def _get(self, path: str) -> dict[str, Any] | None:
        async with self.admin.get(path) as response:
            found: dict[str, Any] = await response.json()
            return found if response.ok else None

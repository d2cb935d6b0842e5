"""Start kagent's runtime as an orchestrator, and talk to it as a person's client does: over A2A."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from mcp_agentspawn.cli.manifests import onboarding
from mcp_agentspawn.core.names import DEFAULT_HOME
from tests.clients.environments import kagent_python

RUNTIME = Path(__file__).with_name("kagent_runtime.py")
STARTED_WITHIN_SECONDS = 60
ANSWERED_WITHIN_SECONDS = 60
CARD = {
    "name": "orchestrator",
    "description": "An orchestrator",
    "version": "1",
    "url": "http://orchestrator.agents:8080",
    "protocolVersion": "0.3.0",
    "preferredTransport": "JSONRPC",
    "defaultInputModes": ["text"],
    "defaultOutputModes": ["text"],
    "capabilities": {"streaming": True},
    "skills": [],
}


@dataclass(frozen=True, slots=True)
class Orchestrator:
    url: str

    async def send(self, text: str) -> dict[str, Any]:
        """Send one message and wait for the task that answers it."""
        part = {"kind": "text", "text": text}
        message = {"kind": "message", "messageId": "message-1", "role": "user", "parts": [part]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
        timeout = aiohttp.ClientTimeout(ANSWERED_WITHIN_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(self.url, json=body) as answer:
            task: dict[str, Any] = (await answer.json())["result"]
            return task


def config(model_url: str, mcp_url: str, token: str, namespace: str) -> dict[str, Any]:
    """What kagent's controller makes of the objects that `agentspawn manifests` prints, with the Secret's value in it.

    Only the addresses are the test's own.
    """
    manifests = onboarding("agents", "orchestrator", namespace, constrained=True)
    own = [manifest for manifest in manifests if manifest["metadata"].get("namespace") != DEFAULT_HOME]
    agent, server = (_spec(own, kind) for kind in ("Agent", "RemoteMCPServer"))
    [tool] = agent["declarative"]["tools"]
    [header] = tool["headersFrom"]
    params = {
        "url": mcp_url,
        "headers": {header["name"]: token},
        "timeout": float(server["timeout"].removesuffix("s")),
        "terminate_on_close": server["terminateOnClose"],
    }
    return {
        "model": {"type": "openai", "model": "scripted", "base_url": model_url, "api_format": "chatCompletions"},
        "description": agent["description"],
        "instruction": agent["declarative"]["systemMessage"],
        "http_tools": [{"params": params, "tools": tool["mcpServer"]["toolNames"]}],
        "stream": agent["declarative"]["stream"],
    }


def _spec(manifests: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    [spec] = [manifest["spec"] for manifest in manifests if manifest["kind"] == kind]
    found: dict[str, Any] = spec
    return found


def answer_of(task: dict[str, Any]) -> str:
    """The text of a task's artifacts."""
    parts = [part for artifact in task.get("artifacts", []) for part in artifact["parts"]]
    return "".join(part["text"] for part in parts if part["kind"] == "text")


@asynccontextmanager
async def orchestrator(folder: Path, settings: dict[str, Any]) -> AsyncIterator[Orchestrator]:
    """Run the runtime with these settings; what it logs lies in the folder afterwards."""
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "agent-card.json").write_text(json.dumps(CARD))
    log = folder / "runtime.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            kagent_python(),
            "-P",
            RUNTIME,
            folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=_environment(folder),
        )
    try:
        yield Orchestrator(await _first_line(process, log))
    finally:
        await _end(process)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "OPENAI_API_KEY": "none", "OTEL_SDK_DISABLED": "true"}


async def _first_line(process: asyncio.subprocess.Process, log: Path) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(STARTED_WITHIN_SECONDS):
        line = await process.stdout.readline()
    assert line, f"the runtime ended at once: {_end_of(log)}"
    return line.decode().strip()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

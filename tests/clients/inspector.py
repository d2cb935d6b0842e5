"""MCP Inspector's command line, run as a person runs it."""

import asyncio
import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.environments import node, node_script

ERAS = ("legacy", "modern")
SCRIPT = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
WITHIN_SECONDS = 60

OK = 0
AUTHORIZATION_REQUIRED = 3
TOOL_REFUSED = 5


@dataclass(frozen=True, slots=True)
class Ran:
    """How one command ended: `result` is the MCP result that it printed, empty when it printed none."""

    exit_code: int
    result: dict[str, Any]
    complaint: str

    @property
    def answer(self) -> dict[str, Any]:
        """The structured answer of a tool."""
        structured: dict[str, Any] = self.result["structuredContent"]
        return structured

    @property
    def codes(self) -> list[str]:
        return [reason["code"] for reason in self.answer["reasons"]]


@dataclass(frozen=True, slots=True)
class Inspector:
    """One server and era. Without a token no credential is sent. It keeps its files in `home`."""

    url: str
    era: str
    home: Path
    token: str = ""

    async def tools(self) -> Ran:
        """List the tools, and judge their schemas strictly: a schema that clients may choke on ends with 6."""
        return await self._run("tools/list", "--strict")

    async def call(self, tool: str, **arguments: Any) -> Ran:
        return await self._run("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))

    async def _run(self, method: str, *flags: str) -> Ran:
        command = [node(), node_script(SCRIPT), "--cli", self.url, "--transport", "http", "--format", "json"]
        command += ["--stored-auth-only", "--protocol-era", self.era, "--method", method, *flags]
        if self.token:
            command += ["--header", f"X-Agentspawn-Token: {self.token}"]
        exit_code, output, complaint = await finished(command, self.home)
        return Ran(exit_code, json.loads(output)["result"] if output else {}, complaint)


def installed() -> str:
    """The installed Inspector as the beginning of a shell's command line."""
    return shlex.join([node(), node_script(SCRIPT)])


async def finished(command: list[str], home: Path) -> tuple[int, str, str]:
    """Run a command with a home of its own to its end: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1"},
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(), errors.decode()

"""Folders of policies, templates and registries, over a stand-in that runs meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from mcp_agentspawn.cli import main
from mcp_agentspawn.localplane.registry import Content, Standin, load, registry_standin

AGENTS = Path(__file__).parents[2] / "dev" / "registry" / "agents.yaml"
WORKER: dict[str, Any] = {
    "description": "Works in a role that an entry describes.",
    "risk": "low",
    "lifetime": {"default": "30m", "most": "4h"},
    "parameters": {
        "type": "object",
        "required": ["task", "role"],
        "properties": {
            "task": {"type": "string", "maxLength": 500},
            "role": {"type": "string", "maxLength": 5000, "from_registry": "instructions"},
        },
    },
    "models": ["default-model-config"],
    "tools": {"web-search": {"allow": ["search", "fetch"]}},
    "agent": {"description": "Works as an entry describes", "instructions": "Do it:\n${task}\nAs:\n${role}\n"},
}
SEES: dict[str, Any] = {
    "see": [{"registry": "main", "namespaces": ["*"], "templates": ["registry-worker"]}],
    "tools": {"fetch": ["web-search/fetch"]},
}
POLICY: dict[str, Any] = {
    "callers": {"namespaces": ["agents"]},
    "template": {"allow": ["registry-worker"]},
    "registry": SEES,
}


def write(name: str, document: Mapping[str, Any]) -> None:
    """A file below the folder that the test is in, indented so that every key has a line of its own."""
    file = Path(f"{name}.yaml")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")


def rules(**policy: Any) -> None:
    """One policy, and a template that takes registry entries."""
    write("templates/registry-worker", WORKER)
    write("policies/default", POLICY | policy)


@asynccontextmanager
async def stocked(content: Content | None = None, **source: Any) -> AsyncIterator[Standin]:
    """A registry `main` that runs, with the sample entries; `source` is what its file says beside its address."""
    async with registry_standin(content or load(AGENTS)) as standin:
        write("registries/main", {"private_addresses": True, "url": standin.url} | source)
        yield standin


async def run(*arguments: str) -> Result:
    """Call `agentspawn`, which has a loop of its own."""
    return await asyncio.to_thread(CliRunner(env={"COLUMNS": "120"}).invoke, main, arguments)


async def said(*arguments: str) -> Any:
    """What it says to programs."""
    return json.loads((await run(*arguments, "--json")).stdout)

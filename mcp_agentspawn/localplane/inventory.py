"""What the sample templates name, as the objects that a cluster needs: RemoteMCPServers and ModelConfigs.

On this machine kagent's controller does not run. What it would write, the tools that each server offers, is asked of
the very server and written here.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
from mcp import Client
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel import Server

from mcp_agentspawn.localplane.tools import ToolServers

API_VERSION = "kagent.dev/v1alpha2"
MODELS: Mapping[str, str] = {"default-model-config": "gpt-4.1", "fast-model-config": "gpt-4.1-mini"}
"""ModelConfig to model. The models are examples: who is asked here is what the environment names, or a stand-in."""
MODEL_SECRET = "model-api-key"  # noqa: S105 - the name of a Secret, which its user creates
DESCRIPTIONS: Mapping[str, str] = {
    "web-search": "Searches and reads a small library of documents",
    "log-store": "Queries the logs of a synthetic incident",
    "agentspawn": "Proposes and creates subagents, for those that have depth left",
}
MOST_PAGES = 20
TIMEOUT_SECONDS = 10.0


async def manifests(servers: ToolServers, namespace: str) -> list[dict[str, Any]]:
    """Everything that the samples name. A `status` there has to be written through the status subresource."""
    return [*model_configs(namespace), *[await server(name, url, namespace) for name, url in servers.urls.items()]]


def model_configs(namespace: str) -> list[dict[str, Any]]:
    """One ModelConfig for each name in the samples."""
    return [_model(name, model, namespace) for name, model in MODELS.items()]


async def discovered(url: str) -> list[dict[str, str]]:
    """The tools that a server offers now, as kagent's controller records them: name and description, by name."""
    async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as http:  # loopback, so past every proxy
        return await offered(streamable_http_client(url, http_client=http))


async def offered(server: Transport | Server[Any]) -> list[dict[str, str]]:
    """The same of a server that is reached in another way; at most `MOST_PAGES` pages."""
    found: list[dict[str, str]] = []
    cursor: str | None = None
    async with Client(server, read_timeout_seconds=TIMEOUT_SECONDS) as client:
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += [{"name": tool.name, "description": tool.description or ""} for tool in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
    return sorted(found, key=lambda tool: tool["name"])


def _model(name: str, model: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelConfig",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "provider": "OpenAI",
            "model": model,
            "apiKeySecret": MODEL_SECRET,
            "apiKeySecretKey": "OPENAI_API_KEY",
        },
    }


async def server(name: str, url: str, namespace: str) -> dict[str, Any]:
    """One RemoteMCPServer, and in its `status` the tools that it offers now."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RemoteMCPServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "description": DESCRIPTIONS[name],
            "url": url,
            "protocol": "STREAMABLE_HTTP",
            "timeout": "30s",
        },
        "status": _status(await discovered(url)),
    }


def _status(tools: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Reconciled",
        "message": "Remote MCP server configuration accepted",
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": 1,
    }
    return {"conditions": [accepted], "discoveredTools": [dict(tool) for tool in tools], "observedGeneration": 1}

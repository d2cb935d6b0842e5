"""An Agent and what it refers to, as an API server has them."""

from typing import Any

from mcp_agentspawn.localplane.agents.translating import Object, Reference

TOKEN = {"name": "X-Agentspawn-Token", "valueFrom": {"type": "Secret", "name": "sub-one-agentspawn", "key": "token"}}
SERVER = {"apiGroup": "kagent.dev", "kind": "RemoteMCPServer", "name": "web-search", "toolNames": ["search", "fetch"]}
FOUND: dict[Reference, Object] = {
    ("modelconfigs", "model"): {"spec": {"provider": "OpenAI", "model": "gpt-4.1"}},
    ("remotemcpservers", "web-search"): {
        "spec": {"url": "http://127.0.0.1:1/mcp", "timeout": "30s", "terminateOnClose": False}
    },
}


def agent(**changes: Any) -> dict[str, Any]:
    """One that a subagent's manifest makes; `changes` are of its declarative part."""
    declarative = {"runtime": "go", "systemMessage": "Help.", "modelConfig": "model", "stream": False, "tools": []}
    return {
        "apiVersion": "kagent.dev/v1alpha2",
        "kind": "Agent",
        "metadata": {"name": "sub-one", "namespace": "subagents", "generation": 1, "uid": "1"},
        "spec": {"type": "Declarative", "description": "Helps", "declarative": declarative | changes},
    }

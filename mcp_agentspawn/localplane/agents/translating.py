"""What kagent's controller makes of an Agent: the configuration and the card that the runtime is started with.

Pure: the objects that an Agent refers to are handed in by their references.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
Reference = tuple[str, str]
"""Plural kind and name, in the Agent's own namespace."""

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
UNITS: Mapping[str, float] = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


class Untranslatable(Exception):
    """This Agent can not run here, or not yet; the text says why."""


class NotHere(Untranslatable):
    """It is well as it is, and nothing on a laptop can run it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible model: its base URL, its key, and its name, `""` for the name in the ModelConfig."""

    url: str
    key: str
    model: str = ""


def references(agent: Object) -> set[Reference]:
    """The objects that an Agent rests on, but for Secrets. Raises Untranslatable for what does not run here."""
    if agent["spec"]["type"] != "Declarative":
        raise NotHere("the laptop runs no images")
    declarative = agent["spec"]["declarative"]
    if "systemMessage" not in declarative:
        raise Untranslatable("the laptop reads no system message from elsewhere")
    if not declarative.get("modelConfig"):
        raise Untranslatable("it names no ModelConfig")
    servers = {("remotemcpservers", name) for name in map(_server, declarative.get("tools", []))}
    return {("modelconfigs", declarative["modelConfig"]), *servers}


def secrets_of(agent: Object, found: Mapping[Reference, Object]) -> set[str]:
    """The Secrets whose values go to tool servers, and to models at addresses of their own."""
    model = found["modelconfigs", agent["spec"]["declarative"]["modelConfig"]]["spec"]
    headers = [header for headers in _header_lists(agent, found) for header in headers]
    named = {header["valueFrom"]["name"] for header in headers if "valueFrom" in header}
    return named | ({model["apiKeySecret"]} if _own_url(model) and "apiKeySecret" in model else set())


def configuration(
    agent: Object, found: Mapping[Reference, Object], secrets: Mapping[str, Mapping[str, str]], endpoint: Endpoint
) -> dict[str, Any]:
    """The runtime's `config.json`. Raises Untranslatable when a Secret lacks a key."""
    spec, declarative = agent["spec"], agent["spec"]["declarative"]
    model = found["modelconfigs", declarative["modelConfig"]]["spec"]
    config: dict[str, Any] = {
        "model": _model(model, endpoint),
        "description": spec.get("description", ""),
        "instruction": declarative["systemMessage"],
        "http_tools": [
            _tool(tool, found["remotemcpservers", _server(tool)]["spec"], secrets)
            for tool in declarative.get("tools", [])
        ],
        "stream": declarative.get("stream", False),
    }
    if compaction := declarative.get("context", {}).get("compaction"):
        config["context_config"] = {"compaction": {_snake(key): value for key, value in compaction.items()}}
    return config


def model_key(
    agent: Object, found: Mapping[Reference, Object], secrets: Mapping[str, Mapping[str, str]], endpoint: Endpoint
) -> str:
    """The key for the agent's model. The endpoint's own goes nowhere but to the endpoint."""
    model = found["modelconfigs", agent["spec"]["declarative"]["modelConfig"]]["spec"]
    if not _own_url(model):
        return endpoint.key
    return secrets.get(model.get("apiKeySecret", ""), {}).get(model.get("apiKeySecretKey", ""), "none")


def card(agent: Object) -> dict[str, Any]:
    """The runtime's `agent-card.json`."""
    metadata, spec = agent["metadata"], agent["spec"]
    url = f"http://{metadata['name']}.{metadata['namespace']}:8080"
    wires = [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version} for version in ("0.3", "1.0")]
    return {
        "name": metadata["name"].replace("-", "_"),
        "description": spec.get("description", ""),
        "version": spec.get("version", ""),
        "url": url,
        "protocolVersion": "0.3",
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": wires,
        "defaultInputModes": ["text"],
        "defaultOutputModes": ["text"],
        "capabilities": {"streaming": True},
        "skills": [_skill(skill) for skill in spec["declarative"].get("a2aConfig", {}).get("skills", [])],
    }


def application_name(agent: Object) -> str:
    """What the runtime calls the agent where it keeps sessions."""
    return f"{agent['metadata']['namespace']}__NS__{agent['metadata']['name']}".replace("-", "_")


def _own_url(model: Object) -> str:
    url: str = model.get("openAI", {}).get("baseUrl", "")
    return url


def _model(model: Object, endpoint: Endpoint) -> dict[str, Any]:
    own = _own_url(model)
    name = model["model"] if own else endpoint.model or model["model"]
    return {"type": "openai", "model": name, "base_url": own or endpoint.url, "api_format": "chatCompletions"}


def _server(tool: Object) -> str:
    server = tool.get("mcpServer", {})
    if tool["type"] != "McpServer" or server.get("kind") != "RemoteMCPServer" or "namespace" in server:
        raise Untranslatable("the laptop runs tools of RemoteMCPServers beside the agent, and no others")
    name: str = server["name"]
    return name


def _header_lists(agent: Object, found: Mapping[Reference, Object]) -> Iterator[list[dict[str, Any]]]:
    for tool in agent["spec"]["declarative"].get("tools", []):
        yield found["remotemcpservers", _server(tool)]["spec"].get("headersFrom", [])
        yield tool.get("headersFrom", [])


def _tool(tool: Object, server: Object, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    headers = [*server.get("headersFrom", []), *tool.get("headersFrom", [])]
    params: dict[str, Any] = {
        "url": server["url"],
        "headers": {header["name"]: _value(header, secrets) for header in headers},
        "timeout": seconds(server.get("timeout", "30s")),
        "terminate_on_close": server.get("terminateOnClose", True),
    }
    if "sseReadTimeout" in server:
        params["sse_read_timeout"] = seconds(server["sseReadTimeout"])
    chosen = tool["mcpServer"]
    translated: dict[str, Any] = {"params": params, "tools": chosen.get("toolNames", [])}
    if "requireApproval" in chosen:
        translated["require_approval"] = chosen["requireApproval"]
    return translated


def _value(header: Object, secrets: Mapping[str, Mapping[str, str]]) -> str:
    if "valueFrom" not in header:
        return str(header.get("value", ""))
    source = header["valueFrom"]
    try:
        return secrets[source["name"]][source["key"]]
    except KeyError:
        raise Untranslatable(f"Secret {source['name']} has no key {source['key']}") from None


def _skill(skill: Object) -> dict[str, Any]:
    optional = {key: skill[key] for key in ("examples", "inputModes", "outputModes") if key in skill}
    described = {"id": skill.get("id", ""), "name": skill["name"], "description": skill.get("description", "")}
    return described | {"tags": skill.get("tags", [])} | optional


def _snake(key: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key)


def seconds(duration: str) -> float:
    """A duration as Go writes it, `5m0s`."""
    return sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(duration))

"""What lies in a namespace of subagents, and the schema of Agents that the cluster serves at this moment."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mcp_agentspawn.adapters.kubernetes.answers import Answers
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.errors import read
from mcp_agentspawn.adapters.kubernetes.principals import SERVER
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS, DEFINITIONS, MODEL_CONFIGS, TOOL_SERVERS
from mcp_agentspawn.adapters.kubernetes.schema import ManifestSchema, served_schema
from mcp_agentspawn.core.errors import Missing, Refused
from mcp_agentspawn.core.model import Manifest
from mcp_agentspawn.core.ports import Violation

KNOWN_SECONDS = 2.0
MOST_NAMESPACES = 256
DEFINITION = DEFINITIONS.item("", f"{AGENTS.plural}.{AGENTS.group}")


class _Served(NamedTuple):
    version: str
    schema: ManifestSchema


class KubernetesInventory:
    """Models, tools and the CRD's version are remembered for 2 seconds, its schema as long as that is the same."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._models = Answers[str, frozenset[str]](KNOWN_SECONDS, MOST_NAMESPACES, clock)
        self._tools = Answers[str, Mapping[str, frozenset[str]]](KNOWN_SECONDS, MOST_NAMESPACES, clock)
        self._schemas = Answers[str, _Served](KNOWN_SECONDS, 1, clock)
        self._served: _Served | None = None

    async def models(self, home: str, *, fresh: bool = False) -> frozenset[str]:
        """See `core.ports.Inventory.models`."""
        return await self._models.get(home, lambda: self._list_models(home), fresh=fresh)

    async def tools(self, home: str, *, fresh: bool = False) -> Mapping[str, frozenset[str]]:
        """See `core.ports.Inventory.tools`."""
        return await self._tools.get(home, lambda: self._list_tools(home), fresh=fresh)

    async def violations(self, manifest: Manifest) -> Sequence[Violation]:
        """See `core.ports.Inventory.violations`. A CRD that was changed counts at most 2 seconds later."""
        served = await self._schemas.get(DEFINITION, self._current_schema)
        return served.schema.violations(manifest)

    async def schema_hash(self) -> str:
        """See `core.ports.Inventory.schema_hash`."""
        return (await self._schemas.get(DEFINITION, self._current_schema)).schema.hash

    async def _list_models(self, home: str) -> frozenset[str]:
        found = await self._client.list(MODEL_CONFIGS.collection(home))
        return read(lambda items: frozenset(item["metadata"]["name"] for item in items), found)

    async def _list_tools(self, home: str) -> Mapping[str, frozenset[str]]:
        found = await self._client.list(TOOL_SERVERS.collection(home))
        return read(lambda items: {item["metadata"]["name"]: _discovered(item) for item in items}, found)

    async def _current_schema(self) -> _Served:
        """The schema of the CRD as it is now; the whole of it, which is large, is fetched only when it has changed."""
        try:
            version = read(_version, await self._client.request("GET", DEFINITION, as_=SERVER, partial=True))
            if self._served is None or self._served.version != version:
                self._served = await self._fetch_schema()
        except Missing as error:
            raise _unserved() from error
        return self._served

    async def _fetch_schema(self) -> _Served:
        definition = await self._client.request("GET", DEFINITION, as_=SERVER)
        schema = read(lambda answer: served_schema(answer, AGENTS.version), definition)
        if schema is None:
            raise _unserved()
        return _Served(read(_version, definition), schema)


def _version(answer: Mapping[str, Mapping[str, str]]) -> str:
    return answer["metadata"]["resourceVersion"]


def _unserved() -> Refused:
    return Refused("unserved", f"The cluster does not serve {AGENTS.group}/{AGENTS.version} {AGENTS.kind}s.")


def _discovered(server: Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]) -> frozenset[str]:
    """What kagent's controller found that the server offers; nothing before it has looked."""
    return frozenset(tool["name"] for tool in (server.get("status") or {}).get("discoveredTools") or ())

"""Readings of the stand-in, as short as a test needs them."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.adapters.registry.client import Client
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.items import Dialect
from mcp_agentspawn.adapters.registry.reading import Reading, read_all, read_one
from mcp_agentspawn.core.registry import Handle, RegistryEntry
from mcp_agentspawn.localplane.registry import Standin

REGISTRY = "acme"


def endpoint(standin: Standin, **changes: Any) -> Endpoint:
    return replace(Endpoint(REGISTRY, standin.url, private_addresses=True), **changes)


async def reading(standin: Standin, **changes: Any) -> Reading:
    async with Client(endpoint(standin, **changes)) as client:
        return await read_all(client)


async def entries(standin: Standin, **changes: Any) -> dict[str, RegistryEntry]:
    """All of them, by name."""
    return {entry.name: entry for entry in (await reading(standin, **changes)).entries}


async def entry(standin: Standin, handle: Handle, dialect: Dialect = "v0.4") -> RegistryEntry | None:
    async with Client(endpoint(standin)) as client:
        return await read_one(client, dialect, handle, REGISTRY)


async def failure(standin: Standin, **changes: Any) -> str:
    """The code of a reading that fails."""
    with pytest.raises(ReadingFailed) as failed:
        await reading(standin, **changes)
    return failed.value.code

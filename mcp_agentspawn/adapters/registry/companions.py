"""Reads what agents of agentregistry 0.4 refer to: prompts, skills and MCP servers, each collection once."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from mcp_agentspawn.adapters.registry import envelopes
from mcp_agentspawn.adapters.registry.client import Client
from mcp_agentspawn.adapters.registry.dialects import items_of
from mcp_agentspawn.adapters.registry.envelopes import Companions, Reference
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.paging import Listing, check_count
from mcp_agentspawn.adapters.registry.texts import Unreadable, mapping, moment_of

NOT_OURS = frozenset({"registry.not_found", "registry.denied"})
"""What a registry says that has no prompts, or none for us."""


async def companions_of(client: Client, problems: Counter[str]) -> Companions:
    """All that agents may refer to. Raises `ReadingFailed` when the prompts are not to be had now.

    Without its prompt an entry would be another one; skills and MCP servers only help to find it, so that a problem
    is counted where they can not be read.
    """
    return Companions(
        prompts=await _read(client, "prompts", envelopes.prompt_content, problems, fatal=True),
        skills=await _read(client, "skills", envelopes.one_line, problems),
        servers=await _read(client, "mcpservers", envelopes.one_line, problems),
    )


async def _read(
    client: Client, kind: str, part: Callable[[Any], Any], problems: Counter[str], *, fatal: bool = False
) -> Mapping[Reference, Any]:
    try:
        return await _collection(client, kind, part)
    except ReadingFailed as failure:
        if fatal and failure.code not in NOT_OURS:
            raise
        problems[f"registry.{kind}_unread"] += 1
        return {}


async def _collection(client: Client, kind: str, part: Callable[[Any], Any]) -> Mapping[Reference, Any]:
    """One part of each item that can be read; of an item that was seen twice, the one that was written last."""
    listing, found, count = Listing(client, kind), dict[Reference, tuple[Any, Any]](), 0
    while (page := await listing.page()) is not None:
        items = items_of(page, "v0.4")
        count += len(items)
        check_count(count, client.endpoint.most_entries)
        for item in items:
            _keep(item, part, found)
    return {name: value for name, (_, value) in found.items()}


def _keep(item: Any, part: Callable[[Any], Any], found: dict[Reference, tuple[Any, Any]]) -> None:
    try:
        name, value = envelopes.self_of(item), part(item)
        moment = moment_of(mapping(item["metadata"]).get("updatedAt"))
    except Unreadable:
        return
    if name not in found or found[name][0] <= moment:
        found[name] = (moment, value)

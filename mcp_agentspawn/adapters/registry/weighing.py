"""What the content guard's rules say about an entry, so that it is known before anyone asks."""

from collections.abc import Sequence
from dataclasses import replace

from mcp_agentspawn.content import ScanFailed, scan
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.text import unwritten

UNANSWERED = "unanswered"
"""Stands for the rules when a text could not be searched: then it is not known to be harmless."""


def weighed(entry: RegistryEntry) -> RegistryEntry:
    """The entry with the rules that any of its texts fall under."""
    return replace(entry, suspected_by=_rules("\n".join(_texts(entry))))


def _texts(entry: RegistryEntry) -> Sequence[str]:
    """What it says of itself, as it was served: a character that is written out hides nothing from a rule."""
    named = (entry.namespace, entry.name, entry.tag, entry.image, *entry.tool_servers)
    told = (*named, entry.title, entry.description, *entry.label_words, *entry.skills)
    return [*map(unwritten, told), entry.instructions]


def _rules(text: str) -> tuple[str, ...]:
    try:
        return tuple(match.rule for match in scan(text))
    except ScanFailed:
        return (UNANSWERED,)

"""What of an entry or a template is searched, field by field, and by which keys."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_agentspawn.adapters.index.words import Vocabulary, keys
from mcp_agentspawn.core.registry import TEMPLATE_SOURCE, Blueprint, RegistryEntry

MOST_INSTRUCTIONS_READ = 1000
"""Characters of the instructions that are searched: what an agent is for stands at their beginning."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the index: its name in an answer, how much a word in it says, and how many keys it usually has."""

    name: str
    weight: float
    usual: int


FIELDS = (
    Field("name", 4.0, 8),
    Field("labels", 2.5, 12),
    Field("tools", 2.0, 16),
    Field("description", 1.5, 30),
    Field("instructions", 0.5, 100),
)
ITEMS = re.compile(r"[,;:|•\n]|[.!?](?:\s|$)|\s[-\u2013\u2014]\s")
HONEST_ITEMS = 6
"""So many short items, such as skills, may a text list; one that lists more says little with each."""
MOST_ITEM_WORDS = 2
FACET = "#"
"""Begins the key of a source or a label by which a search is narrowed."""


def entry_key(entry: RegistryEntry) -> str:
    """What sorts an entry, whatever its tag: its name, then all that tells it from others of this name."""
    return f"{entry.name.casefold()} {entry.registry}/{entry.namespace}/{entry.name}"


def blueprint_key(blueprint: Blueprint) -> str:
    """What sorts a template: its name."""
    return f"{blueprint.name.casefold()} {TEMPLATE_SOURCE}/{blueprint.name}"


def entry_fields(entry: RegistryEntry, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The keys of each field of an entry, each once (saying a word again gains nothing), in the order of `FIELDS`."""
    labels = " ".join(f"{key} {value}" for key, value in entry.labels.items())
    texts = (
        f"{entry.name} {entry.title}",
        f"{entry.namespace} {labels}",
        " ".join((*entry.tool_servers, *entry.skills)),
        entry.description,
        entry.instructions[:MOST_INSTRUCTIONS_READ],
    )
    return tuple(" ".join(dict.fromkeys(vocabulary.keys(text))) for text in texts)


def blueprint_fields(blueprint: Blueprint) -> tuple[str, ...]:
    """The keys of each field of a template, in the order of `FIELDS`."""
    texts = (blueprint.name, " ".join(blueprint.keywords), "", blueprint.description, "")
    return tuple(" ".join(dict.fromkeys(keys(text))) for text in texts)


def breadth(entry: RegistryEntry) -> float:
    """How much more an entry lists than others do: 1 for most, 2 for twice as many short items, and so on."""
    items = [item.split() for text in (entry.description, *entry.skills) for item in ITEMS.split(text)]
    return max(1.0, sum(0 < len(item) <= MOST_ITEM_WORDS for item in items) / HONEST_ITEMS)


def facets(source: str, labels: Sequence[str]) -> Sequence[str]:
    """The keys by which a search is narrowed to a source and labels."""
    told = [f"source {source}"] if source else []
    return [
        FACET + hashlib.sha256(text.encode()).hexdigest() for text in (*told, *(f"label {word}" for word in labels))
    ]

"""Find the blueprints that may fit a task: for now, over the templates that the caller may use."""

import re
from collections.abc import Iterator, Sequence

from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.operations.answers import Hit, Hits, Refusal
from mcp_agentspawn.operations.browse import usable_templates
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse
from mcp_agentspawn.operations.services import Services

WORD = re.compile(r"\w+")
WEIGHTS = {"name": 3.0, "keywords": 2.0, "description": 1.0}
SHORTEST_STEM = 4

CURSOR = Reason("search.cursor", "This cursor was not given by the last page.", "cursor")


async def search(
    services: Services, caller: Caller, query: str, limit: int, cursor: str, source: str, labels: Sequence[str]
) -> Hits | Refusal:
    """Rank what the caller may use against the words of a task; without a query, everything by name."""
    policy = services.rules.current().policy_for(caller.root)
    if policy is None:
        return await refuse(services, caller, "search_agents_agentregistry", (NO_POLICY,))
    if cursor and not re.fullmatch(r"[0-9]{1,6}", cursor):
        return await refuse(services, caller, "search_agents_agentregistry", (CURSOR,))
    usable = await usable_templates(services, caller, policy) if source in {"", "template"} else []
    labelled = [template for template in usable if set(labels) <= set(template.keywords)]
    hits = sorted(_ranked(query, labelled), key=lambda hit: (-hit.score, hit.name))
    start = int(cursor or 0)
    more = start + limit < len(hits)
    return Hits(
        hits=tuple(hits[start : start + limit]),
        next_cursor=str(start + limit) if more else "",
        next_step="Call propose_subagent with a hit's handle as template." if hits else "Try other words.",
    )


def _ranked(query: str, templates: Sequence[Template]) -> Iterator[Hit]:
    words = _words(query)
    for template in templates:
        fields = {
            "name": _words(template.name),
            "keywords": _words(" ".join(template.keywords)),
            "description": _words(template.description),
        }
        score = sum(WEIGHTS[field] * len(_shared(words, there)) for field, there in fields.items())
        matched = sorted(set().union(*(_shared(words, there) for there in fields.values())))
        if score or not words:
            yield _hit(template, score, tuple(matched))


def _hit(template: Template, score: float, matched: tuple[str, ...]) -> Hit:
    return Hit(
        handle=template.name,
        source="template",
        name=template.name,
        description=template.description,
        labels=tuple(template.keywords),
        score=score,
        matched=matched,
        spawnable=True,
    )


def _words(text: str) -> set[str]:
    return {word.casefold() for word in WORD.findall(text)}


def _shared(asked: set[str], there: set[str]) -> set[str]:
    return {word for word in asked if any(_alike(word, other) for other in there)}


def _alike(word: str, other: str) -> bool:
    shorter = min(len(word), len(other))
    return word == other or (shorter >= SHORTEST_STEM and (word.startswith(other) or other.startswith(word)))

"""Which templates a query asks for by the policy's words."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from mcp_agentspawn.adapters.index.words import Word, words
from mcp_agentspawn.core.registry import Route

MOST_CHARACTERS = 2000


def routed(routes: Sequence[Route], text: str) -> Mapping[str, str]:
    """The templates that the words of a query lead to, each with the first word that does."""
    asked = {form for word in words(text[:MOST_CHARACTERS]) for form in _forms(word)}
    found: dict[str, str] = {}
    for template, phrase, needed in _needs(tuple(routes)):
        if all(forms & asked for forms in needed):
            found.setdefault(template, phrase)
    return found


@lru_cache(maxsize=64)
def _needs(routes: tuple[Route, ...]) -> Sequence[tuple[str, str, Sequence[frozenset[str]]]]:
    phrases = [(route.template, phrase, list(words(phrase))) for route in routes for phrase in route.words]
    return [
        (template, " ".join(word.key for word in phrase), [frozenset(_forms(word)) for word in phrase])
        for template, _, phrase in phrases
        if phrase
    ]


def _forms(word: Word) -> Sequence[str]:
    return (word.key, *word.stems)

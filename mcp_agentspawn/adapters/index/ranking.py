"""How well something fits a query: which of its words, in which fields, how exactly, and how many of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_agentspawn.adapters.index.asking import Asked, Asking, Kind
from mcp_agentspawn.adapters.index.fields import FIELDS
from mcp_agentspawn.adapters.index.shelf import Candidate

ENOUGH = 2.5
"""A word with so much weight in the fields counts half of what it can."""
LENGTH = 0.6
"""How much a field longer than usual dilutes the words in it."""
SINGLE = 0.35
"""What is left of the score when next to none of the words is there."""
DECIMALS = 4
MOST_MATCHED = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """A word of the index: for which word of the query it stands (by position), how well and how."""

    position: int
    worth: float
    kind: Kind


class Ranking:
    """A query as a measure of candidates."""

    def __init__(self, asking: Asking) -> None:
        self._asked = asking.asked
        self._whole = sum(one.weight for one in self._asked)
        self._wanted = _wanted(self._asked)

    def score(self, candidate: Candidate) -> float:
        """From 0 to 1: all words in the best fields is 1."""
        if not self._whole:
            return 0.0
        weights = [0.0] * len(self._asked)
        for field, text in zip(FIELDS, candidate.fields, strict=True):
            keys = text.split()
            length = 1 - LENGTH + LENGTH * len(keys) / field.usual
            for position, worth in self._best(keys).items():
                weights[position] += field.weight * worth / max(1.0, length)
        told = sum(one.weight * weight / (weight + ENOUGH) for one, weight in zip(self._asked, weights, strict=True))
        covered = sum(one.weight for one, weight in zip(self._asked, weights, strict=True) if weight)
        whole = told / self._whole * (SINGLE + (1 - SINGLE) * covered / self._whole)
        return round(whole / candidate.breadth, DECIMALS)

    def _best(self, keys: Sequence[str]) -> Mapping[int, float]:
        best: dict[int, float] = {}
        for key in filter(self._wanted.__contains__, keys):
            for wanted in self._wanted[key]:
                best[wanted.position] = max(best.get(wanted.position, 0.0), wanted.worth)
        return best

    def matched(self, candidate: Candidate) -> tuple[str, ...]:
        """Which words of the query were found, how, and in which fields; in words of the query."""
        found: dict[int, tuple[Wanted, str, list[str]]] = {}
        for field, text in zip(FIELDS, candidate.fields, strict=True):
            for position, (wanted, term) in self._reasons(text.split()).items():
                found.setdefault(position, (wanted, term, []))[2].append(field.name)
        return tuple(self._reason(*found[position]) for position in sorted(found))[:MOST_MATCHED]

    def _reasons(self, keys: Sequence[str]) -> Mapping[int, tuple[Wanted, str]]:
        best: dict[int, tuple[Wanted, str]] = {}
        for key in sorted(filter(self._wanted.__contains__, keys)):
            for wanted in self._wanted[key]:
                if wanted.position not in best or wanted.worth > best[wanted.position][0].worth:
                    best[wanted.position] = (wanted, key)
        return best

    def _reason(self, wanted: Wanted, term: str, names: Sequence[str]) -> str:
        word = self._asked[wanted.position].word.key
        corrected = f"{term}~" if wanted.kind == "typo" and term.isascii() and term.isalnum() else ""
        return f"{corrected}{word} ({', '.join((*filter(None, [wanted.kind]), *names))})"


def _wanted(asked: Sequence[Asked]) -> Mapping[str, Sequence[Wanted]]:
    wanted: dict[str, list[Wanted]] = {}
    for position, one in enumerate(asked):
        for term, (worth, kind) in one.worth.items():
            wanted.setdefault(term, []).append(Wanted(position, worth, kind))
    return wanted

"""The judged corpus of search quality, and the two numbers that say how good a ranking is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent
WOULD_DO = 2
GRADES = (1, WOULD_DO, 3)
DEPTH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One agent of a registry, with its references already resolved to texts."""

    namespace: str
    name: str
    tag: str
    title: str
    description: str
    labels: dict[str, str]
    tool_servers: list[str]
    skills: list[str]
    instructions: str
    image: str

    @property
    def key(self) -> str:
        """What judgements and rankings call it."""
        return f"{self.namespace}/{self.name}"

    @property
    def texts(self) -> list[str]:
        """Everything in it that a query may be about."""
        labels = [f"{key}={value}" for key, value in self.labels.items()]
        return [self.key, self.title, self.description, *labels, *self.tool_servers, *self.skills, self.instructions]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTemplate:
    """One template, as far as search reads it."""

    name: str
    description: str
    keywords: list[str]

    @property
    def key(self) -> str:
        """What judgements and rankings call it."""
        return f"template/{self.name}"

    @property
    def texts(self) -> list[str]:
        """Everything in it that a query may be about."""
        return [self.name, self.description, *self.keywords]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query, with the grade of everything that answers it; what is not named has grade 0."""

    id: str
    query: str
    split: Literal["tune", "held_out"]
    kind: str
    relevant: dict[str, int]


def entries() -> list[Entry]:
    return [Entry(**row) for row in rows("entries")]


def templates() -> list[SampleTemplate]:
    return [SampleTemplate(**row) for row in rows("templates")]


def documents() -> list[Entry | SampleTemplate]:
    """Everything that a search ranks."""
    return [*entries(), *templates()]


def queries(split: Literal["tune", "held_out"] | None = None) -> list[Query]:
    """All queries, or those of one split."""
    every = [Query(**row) for row in rows("queries")]
    return [query for query in every if split in (None, query.split)]


def rows(name: str) -> Iterator[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return (json.loads(line) for line in lines)


def hit_at_1(ranking: Sequence[str], relevant: Mapping[str, int]) -> bool:
    """Does the first result do what was asked for, with grade 2 or 3?"""
    return any(relevant.get(key, 0) >= WOULD_DO for key in ranking[:1])


def ndcg_at_5(ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
    """How near the first five are to the best order there is, from 0 to 1; a result named twice counts once."""
    first = list(dict.fromkeys(ranking))[:DEPTH]
    best = sorted(relevant.values(), reverse=True)[:DEPTH]
    return gain([relevant.get(key, 0) for key in first]) / gain(best)


def gain(grades: Sequence[int]) -> float:
    """The discounted cumulative gain of grades, in the order of the results."""
    return sum((2.0**grade - 1) / log2(place + 1) for place, grade in enumerate(grades, start=1))

"""One database of an index, read only: its words, what holds them, and what is kept."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CANDIDATES = """
SELECT hit.id, suspected, key, breadth, search.name, labels, tools, description, instructions
FROM hit JOIN search ON search.rowid = hit.id WHERE hit.id IN (SELECT value FROM json_each(?))
"""
ID = "SELECT id FROM hit WHERE key = ?"
WEIGHED = "SELECT rowid, -rank FROM search WHERE search MATCH ?"
FIRST = "SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid LIMIT ?"
KNOWN = "SELECT word, documents, names FROM word WHERE word IN (SELECT value FROM json_each(?))"
LISTED = "SELECT id, suspected, key FROM hit WHERE id > ? ORDER BY id LIMIT ?"
LISTED_NARROWED = """
SELECT id, suspected, key FROM hit JOIN search ON search.rowid = hit.id
WHERE search MATCH ? AND search.rowid > ? ORDER BY search.rowid LIMIT ?
"""
BEGINNING = """
SELECT word FROM (SELECT word FROM word WHERE word > ? AND word < ? LIMIT ?)
WHERE length(word) <= ? ORDER BY length(word), word LIMIT ?
"""
ENDING = """
SELECT backwards FROM (SELECT backwards FROM ending WHERE backwards > ? AND backwards < ? LIMIT ?)
WHERE length(backwards) <= ? ORDER BY length(backwards), backwards LIMIT ?
"""
MOST_LOOKED_AT = 3000
"""Of words that begin or end alike, so many are looked at: a registry can hold any number of them."""
LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be a hit: where it is kept, its key, how broad it is, and the keys of each of its fields."""

    id: int
    suspected: bool
    key: str
    breadth: float
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """In how many documents a word stands, and in how many of their names."""

    documents: int = 0
    names: int = 0

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.documents + other.documents, self.names + other.names)


class Shelf:
    """What can be found in one database that `build` wrote: `size` in all, the first `clean` of them unsuspected."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self.size: int = file.execute("SELECT count(*) FROM hit").fetchone()[0]
        self.clean: int = file.execute("SELECT count(*) FROM hit WHERE NOT suspected").fetchone()[0]

    def close(self) -> None:
        """Nothing more is asked of it."""
        self._file.close()

    def known(self, words: Sequence[str]) -> Mapping[str, Spread]:
        """Those of the words that stand somewhere, and how widely."""
        rows = self._file.execute(KNOWN, (json.dumps(words),))
        return {word: Spread(documents, names) for word, documents, names in rows}

    def beginning(self, start: str, longest: int, most: int) -> Sequence[str]:
        """Words that begin so and go on, the shortest first."""
        return [word for (word,) in self._file.execute(BEGINNING, (start, start + LAST, MOST_LOOKED_AT, longest, most))]

    def ending(self, end: str, longest: int, most: int) -> Sequence[str]:
        """Words and stems that end so, the shortest first."""
        rows = self._file.execute(ENDING, (end[::-1], end[::-1] + LAST, MOST_LOOKED_AT, longest, most))
        return [backwards[::-1] for (backwards,) in rows]

    def most_with(self, facets: Sequence[str]) -> int:
        """At most so many have all of these."""
        known = self.known(facets)
        return min((known.get(facet, Spread()).documents for facet in facets), default=self.size)

    def weighed(self, match: str) -> Iterable[tuple[int, float]]:
        """All that match, each with its BM25."""
        return self._file.execute(WEIGHED, (match,))

    def first(self, match: str, most: int) -> Sequence[int]:
        """The first that match, in order; BM25 is not asked."""
        return [number for (number,) in self._file.execute(FIRST, (match, max(0, most)))]

    def candidates(self, numbers: Sequence[int]) -> Sequence[Candidate]:
        """What is kept under these ids."""
        return [_candidate(row) for row in self._file.execute(CANDIDATES, (json.dumps(numbers),))]

    def named(self, key: str) -> Sequence[Candidate]:
        """The one with this key."""
        return self.candidates([number for (number,) in self._file.execute(ID, (key,))])

    def listed(self, match: str, after: tuple[bool, str] | None, most: int) -> Sequence[tuple[int, bool, str]]:
        """The next ones in order (id, suspected, key), behind a place; without `match` among all."""
        start = self._behind(*after) if after else 0
        if not match:
            return self._file.execute(LISTED, (start, most)).fetchall()
        return self._file.execute(LISTED_NARROWED, (match, start, most)).fetchall()

    def record(self, number: int) -> str:
        """What is kept under an id."""
        record: str = self._file.execute("SELECT record FROM hit WHERE id = ?", (number,)).fetchone()[0]
        return record

    def _behind(self, suspected: bool, key: str) -> int:  # noqa: FBT001 - it is half of a place
        rows = self._file.execute("SELECT count(*) FROM hit WHERE (suspected, key) <= (?, ?)", (suspected, key))
        behind: int = rows.fetchone()[0]
        return behind


def _candidate(row: tuple[int, int, str, float, *tuple[str, ...]]) -> Candidate:
    number, suspected, key, breadth, *fields = row
    return Candidate(number, bool(suspected), key, breadth, tuple(fields))

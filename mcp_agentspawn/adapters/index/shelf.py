"""One database of an index, read only: its words, what holds them, and what is kept."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MATCHING = """
SELECT hit.id, hit.suspected, hit.key, search.name, search.labels, tools, description, instructions
FROM (SELECT rowid AS found FROM search WHERE search MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rank LIMIT ?)
JOIN hit ON hit.id = found JOIN search ON search.rowid = found ORDER BY hit.id
"""
NAMED = """
SELECT hit.id, hit.suspected, hit.key, search.name, search.labels, tools, description, instructions
FROM hit JOIN search ON search.rowid = hit.id WHERE key = ?
"""
KNOWN = "SELECT word, documents, names FROM word WHERE word IN (SELECT value FROM json_each(?))"
LISTED = "SELECT id, suspected, key FROM hit WHERE id > ? ORDER BY id LIMIT ?"
LISTED_NARROWED = """
SELECT id, suspected, key FROM hit JOIN search ON search.rowid = hit.id
WHERE search MATCH ? AND search.rowid > ? ORDER BY search.rowid LIMIT ?
"""
BEGINNING = (
    "SELECT word FROM word WHERE word > ? AND word < ? AND length(word) <= ? ORDER BY length(word), word LIMIT ?"
)
ENDING = """
SELECT backwards FROM ending WHERE backwards > ? AND backwards < ? AND length(backwards) <= ?
ORDER BY length(backwards), backwards LIMIT ?
"""
LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be a hit: where it is kept, its key, and the keys of each of its fields."""

    id: int
    suspected: bool
    key: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """In how many documents a word stands, and in how many of their names."""

    documents: int = 0
    names: int = 0

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.documents + other.documents, self.names + other.names)


class Shelf:
    """What can be found in one database that `build` wrote."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self.size: int = file.execute("SELECT count(*) FROM hit").fetchone()[0]
        self._clean: int = file.execute("SELECT count(*) FROM hit WHERE NOT suspected").fetchone()[0]

    def close(self) -> None:
        """Nothing more is asked of it."""
        self._file.close()

    def known(self, words: Sequence[str]) -> Mapping[str, Spread]:
        """Those of the words that stand somewhere, and how widely."""
        rows = self._file.execute(KNOWN, (json.dumps(words),))
        return {word: Spread(documents, names) for word, documents, names in rows}

    def beginning(self, start: str, longest: int, most: int) -> Sequence[str]:
        """Words that begin so and go on, the shortest first."""
        return [word for (word,) in self._file.execute(BEGINNING, (start, start + LAST, longest, most))]

    def ending(self, end: str, longest: int, most: int) -> Sequence[str]:
        """Words and stems that end so, the shortest first."""
        rows = self._file.execute(ENDING, (end[::-1], end[::-1] + LAST, longest, most))
        return [backwards[::-1] for (backwards,) in rows]

    def candidates(self, match: str, most: int) -> Iterable[Candidate]:
        """The best by BM25 alone, those without suspicion first."""
        end = self._clean + 1
        found = self._matching(match, 0, end, most)
        return [*found, *self._matching(match, end, self.size + 1, most - len(found))]

    def named(self, key: str) -> Iterable[Candidate]:
        """The one with this key."""
        return [_candidate(row) for row in self._file.execute(NAMED, (key,))]

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

    def _matching(self, match: str, start: int, end: int, most: int) -> Sequence[Candidate]:
        if start >= end or most <= 0:
            return []
        return [_candidate(row) for row in self._file.execute(MATCHING, (match, start, end, most))]

    def _behind(self, suspected: bool, key: str) -> int:  # noqa: FBT001 - it is half of a place
        rows = self._file.execute("SELECT count(*) FROM hit WHERE (suspected, key) <= (?, ?)", (suspected, key))
        behind: int = rows.fetchone()[0]
        return behind


def _candidate(row: tuple[int, int, str, *tuple[str, ...]]) -> Candidate:
    number, suspected, key, *fields = row
    return Candidate(number, bool(suspected), key, tuple(fields))

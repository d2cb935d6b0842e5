"""The other baseline: SQLite's FTS5 as it comes, with BM25 over all texts alike, for any of the words."""

import re
import sqlite3
from collections.abc import Callable, Iterable

from tests.quality.substring import Document


def searcher(documents: Iterable[Document]) -> Callable[[str], list[str]]:
    """Ranks by FTS5's own tokenizer, without stems, weights or typos."""
    file = sqlite3.connect(":memory:")
    file.execute("CREATE VIRTUAL TABLE search USING fts5(key UNINDEXED, text)")
    rows = ((document.key, " ".join(document.texts)) for document in documents)
    file.executemany("INSERT INTO search VALUES (?, ?)", rows)

    def rank(query: str) -> list[str]:
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query))
        found = file.execute("SELECT key FROM search WHERE search MATCH ? ORDER BY rank, key", (words or '""',))
        return [key for (key,) in found]

    return rank

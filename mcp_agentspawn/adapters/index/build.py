"""Write the index of one view: what is outside of the view leaves no trace in it."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from mcp_agentspawn.adapters.index import fields, records
from mcp_agentspawn.adapters.index.words import Vocabulary
from mcp_agentspawn.core.registry import Blueprint, RegistryEntry, View

SCHEMA = """
CREATE TABLE kept (key TEXT PRIMARY KEY, suspected INTEGER, breadth REAL, record TEXT);
CREATE TABLE hit (id INTEGER PRIMARY KEY, suspected INTEGER, key TEXT, breadth REAL, record TEXT);
CREATE VIRTUAL TABLE search USING fts5(
  name, labels, tools, description, instructions, facets, tokenize="ascii tokenchars '=#'"
);
CREATE VIRTUAL TABLE term USING fts5vocab(search, row);
CREATE VIRTUAL TABLE term_of_column USING fts5vocab(search, col);
CREATE TABLE word (word TEXT PRIMARY KEY, documents INTEGER, names INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE ending (backwards TEXT PRIMARY KEY) WITHOUT ROWID;
"""
RANK = f"bm25({', '.join(str(field.weight) for field in fields.FIELDS)}, 0)"
SORT = (
    "INSERT INTO hit (suspected, key, breadth, record) SELECT suspected, key, breadth, record FROM kept ORDER BY 1, 2"
)
INSERT_FIELDS = """
INSERT INTO search (rowid, name, labels, tools, description, instructions, facets) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
FINISH = """
INSERT INTO search (search) VALUES ('optimize');
INSERT INTO word (word, documents) SELECT term, doc FROM term;
UPDATE word SET names = doc FROM term_of_column WHERE term = word AND col = 'name';
INSERT INTO ending SELECT backwards(word) FROM word WHERE word NOT LIKE '#%';
CREATE INDEX hit_in_order ON hit (suspected, key);
DROP TABLE kept;
"""


def build(path: Path, view: View, entries: Iterable[RegistryEntry]) -> None:
    """Write the index of those entries that the view holds to a new file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = OFF")
        file.execute("PRAGMA synchronous = OFF")
        write_entries(file, (entry for entry in entries if view.holds(entry)))


def write_entries(file: sqlite3.Connection, entries: Iterable[RegistryEntry]) -> None:
    """Write entries to an empty database, in their order: sorted on disk, so that few are in memory.

    Of several tags of one entry only the first is written.
    """
    _begin(file)
    file.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?)", map(_kept, entries))
    file.execute(SORT)
    file.executemany(INSERT_FIELDS, _entry_rows(file))
    _finish(file)


def write_blueprints(file: sqlite3.Connection, blueprints: Iterable[Blueprint]) -> None:
    """Write templates to an empty database, in their order."""
    _begin(file)
    for number, blueprint in enumerate(sorted(blueprints, key=fields.blueprint_key), start=1):
        narrowing = fields.facets("template", blueprint.keywords)
        kept = (number, False, fields.blueprint_key(blueprint), 1.0, blueprint.name)
        file.execute("INSERT INTO hit VALUES (?, ?, ?, ?, ?)", kept)
        file.execute(INSERT_FIELDS, (number, *fields.blueprint_fields(blueprint), " ".join(narrowing)))
    _finish(file)


def _begin(file: sqlite3.Connection) -> None:
    file.create_function("backwards", 1, lambda word: word[::-1], deterministic=True)
    file.executescript(SCHEMA)
    file.execute("INSERT INTO search (search, rank) VALUES ('rank', ?)", (RANK,))
    file.execute("BEGIN")


def _kept(entry: RegistryEntry) -> tuple[str, bool, float, str]:
    return fields.entry_key(entry), bool(entry.suspected_by), fields.breadth(entry), records.written(entry).decode()


def _entry_rows(file: sqlite3.Connection) -> Iterator[tuple[int | str, ...]]:
    vocabularies = defaultdict[str, Vocabulary](Vocabulary)
    for number, record in file.execute("SELECT id, record FROM hit ORDER BY id"):
        entry = records.read(record)
        narrowing = fields.facets(entry.registry, entry.label_words)
        yield (number, *fields.entry_fields(entry, vocabularies[entry.registry]), " ".join(narrowing))


def _finish(file: sqlite3.Connection) -> None:
    for statement in FINISH.strip().split(";\n"):
        file.execute(statement)
    file.execute("COMMIT")

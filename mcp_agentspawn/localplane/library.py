"""What the local tool servers look things up in: bundled documents and synthetic logs, read once and held in memory."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SCHEME = "library:"
MOST_HITS = 10
MOST_LINES = 100
MOST_DOCUMENT_CHARACTERS = 8_000
EXCERPT_CHARACTERS = 240
TITLE_WEIGHT = 3
WORD = re.compile(r"[a-z0-9]{2,}")


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that fits a search; `address` is what `fetch` takes."""

    address: str
    title: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Document:
    """One whole document."""

    address: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Stream:
    """One log stream; times are RFC 3339 in UTC."""

    name: str
    lines: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one stream."""

    time: str
    stream: str
    text: str


def documents(folder: Path = HERE / "documents") -> Mapping[str, Document]:
    """All documents by address. An address is a key and never a path."""
    found = (_document(file) for file in sorted(folder.glob("*.md")))
    return {document.address: document for document in found}


def _document(file: Path) -> Document:
    title, _, text = file.read_text(encoding="utf-8").partition("\n")
    return Document(f"{SCHEME}{file.stem}", title.removeprefix("# "), text.strip()[:MOST_DOCUMENT_CHARACTERS])


def find(library: Mapping[str, Document], query: str, limit: int) -> list[Hit]:
    """The documents that hold most of the query's words; a rare word and one in a title count more. Ties by address."""
    words = _words(query)
    holding = Counter(word for document in library.values() for word in words & _words(document.title, document.text))
    scores = {address: _score(document, words, holding) for address, document in library.items()}
    best = sorted((address for address in scores if scores[address]), key=lambda address: (-scores[address], address))
    return [_hit(library[address], words) for address in best[: _within(limit, MOST_HITS)]]


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in WORD.findall(text.lower())}


def _score(document: Document, words: set[str], holding: Mapping[str, int]) -> float:
    title, text = _words(document.title), _words(document.text)
    return sum((TITLE_WEIGHT * (word in title) + (word in text)) / max(1, holding[word]) for word in words)


def _hit(document: Document, words: set[str]) -> Hit:
    best = max(document.text.split("\n\n"), key=lambda paragraph: len(words & _words(paragraph)))
    return Hit(document.address, document.title, " ".join(best.split())[:EXCERPT_CHARACTERS])


def logs(folder: Path = HERE / "logs") -> Sequence[LogLine]:
    """All lines of all streams, by time."""
    lines = [
        LogLine(time, file.stem, text.strip())
        for file in sorted(folder.glob("*.log"))
        for time, _, text in (line.partition(" ") for line in file.read_text(encoding="utf-8").splitlines())
    ]
    return sorted(lines, key=lambda line: (line.time, line.stream))


def streams(lines: Sequence[LogLine]) -> list[Stream]:
    """The streams, by name."""
    by_name: dict[str, list[LogLine]] = {}
    for line in lines:
        by_name.setdefault(line.stream, []).append(line)
    return [Stream(name, len(own), own[0].time, own[-1].time) for name, own in sorted(by_name.items())]


def select(lines: Sequence[LogLine], stream: str, contains: str, since: str, until: str, limit: int) -> list[LogLine]:
    """The first lines that fit all that is given; `until` is not included. Empty means any."""
    fitting = [
        line
        for line in lines
        if stream in {"", line.stream}
        and contains.lower() in line.text.lower()
        and since <= line.time
        and (not until or line.time < until)
    ]
    return fitting[: _within(limit, MOST_LINES)]


def _within(limit: int, most: int) -> int:
    return max(1, min(limit, most))

"""Plain substring matching: what agentregistry did with names until 0.3, done with every text."""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol


class Document(Protocol):
    """Anything with a name and texts."""

    @property
    def key(self) -> str: ...

    @property
    def texts(self) -> Sequence[str]: ...


def rank(query: str, documents: Iterable[Document]) -> list[str]:
    """Those that contain a word of the query, the most words first, then by name."""
    words = set(re.findall(r"\w+", query.lower()))
    counted = ((matched(words, document), document.key) for document in documents)
    return [key for count, key in sorted(counted, key=lambda found: (-found[0], found[1])) if count]


def matched(words: set[str], document: Document) -> int:
    texts = [text.lower() for text in document.texts]
    return sum(any(word in text for text in texts) for word in words)

"""Phrases: words in an order, with gaps between them.

A phrase is elements with spaces between. An element is `word`, `one|another`, `<kind>` of the vocabulary or a mixture
of these; `a+b` is one word behind the other; a `?` makes an element optional; `~3` is a gap of up to three words, which
ends where a sentence does. A text is written with one byte for each word, its kind, and a phrase is a pattern of RE2
over these bytes.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from mcp_agentspawn.content.patterns import PatternSet

STOPS = frozenset({b".", b":"})
MOST_KINDS = 255
"""Of words that are told apart by one book; all others are of kind 0."""
ANY_KIND = bytes(range(MOST_KINDS + 1))
PHRASES_IN_A_SET = 12
"""More make fewer passes over a text; fewer keep the automaton small when a text is made of half phrases."""
LEAST_MISSPELT = 6
"""A shorter word with two letters swapped is too often another word."""
Choice = frozenset[bytes]
Phrases = Sequence[tuple[str, str]]
"""The name of a rule and one of its phrases, pair by pair."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of these rows of words; a gap of up to `gap` words when there are none."""

    rows: tuple[tuple[Choice, ...], ...] = ()
    optional: bool = False
    gap: int = 0

    def begins(self, kinds: Mapping[bytes, int]) -> frozenset[int]:
        """The kinds of words with which it can begin."""
        return frozenset(kinds[word] for row in self.rows for word in row[0])


class PhraseBook:
    """Phrases by name. Raises `ValueError` when they tell too many kinds of words apart for one book."""

    def __init__(self, phrases: Phrases, vocabulary: Mapping[str, str]) -> None:
        parts = [(name, _parts(text, vocabulary)) for name, text in phrases]
        kinds = _kinds(_choices(text for _, text in parts))
        self.kinds = {spelling: kind for word, kind in kinds.items() for spelling in _spellings(word, kinds)}
        self._sets = [
            _PhraseSet(parts[at : at + PHRASES_IN_A_SET], kinds) for at in range(0, len(parts), PHRASES_IN_A_SET)
        ]

    def matches(self, kinds: bytes) -> frozenset[str]:
        """The names of the phrases that stand in a text of words of these kinds. Raises `ScanFailed`."""
        present = frozenset(ANY_KIND.translate(None, ANY_KIND.translate(None, kinds)))
        return frozenset[str]().union(*(phrases.matches(kinds, present) for phrases in self._sets))


class _PhraseSet:
    """Phrases that are looked for in one pass, which is spared when each lacks a word."""

    def __init__(self, phrases: Sequence[tuple[str, Sequence[Part]]], kinds: Mapping[bytes, int]) -> None:
        self._needs = [[part.begins(kinds) for part in text if part.rows and not part.optional] for _, text in phrases]
        patterns = [(name, "".join(_pattern(part, kinds) for part in text)) for name, text in phrases]
        self._patterns = PatternSet(patterns, single_bytes=True)

    def matches(self, kinds: bytes, present: frozenset[int]) -> frozenset[str]:
        if all(any(map(present.isdisjoint, needs)) for needs in self._needs):
            return frozenset()
        return self._patterns.matches(kinds)


class PhraseLibrary:
    """All phrases, in order, in as few books as hold them."""

    def __init__(self, phrases: Phrases, vocabulary: Mapping[str, str]) -> None:
        self.books: list[PhraseBook] = []
        while phrases:
            counts = range(2, len(phrases) + 1)
            fitting = 1 + bisect_left(counts, MOST_KINDS + 1, key=partial(_count, phrases, vocabulary))
            self.books.append(PhraseBook(phrases[:fitting], vocabulary))
            phrases = phrases[fitting:]
        known = {word for book in self.books for word in book.kinds}
        self._kinds = {word: bytes(book.kinds.get(word, 0) for book in self.books) for word in known}

    def matches(self, words: Sequence[bytes]) -> frozenset[str]:
        """The names of the phrases that stand in a text of these words. Raises `ScanFailed`.

        Each word is looked up once: it has one byte for each book.
        """
        kinds = b"".join(map(self._kinds.get, words, repeat(bytes(len(self.books)))))
        found = (book.matches(kinds[at :: len(self.books)]) for at, book in enumerate(self.books))
        return frozenset[str]().union(*found)


def _count(phrases: Phrases, vocabulary: Mapping[str, str], first: int) -> int:
    return len(_alike(_choices(_parts(text, vocabulary) for _, text in phrases[:first])))


def _parts(text: str, vocabulary: Mapping[str, str]) -> tuple[Part, ...]:
    return tuple(_part(part, vocabulary) for part in text.split())


def _part(part: str, vocabulary: Mapping[str, str]) -> Part:
    if part.startswith("~"):
        return Part(gap=int(part[1:]))
    alternatives: list[str] = []
    for alternative in part.removesuffix("?").split("|"):
        alternatives += vocabulary[alternative.strip("<>")].split() if alternative.startswith("<") else [alternative]
    single = frozenset(word.encode() for word in alternatives if "+" not in word)
    rows = [tuple(frozenset({word.encode()}) for word in row.split("+")) for row in alternatives if "+" in row]
    return Part((*rows, (single,)) if single else tuple(rows), optional=part.endswith("?"))


def _choices(texts: Iterable[Iterable[Part]]) -> frozenset[Choice]:
    return frozenset({STOPS, *(choice for text in texts for part in text for row in part.rows for choice in row)})


def _kinds(choices: Iterable[Choice]) -> dict[bytes, int]:
    """A number for each word; words that every choice treats alike share one. Raises `ValueError`."""
    alike = _alike(choices)
    if len(alike) > MOST_KINDS:
        raise ValueError(f"these phrases tell {len(alike)} kinds of words apart, and {MOST_KINDS} are the most")
    return {word: number for number, words in enumerate(alike, 1) for word in words}


def _alike(choices: Iterable[Choice]) -> Sequence[Sequence[bytes]]:
    chosen_by: dict[bytes, set[Choice]] = defaultdict(set)
    for choice in choices:
        for word in choice:
            chosen_by[word].add(choice)
    alike: dict[frozenset[Choice], list[bytes]] = defaultdict(list)
    for word in sorted(chosen_by):
        alike[frozenset(chosen_by[word])].append(word)
    return list(alike.values())


def _pattern(part: Part, kinds: Mapping[bytes, int]) -> str:
    if not part.rows:
        return f"[^{_class(STOPS, kinds)}]{{0,{part.gap}}}"
    rows = "|".join("".join(f"[{_class(choice, kinds)}]" for choice in row) for row in part.rows)
    return f"(?:{rows}){'?' if part.optional else ''}"


def _class(choice: Choice, kinds: Mapping[bytes, int]) -> str:
    return "".join(sorted({f"\\x{kinds[word]:02x}" for word in choice}))


def _spellings(word: bytes, known: Container[bytes]) -> Iterator[bytes]:
    """The word, and with two of its inner letters swapped unless that is another word."""
    yield word
    if len(word) >= LEAST_MISSPELT:
        for at in range(1, len(word) - 2):
            swapped = word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]
            if swapped not in known:
                yield swapped

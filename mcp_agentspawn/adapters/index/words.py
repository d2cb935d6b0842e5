"""From text to the keys by which it is found, the same for what is stored and for what is asked."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import Stemmer

LONGEST_KEY = 32
MOST_KEYS = 500_000
"""So many may all the different words of a registry have: enough for tens of thousands of entries in plain language."""
SHORTEST_STEMMED = 3
STEM = "="
"""Begins the key of a stem; those of words are letters and figures alone."""

LANGUAGES = ("english", "german", "polish")
STEMMERS = tuple(Stemmer.Stemmer(language, maxCacheSize=0) for language in LANGUAGES)

TOKEN = re.compile(r"[^\W_]+(?:[-_./][^\W_]+)*")
PART = re.compile(r"[^\W_]+")
HUMP = re.compile(r"(?<=[a-zß-öø-ÿ0-9])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins within `camelCase` and `HTTPServer`."""
MARKS = re.compile("[\u0300-\u036f]")
LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
WRITTEN_OUT = re.compile("([aou])e")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is compared: its key, its stems, and the other ways to write it.

    `joined` are keys of it together with its neighbours, such as `loganalyst` of `log-analyst`.
    """

    key: str
    stems: tuple[str, ...]
    variants: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()


def words(text: str) -> Iterator[Word]:
    """The words of a text in their order, each part of a compound name on its own."""
    for token in TOKEN.findall(unicodedata.normalize("NFKC", text)):
        parts = tuple(_parts(token))
        if len(parts) == 1:
            yield _word(parts[0])
        else:
            yield from (_with_neighbours(parts, position) for position in range(len(parts)))


def keys(text: str) -> Sequence[str]:
    """All keys of a text: of its words, of their stems where these differ, and of neighbours in one name together."""
    return [key for token in TOKEN.findall(unicodedata.normalize("NFKC", text)) for key in _keys(token)]


class Vocabulary:
    """The keys of one registry's words: so many that no honest one has more, and of a new word beyond them none.

    A registry in which every word is another one is then indexed in a time that is bounded too.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._left = MOST_KEYS

    def keys(self, text: str) -> Sequence[str]:
        """All keys of a text that there is room for."""
        return [key for token in TOKEN.findall(unicodedata.normalize("NFKC", text)) for key in self._of(token)]

    def _of(self, token: str) -> tuple[str, ...]:
        found = self._known.get(token)
        if found is None and self._left > 0:
            found = self._known[token] = _keys(token)
            self._left -= len(found)
        return found or ()


def stems(key: str) -> tuple[str, ...]:
    """The stems of what is a key already."""
    return _word(key).stems


def _parts(token: str) -> Iterator[str]:
    for part in PART.findall(token):
        for word in HUMP.split(part):
            yield word.casefold()[:LONGEST_KEY]


def _with_neighbours(parts: tuple[str, ...], position: int) -> Word:
    word = _word(parts[position])
    return Word(word.key, word.stems, word.variants, _joined(parts[max(0, position - 1) : position + 2]))


def _joined(parts: tuple[str, ...]) -> tuple[str, ...]:
    together = (plain(first + second) for first, second in pairwise(parts))
    return tuple(key for key in together if len(key) <= LONGEST_KEY)


def plain(word: str) -> str:
    """A word in small letters without marks: `ubersetzung`, `tlumacz`."""
    if word.isascii():
        return word
    bare = MARKS.sub("", unicodedata.normalize("NFD", word.translate(LETTERS)))
    return unicodedata.normalize("NFC", bare)


@lru_cache(maxsize=32768)
def _keys(token: str) -> tuple[str, ...]:
    parts = tuple(_parts(token))
    found = [key for part in parts for key in _part_keys(_word(part))]
    return (*found, *_joined(parts))


def _part_keys(word: Word) -> tuple[str, ...]:
    return (word.key, *(STEM + stem for stem in word.stems if stem != word.key))


@lru_cache(maxsize=4096)
def _word(part: str) -> Word:
    key = plain(part)
    return Word(key, _stems(part, key), _variants(part, key))


def _stems(part: str, key: str) -> tuple[str, ...]:
    if len(part) < SHORTEST_STEMMED or any(letter.isdigit() for letter in part):
        return (key,)
    found = {plain(stemmer.stemWord(form)) for form in {part, key} for stemmer in STEMMERS}
    return tuple(sorted(found))


def _variants(part: str, key: str) -> tuple[str, ...]:
    others = {plain(part.translate(UMLAUTS)), WRITTEN_OUT.sub(r"\1", key)}
    return tuple(sorted(others - {key}))

"""From the words of a query to the words of an index: the same ones, their kin, beginnings, and those misspelt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import log
from typing import Literal

from rapidfuzz.distance import OSA

from mcp_agentspawn.adapters.index.related import related
from mcp_agentspawn.adapters.index.shelf import Shelf, Spread
from mcp_agentspawn.adapters.index.stop_words import STOP_WORDS
from mcp_agentspawn.adapters.index.words import LONGEST_KEY, STEM, Word, stems, words

Kind = Literal["", "prefix", "part", "typo", "related"]
"""How a word of the index is one of the query: as it is or inflected, or otherwise."""

MOST_CHARACTERS = 2000
MOST_WORDS = 32
MOST_LOOSE_WORDS = 12
"""So many words of a query are also looked for as beginnings and parts of others, and as misspelt."""
MOST_ALIKE = 6
MOST_NEAR = 400

EXACT, STEMMED, BEGUN, PART, SPLIT, NEAR, RELATED = 1.0, 0.75, 0.8, 0.45, 0.5, 0.6, 0.45
KNOWN_ALREADY = 0.5
"""What a beginning or a part is still worth where the word itself is known."""

SHORTEST_BEGINNING, SHORTEST_PART, SHORTEST_HALF = 3, 5, 4
ONE_TYPO_FROM, TWO_TYPOS_FROM = 4, 8
SHORT = 5
"""In words of so few letters the first one is taken to be right."""
MOST_LEAD = 5
"""So many letters may stand before what a word ends with."""
SHARED = 0.65
"""So much of a word that is not known must begin another one, for that to be its kin."""
LINKS = ("", "s", "es", "n", "en", "er", "e")
"""What stands between the halves of a German compound."""


@dataclass(slots=True)
class Asked:
    """One word of a query, the words of the index that stand for it (how well, and how), and how telling it is."""

    word: Word
    worth: dict[str, tuple[float, Kind]] = field(default_factory=dict)
    weight: float = 0.0

    def take(self, terms: Iterable[str], worth: float, kind: Kind = "") -> None:
        """Let these words stand for it, if they do not stand for it better already."""
        for term in terms:
            self.worth[term] = max(self.worth.get(term, (0.0, kind)), (worth, kind))


def asked_words(text: str) -> Sequence[Word]:
    """The words that a query is about; all its words, if it has no such."""
    every = list(words(text[:MOST_CHARACTERS]))
    telling = [word for word in every if _is_telling(word)] or every
    return list({word.key: word for word in telling}.values())[:MOST_WORDS]


def _is_telling(word: Word) -> bool:
    """Not a word of every query, and not the `e` of `e-mail`."""
    return word.key not in STOP_WORDS and not (word.joined and len(word.key) == 1)


class Asking:
    """A query, read against all that can be found."""

    def __init__(self, text: str, shelves: Sequence[Shelf]) -> None:
        self._shelves = shelves
        self._documents = sum(shelf.size for shelf in shelves)
        asked = [Asked(word) for word in asked_words(text)]
        self.spread = self._known(chain.from_iterable(_forms(one.word) for one in asked), _pairs(asked))
        self._take_same(asked)
        for one in asked[:MOST_LOOSE_WORDS]:
            self._take_loose(one)
            self._take_related(one)
        self._weigh(asked)
        self.asked = [one for one in asked if one.worth]

    def _known(self, *words: Iterable[str]) -> dict[str, Spread]:
        wanted = sorted(set(chain.from_iterable(words)))
        found: dict[str, Spread] = {}
        for shelf in self._shelves:
            for word, spread in shelf.known(wanted).items():
                found[word] = found.get(word, Spread()) + spread
        return found

    def _take_same(self, asked: Sequence[Asked]) -> None:
        for one in asked:
            one.take(self._present(_exact(one.word)), EXACT)
            one.take(self._present(_stemmed(one.word.stems)), STEMMED)
        for first, second in pairwise(asked):
            together = self._present([first.word.key + second.word.key])
            first.take(together, EXACT)
            second.take(together, EXACT)

    def _present(self, terms: Iterable[str]) -> Sequence[str]:
        return [term for term in terms if term in self.spread]

    def _take_loose(self, one: Asked) -> None:
        known = KNOWN_ALREADY if one.worth else 1.0
        self._take_beginnings(one, known)
        self._take_parts(one, known)
        if not one.worth:
            self._take_misspelt(one)
        if not one.worth:
            self._take_halves(one)
        if not one.worth:
            self._take_kin(one)

    def _take_beginnings(self, one: Asked, known: float) -> None:
        shortest = SHORTEST_PART if one.worth else SHORTEST_BEGINNING
        for start in _bare(one.word.key, shortest):
            for term in self._beginning(start):
                one.take(self._learn([term]), BEGUN * known * (0.4 + 0.6 * len(start) / len(term)), "prefix")

    def _beginning(self, start: str) -> Sequence[str]:
        return sorted({term for shelf in self._shelves for term in shelf.beginning(start, LONGEST_KEY, MOST_ALIKE)})

    def _take_parts(self, one: Asked, known: float) -> None:
        if len(one.word.key) >= SHORTEST_PART:
            ends = {one.word.key, *(stem for stem in one.word.stems if len(stem) >= SHORTEST_HALF)}
            found = {
                term
                for shelf in self._shelves
                for end in ends
                for term in shelf.ending(end, LONGEST_KEY, MOST_ALIKE)
                if len(term.removeprefix(STEM)) >= len(end) + SHORTEST_HALF - 1
            }
            one.take(self._learn(sorted(found)), PART * known, "part")

    def _take_misspelt(self, one: Asked) -> None:
        for distance in range(1, _typos(one.word.key) + 1):
            near = self._near(one.word.key, distance)
            if near:
                one.take(self._learn(near), NEAR / distance, "typo")
                kin = self._learn(term for word in near for term in _stemmed(stems(word)))
                one.take(kin, NEAR * STEMMED / distance, "typo")
                return

    def _near(self, word: str, distance: int) -> Sequence[str]:
        """Words at most so many edits away; where they are, the beginning or the end of the word is as it was."""
        kept = (len(word) - 1) // (distance + 1)
        longest = len(word) + distance
        found = set[str]()
        for shelf in self._shelves:
            found.update(shelf.beginning(word[:kept], longest, MOST_NEAR))
            found.update(term for term in shelf.ending(word[-kept:], longest, MOST_NEAR) if not term.startswith(STEM))
        alike = (term for term in found if len(word) > SHORT or term[0] == word[0])
        near = [term for term in alike if OSA.distance(word, term, score_cutoff=distance) <= distance]
        spread = self._known(near)
        return sorted(near, key=lambda term: (-spread[term].documents, term))[:MOST_ALIKE]

    def _take_halves(self, one: Asked) -> None:
        word = one.word.key
        for cut in range(len(word) - SHORTEST_HALF, SHORTEST_HALF - 1, -1):
            first, second = self._half(word[:cut]), self._half(word[cut:])
            if first and second:
                one.take((*first, *second), SPLIT, "part")
                return

    def _half(self, half: str) -> Sequence[str]:
        return self._learn(term for form in _bare(half, SHORTEST_HALF) for term in (form, *_stemmed(stems(form))))

    def _take_kin(self, one: Asked) -> None:
        """What ends it, such as `tlumacz` ends `przetlumacz`, and else what begins as it does."""
        word = one.word.key
        ends = [word[cut:] for cut in range(1, MOST_LEAD + 1) if len(word) - cut >= SHORTEST_PART]
        one.take(self._learn(form for end in ends for form in (end, *_stemmed(stems(end))))[:MOST_ALIKE], PART, "part")
        for end in range(len(word) - 1, max(SHORTEST_PART, round(len(word) * SHARED)) - 1, -1):
            if one.worth:
                return
            one.take(self._learn(self._beginning(word[:end])), PART * end / len(word), "prefix")

    def _take_related(self, one: Asked) -> None:
        others = related(one.word)
        found = self._learn(form for other in others for form in (other.key, *_stemmed(other.stems)))
        one.take(found, RELATED * (KNOWN_ALREADY if one.worth else 1.0), "related")

    def _learn(self, terms: Iterable[str]) -> Sequence[str]:
        terms = list(terms)
        self.spread.update(self._known(term for term in terms if term not in self.spread))
        return self._present(terms)

    def _weigh(self, asked: Sequence[Asked]) -> None:
        for one in asked:
            best = max((worth for worth, _ in one.worth.values()), default=0.0)
            nearest = [self.spread[term].documents for term, (worth, _) in one.worth.items() if worth == best]
            own = [self.spread[term].documents for term, (_, kind) in one.worth.items() if not kind]
            documents = min(self._documents, max(own or nearest, default=0))
            one.weight = log(1 + (self._documents - documents + 0.5) / (documents + 0.5))


def _exact(word: Word) -> Sequence[str]:
    return (word.key, *word.variants, *word.joined)


def _stemmed(found: Iterable[str]) -> Sequence[str]:
    return [form for stem in found if stem not in STOP_WORDS for form in (stem, STEM + stem)]


def _forms(word: Word) -> Iterable[str]:
    return (*_exact(word), *_stemmed(word.stems))


def _bare(word: str, shortest: int) -> Sequence[str]:
    """A word, and what is left of it without an ending or a link."""
    forms = [word.removesuffix(link) for link in LINKS if word.endswith(link)]
    return [form for form in forms if len(form) >= shortest]


def _pairs(asked: Sequence[Asked]) -> Iterable[str]:
    return (first.word.key + second.word.key for first, second in pairwise(asked))


def _typos(word: str) -> int:
    return (len(word) >= ONE_TYPO_FROM) + (len(word) >= TWO_TYPOS_FROM)

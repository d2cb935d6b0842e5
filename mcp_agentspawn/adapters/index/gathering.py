"""Which of all there is may fit a query: bounded work by BM25, word by word, before anything is looked at closely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcp_agentspawn.adapters.index.asking import Asking
from mcp_agentspawn.adapters.index.shelf import Candidate, Shelf, Spread

MOST_RANKED = 80
"""So many candidates of each shelf are ranked; a query that fits more is too wide to look at all of them."""
MOST_POSTINGS = 1500
"""So many occurrences are weighed; words beyond that are looked for in names alone, and then without weighing."""
ENOUGH = 3.0
"""A word with so much BM25 counts half of what it can, so that no word outweighs all the others."""
ANYWHERE, IN_NAMES = "", "name : "
CLOSE, LOOSE = 1.0, 0.4
"""What a word's close relatives count (itself, its inflections and beginnings), and what all others do."""
WORTH_OF_CLOSE = 0.5


@dataclass(frozen=True, slots=True)
class Sought:
    """Words of the index that stand for one word of a query, how much they count, and how widely they stand."""

    terms: tuple[str, ...]
    weight: float
    spread: Spread


def gather(asking: Asking, shelf: Shelf, narrowing: Sequence[str]) -> Sequence[Candidate]:
    """The best candidates of a shelf, those without suspicion before all others."""
    found: dict[int, float] = {}
    left, beyond = MOST_POSTINGS, []
    bound = shelf.most_with(narrowing)
    for sought in sorted(_sought(asking), key=lambda one: (-one.weight, one.terms)):
        field, cost = _affordable(sought, bound, left)
        left -= cost
        if field != ANYWHERE:
            beyond.append(sought)
        for number, relevance in shelf.weighed(_narrowed(sought, field, narrowing)) if cost else ():
            found[number] = found.get(number, 0.0) + sought.weight * relevance / (relevance + ENOUGH)
    for sought in beyond if len(found) < MOST_RANKED else ():
        for number in shelf.first(_narrowed(sought, ANYWHERE, narrowing), MOST_RANKED - len(found)):
            found.setdefault(number, 0.0)
    best = sorted(found, key=lambda number: (number > shelf.clean, -found[number], number))
    return shelf.candidates(best[:MOST_RANKED])


def _sought(asking: Asking) -> Iterator[Sought]:
    for one in asking.asked:
        close = tuple(sorted(term for term, (worth, _) in one.worth.items() if worth >= WORTH_OF_CLOSE))
        loose = tuple(sorted(one.worth.keys() - set(close)))
        for terms, weight in ((close, CLOSE), (loose, LOOSE)):
            if terms:
                yield Sought(terms, one.weight * weight, sum((asking.spread[term] for term in terms), Spread()))


def _affordable(sought: Sought, bound: int, left: int) -> tuple[str, int]:
    """In which field BM25 can be asked for so many occurrences; for none, when that is too many."""
    for field, documents in ((ANYWHERE, sought.spread.documents), (IN_NAMES, sought.spread.names)):
        cost = min(documents, bound)
        if cost <= left:
            return field, cost
    return IN_NAMES, 0


def _narrowed(sought: Sought, field: str, narrowing: Sequence[str]) -> str:
    terms = " OR ".join(map(quoted, sought.terms))
    return " AND ".join([f"{field}({terms})", *only(narrowing)])


def only(narrowing: Sequence[str]) -> Sequence[str]:
    """What FTS5 is asked for sources and labels."""
    return [f"facets : {quoted(facet)}" for facet in narrowing]


def quoted(term: str) -> str:
    """A word as FTS5 takes it, whatever is in it."""
    return '"' + term.replace('"', '""') + '"'

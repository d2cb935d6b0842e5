"""Which rules a text falls under: as it stands, as it looks, and as its encodings hide it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from mcp_agentspawn.content.decoding import decoded
from mcp_agentspawn.content.folding import folded, letters, words
from mcp_agentspawn.content.patterns import PatternSet
from mcp_agentspawn.content.phrases import PhraseLibrary
from mcp_agentspawn.content.rules import Reads, group_of, rule_file, rules
from mcp_agentspawn.content.weighing import outweighs

NO_CHARACTER = "\uffff"
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that a text falls under, and why; never a piece of the text. `encoded` when an encoding hid it."""

    rule: str
    reason: str
    encoded: bool = False

    @property
    def group(self) -> str:
        """`credential`, `injection`, `exfiltration` or `hidden`; `encoded` when an encoding hid it."""
        return "encoded" if self.encoded else group_of(self.rule)


def scan(text: str) -> Sequence[Match]:
    """The rules that a text falls under, each once, in the order of the rules. Raises `ScanFailed`.

    Pure, and linear in the length of the text. Any `str` can be read, broken ones too. Once there are `ENOUGH`, the
    text is not searched for more.
    """
    whole = _whole(text)
    openly = _found(whole)
    hidden = decoded(whole) if len(openly) < ENOUGH else ""
    encoded = _found(_whole(hidden)) - openly if hidden.strip() else frozenset()
    encoded -= {rule for rule in encoded if group_of(rule) == "hidden"}
    return tuple(
        Match(rule.id, rule.reason, rule.id in encoded) for rule in rules().values() if rule.id in openly | encoded
    )


def _whole(text: str) -> str:
    """The text with something that is no character for each half of one (a lone surrogate), so that RE2 can read it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\ufffd", NO_CHARACTER)
    return text


def _found(text: str) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    for look in _looks(text):
        found |= look()
        if len(found) >= ENOUGH:
            break
    return found


def _looks(text: str) -> Iterator[Callable[[], frozenset[str]]]:
    plain = folded(text)
    yield partial(_written, text.encode())
    if plain != text:
        yield partial(_written, plain.encode())
    yield partial(_patterned, "letters", letters(plain))
    yield lambda: phrase_library().matches(words(plain))


def _written(text: bytes) -> frozenset[str]:
    return frozenset(rule for rule in _patterned("written", text) if outweighs(rule, text))


def _patterned(reads: Reads, text: bytes) -> frozenset[str]:
    return frozenset[str]().union(*(patterns.matches(text) for patterns in pattern_sets(reads)))


@cache
def pattern_sets(reads: Reads) -> Sequence[PatternSet]:
    """The patterns of all rules for one reading of a text: a set for each group, since a large set grows slow."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for rule in rules().values():
        if rule.pattern and rule.reads == reads:
            groups[group_of(rule.id)].append((rule.id, rule.pattern))
    return [PatternSet(group) for group in groups.values()]


@cache
def phrase_library() -> PhraseLibrary:
    """The phrases of all rules."""
    phrases = [(rule.id, phrase) for rule in rules().values() for phrase in rule.phrases]
    return PhraseLibrary(phrases, rule_file().vocabulary)

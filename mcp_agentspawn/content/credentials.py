"""Where the credentials in a text are. A rule finds how one begins; it ends at the next blank or quotation mark."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import re2

from mcp_agentspawn.content.patterns import PatternSet
from mcp_agentspawn.content.rules import Rule, group_of, rules
from mcp_agentspawn.content.weighing import AROUND, LEAST_TOKEN, is_random, is_secret

VALUE = r"""([^\s"'`,;<>]{8,200})"""
"""How the pattern of assigned values ends."""
ASSIGNED = re.compile(VALUE.encode())
TOKEN = re.compile(rb"[!-\xff]{%d,}+" % LEAST_TOKEN)
REST = re.compile(rb"""[^\s"'`]*+""")
KEY_END = re2.compile(rb"END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-{0,5}")
BASE64 = rb"[A-Za-z0-9+/_-]"
BREAK = rb"\\?\r?\n[ \t]*+"
LINES = rb"(?:%b(?:%b++(?:={1,2}|(?=[\r\n\"']|\Z))|%b{16,}+))*+" % (BREAK, BASE64, BASE64)
"""Lines that go on with base64: nothing else stands in them, or it is long, or it ends there."""
KEY_LINES = re.compile(rb"%b*+={0,2}%b" % (BASE64, LINES))


class Span(NamedTuple):
    """From where to where a credential stands, in bytes, and the rule that found it."""

    start: int
    end: int
    rule: str


def spans(text: bytes) -> Sequence[Span]:
    """Every credential in a text, rule by rule; they may overlap. Linear. Raises `ScanFailed`."""
    found = _patterns().matches(text)
    return [span for rule in _rules() if rule in found for span in LOOKING.get(rule, _matched)(rule, text)]


@cache
def _rules() -> Mapping[str, Rule]:
    return {rule.id: rule for rule in rules().values() if rule.pattern and group_of(rule.id) == "credential"}


@cache
def _patterns() -> PatternSet:
    return PatternSet([(rule.id, rule.pattern) for rule in _rules().values()])


@cache
def _pattern(rule: str) -> Any:
    return re2.compile(_rules()[rule].pattern.removesuffix(VALUE).encode())


def _matched(rule: str, text: bytes) -> Iterator[Span]:
    """What was cut out is not searched again, so that all of it is one pass."""
    place = 0
    while found := _pattern(rule).search(text, place):
        start, place = found.start(), _end(text, found)
        yield Span(start, place, rule)


def _end(text: bytes, found: Any) -> int:
    """The end of a credential; a private key's is where it says so, and without that it is the end of the text."""
    begin = found.group()
    if begin.startswith(b"BEGIN"):
        last = KEY_END.search(text, found.end())
        return last.end() if last else len(text)
    if begin.startswith(b"PuTTY"):
        return len(text)
    return _after(KEY_LINES if begin.startswith(b"LS0t") else REST, text, found.end())


def _after(pattern: re.Pattern[bytes], text: bytes, place: int) -> int:
    rest = pattern.match(text, place)
    return rest.end() if rest else place


def _values(rule: str, text: bytes) -> Iterator[Span]:
    """The name that a value is assigned to stays. A value that is none may itself be such a name."""
    place = 0
    while name := _pattern(rule).search(text, place):
        place = name.end()
        value = ASSIGNED.match(text, place)
        if value and is_secret(value[1]):
            place = _after(REST, text, value.end())
            yield Span(value.start(), place, rule)


def _tokens(rule: str, text: bytes) -> Iterator[Span]:
    for found in TOKEN.finditer(text):
        token = found[0].strip(AROUND)
        if is_random(token):
            start = found.start() + found[0].index(token)
            yield Span(start, start + len(token), rule)


LOOKING: Mapping[str, Callable[[str, bytes], Iterator[Span]]] = {
    "credential.assigned": _values,
    "credential.random": _tokens,
}

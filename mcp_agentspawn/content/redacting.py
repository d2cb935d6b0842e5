"""Credentials in what a subagent says are cut out before it is kept or read by anybody.

They are found as they stand, as they look, and as encodings hide them. What can not be cut out is withheld as a whole.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from mcp_agentspawn.content.credentials import BASE64, BREAK, LINES, Span, spans
from mcp_agentspawn.content.decoding import LAST_POINT, NAMED, decoded
from mcp_agentspawn.content.folding import folded
from mcp_agentspawn.content.patterns import ScanFailed
from mcp_agentspawn.content.views import Piece, View

WITHHELD = "[withheld: it may hold a credential that could not be cut out]"
HALVES = re.compile("[\ud800-\udfff]")
STRANGE = re.compile("[^\x00-\x7f]")
RUNS = re.compile(
    rb"%b{16,}+={0,2}%b" % (BASE64, LINES)
    + rb"|(?:(?:0x)?[0-9a-fA-F]{2}[ ,:;\r\n-]{1,3}){7,}+(?:(?:0x)?[0-9a-fA-F]{2}\b)?"
)
"""What may be base64, over all its lines, or hexadecimal, also in pairs."""
BROKEN = re.compile(BREAK)
BETWEEN = b" ,:;-\r\n"
MOST_RUNS = 1000
ESCAPES = re.compile(
    rb"&(?:#[xX][0-9a-fA-F]{1,6}|#[0-9]{1,7}|%b);?|(?:[%%=]|\\x|\\u00)[0-9a-fA-F]{2}|=\r?\n" % "|".join(NAMED).encode()
)


def redacted(text: str) -> tuple[str, int]:
    """The text with `[redacted: <rule>]` for every credential, and how many there were; `WITHHELD` when not sure.

    Pure, and linear in the length of the text, which may be any `str`. One without a credential stays as it is.
    """
    try:
        if not _is_in(_whole(text)):
            return text, 0
        cuts = list(_apart(_found(_whole(text))))
        rest = _without(text.encode("utf-8", "surrogatepass"), cuts).decode("utf-8", "surrogatepass")
        return (WITHHELD, max(1, len(cuts))) if _is_in(_whole(rest)) else (rest, len(cuts))
    except ScanFailed:
        return WITHHELD, 1


def _whole(text: str) -> str:
    """The text with a sign of the same size for each half of a character, so that RE2 can read it."""
    return HALVES.sub("\ufffd", text)


def _is_in(text: str) -> bool:
    """Whether there is a credential in it, as it stands, as it looks, or hidden by an encoding."""
    return any(map(_rule_in, (text, *_hidden(text.encode()))))


def _hidden(data: bytes) -> Iterator[str]:
    """What its encodings hide, once with every line on its own and once with those of base64 joined."""
    yield decoded(data.decode())
    joined = RUNS.sub(lambda found: BROKEN.sub(b"", found[0]), data)
    if joined != data:
        yield decoded(joined.decode())


def _rule_in(text: str) -> str:
    """The rule of the first credential in it; `""` for none."""
    plain = folded(text)
    found = spans(text.encode()) or (spans(plain.encode()) if plain != text else ())
    return found[0].rule if found else ""


def _found(text: str) -> Sequence[Span]:
    data = text.encode()
    looks, escapes = View.of(data, _strange(text)), View.of(data, _escapes(data))
    return [*spans(data), *_traced(looks), *_traced(escapes), *_runs(data)]


def _traced(view: View) -> Iterator[Span]:
    for span in spans(view.data):
        yield Span(*view.origin(span.start, span.end), span.rule)


def _strange(text: str) -> Iterator[Piece]:
    more = 0
    for found in STRANGE.finditer(text):
        size = len(found[0].encode())
        start = found.start() + more
        yield start, start + size, folded(found[0]).encode()
        more += size - 1


def _escapes(data: bytes) -> Iterator[Piece]:
    for found in ESCAPES.finditer(data):
        yield found.start(), found.end(), _meant(found[0])


def _meant(escape: bytes) -> bytes:
    if escape.startswith(b"&"):
        return _entity(escape.strip(b"&;").decode()).encode(errors="replace")
    return bytes.fromhex(escape[-2:].decode()) if escape.strip() == escape else b""


def _entity(name: str) -> str:
    if not name.startswith("#"):
        return NAMED[name]
    point = int(f"0{name[1:]}", 0) if name[1] in "xX" else int(name[1:])
    return chr(point) if point <= LAST_POINT else ""


def _runs(data: bytes) -> Iterator[Span]:
    """The runs of base64 and hexadecimal that hide one each."""
    for found in islice(RUNS.finditer(data), MOST_RUNS):
        hiding = next(filter(None, map(_rule_in, _hidden(found[0]))), "")
        if hiding:
            yield Span(found.start(), found.start() + len(found[0].rstrip(BETWEEN)), hiding)


def _apart(found: Iterable[Span]) -> Iterator[Span]:
    """In their order; those that overlap are one, by the rule of the first."""
    last: Span | None = None
    for span in sorted(found, key=lambda each: each.start):
        if last and span.start < last.end:
            last = last._replace(end=max(last.end, span.end))
            continue
        if last:
            yield last
        last = span
    if last:
        yield last


def _without(data: bytes, cuts: Sequence[Span]) -> bytes:
    parts, place = [], 0
    for cut in cuts:
        parts += [data[place : cut.start], f"[redacted: {cut.rule}]".encode()]
        place = cut.end
    return b"".join([*parts, data[place:]])

"""What can go wrong with a registry, or be made to: each fault may be given to a stand-in while it runs.

A fault strikes answers to a path (a pattern as of a shell) and, of listings, to the pages named; the first page is 1.
"""

import contextlib
import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from mcp_agentspawn.localplane.registry import cursors
from mcp_agentspawn.localplane.registry.answers import HTML, PROBLEM, TEXT, TITLES, Answer, Refused, problem
from mcp_agentspawn.localplane.registry.cursors import Dialect
from mcp_agentspawn.localplane.registry.published import Content

AGENTS = "/v0/agents"
ELSEWHERE = "/moved"
"""The same registry answers below this path too: where a redirect on the same host leads."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a fault may know of the request that it strikes."""

    dialect: Dialect
    path: str
    path_and_query: str
    cursor: str
    page: int
    content: Content


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Nothing yet: what all faults have."""

    path: str = AGENTS
    pages: Sequence[int] = ()
    """Empty: all of them."""
    times: int = 0
    """How often it strikes; 0: always."""

    def strikes(self, call: Call, before: int) -> bool:
        """Whether this request is meant, after so many that were."""
        again = not self.times or before < self.times
        return again and fnmatchcase(call.path, self.path) and (not self.pages or call.page in self.pages)

    def spoil(self, answer: Answer, _call: Call, /) -> Answer:
        """What is answered instead."""
        return answer

    def afterwards(self, call: Call) -> None:
        """What happens once the answer is made."""


@dataclass(frozen=True, kw_only=True)
class Slow(Fault):
    """Says nothing for so long, or until the stand-in is told to release it."""

    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Drip(Fault):
    """Sends a byte, waits, sends the next: no single wait is long."""

    pause_seconds: float = 0.05


@dataclass(frozen=True, kw_only=True)
class HalfAPage(Fault):
    """Stops in the middle and closes the connection; a chunked answer does not even say how long it would be."""

    chunked: bool = False


@dataclass(frozen=True, kw_only=True)
class Huge(Fault):
    """Valid JSON, but far too much: sent in chunks without a length, as fast as it is read."""

    megabytes: int = 100


@dataclass(frozen=True, kw_only=True)
class GzipBomb(Fault):
    """Few bytes that become so many when they are unpacked."""

    megabytes: int = 100


@dataclass(frozen=True, kw_only=True)
class Failing(Fault):
    """An error status: 401 as a plain word, all others as the registry words them."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)

    def spoil(self, answer: Answer, _call: Call, /) -> Answer:
        """The error."""
        if self.status == 401:  # noqa: PLR2004 - the one status that is no JSON
            return replace(answer, raw=b"Unauthorized", status=401, content_type=TEXT, headers=self.headers)
        said = problem(Refused(self.status, TITLES[self.status].lower()))
        return replace(said, headers=self.headers, content_type=PROBLEM)


@dataclass(frozen=True, kw_only=True)
class Saying(Fault):
    """Other bytes than JSON, with status 200: a page of a proxy, nothing at all, or broken text."""

    raw: bytes = b"<!doctype html><html><title>Sign in</title><p>Please sign in.</p></html>"
    content_type: str = HTML

    def spoil(self, answer: Answer, _call: Call, /) -> Answer:
        """These bytes."""
        return replace(answer, raw=self.raw, status=200, content_type=self.content_type)


@dataclass(frozen=True, kw_only=True)
class Redirect(Fault):
    """Leads elsewhere: on this host to `ELSEWHERE`, off it with a whole URL, in a circle when empty."""

    to: str = ELSEWHERE
    status: int = 307

    def spoil(self, _answer: Answer, call: Call, /) -> Answer:
        """The same path there."""
        return Answer(raw=b"", status=self.status, headers={"Location": f"{self.to}{call.path_and_query}"})


@dataclass(frozen=True, kw_only=True)
class SameCursor(Fault):
    """Every page says that the next one is where it was asked for itself."""

    def spoil(self, answer: Answer, call: Call, /) -> Answer:
        """The cursor that came in, or on the first page the honest one."""
        honest = cursors.next_of(answer.document) or cursors.beginning(call.dialect, 0)
        return replace(answer, document=cursors.leading_to(answer.document, call.cursor or honest))


@dataclass(frozen=True, kw_only=True)
class AlternatingCursors(Fault):
    """Two cursors that lead to each other."""

    def spoil(self, answer: Answer, call: Call, /) -> Answer:
        """The one that did not come in."""
        one, other = (cursors.beginning(call.dialect, number) for number in (1, 2))
        return replace(answer, document=cursors.leading_to(answer.document, other if call.cursor == one else one))


@dataclass(frozen=True, kw_only=True)
class EndlessListing(Fault):
    """A new cursor for ever, and entries that were not there before."""

    def spoil(self, answer: Answer, call: Call, /) -> Answer:
        """The first page's entries under names of this page, and a cursor of its own."""
        document = copy.deepcopy(answer.document)
        for item in document.get("items", []) + document.get("agents", []):
            named = item.get("metadata") or item.get("agent")
            named["name"] = f"{named['name']}-{call.page}"
        return replace(answer, document=cursors.leading_to(document, cursors.beginning(call.dialect, call.page)))


@dataclass(frozen=True, kw_only=True)
class WrongType(Fault):
    """A value at a place in the document: an object where a list should be, a number for a name, null."""

    at: Sequence[str | int] = ()
    value: Any = None

    def spoil(self, answer: Answer, _call: Call, /) -> Answer:
        """The document with it."""
        document = {"": copy.deepcopy(answer.document)}
        *before, last = ("", *self.at)
        with contextlib.suppress(KeyError, IndexError, TypeError):  # not on this page
            held: Any = document
            for step in before:
                held = held[step]
            held[last] = self.value
        return replace(answer, document=document[""])


@dataclass(frozen=True, kw_only=True)
class Prefixed(Fault):
    """A member before all others, in any notation: NaN, a number of a thousand digits, a name that comes again."""

    member: str = '"size":NaN'

    def spoil(self, answer: Answer, _call: Call, /) -> Answer:
        """The text with it."""
        return answer.saying(b"{" + self.member.encode() + b"," + answer.body[1:])


@dataclass(frozen=True, kw_only=True)
class DuplicateKeys(Fault):
    """The first name in the document stands there twice, the honest one last."""

    shadowed: str = "shadowed"

    def spoil(self, answer: Answer, _call: Call, /) -> Answer:
        """The text with it."""
        twice = f'"name":{json.dumps(self.shadowed)},"name":'.encode()
        return answer.saying(answer.body.replace(b'"name":', twice, 1))


@dataclass(frozen=True, kw_only=True)
class Changing(Fault):
    """The content changes as soon as a page was read."""

    change: Callable[[Content], None]
    times: int = 1

    def afterwards(self, call: Call) -> None:
        """Change it."""
        self.change(call.content)


def nested(depth: int = 100_000) -> Prefixed:
    """Lists in lists."""
    return Prefixed(member=f'"deep":{"[" * depth}{"]" * depth}')


def numbers() -> Mapping[str, Prefixed]:
    """Numbers that JSON does not know or that are too long for readers, by what they are called."""
    literals = {"NaN": "NaN", "infinite": "-Infinity", "huge": "1e999", "long": "9" * 5_000}
    return {name: Prefixed(member=f'"size":{literal}') for name, literal in literals.items()}


def padded(body: bytes, megabytes: int) -> Iterator[bytes]:
    """A document with so much in front of what it says; still valid JSON."""
    yield b'{"padding":"'
    yield from (b"x" * 1_000_000 for _ in range(megabytes))
    yield b'",' + body[1:]

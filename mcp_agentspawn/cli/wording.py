"""A label and what stands beside it: a text of others, cut anywhere, or a sentence of ours, broken at blanks."""

from collections.abc import Iterable, Iterator
from textwrap import wrap

from mcp_agentspawn.cli.escaping import GOES_ON, LINE, block, columns, escaped, unusual
from mcp_agentspawn.core.registry import Handle

MOST_UNUSUAL = 20


def fact(label: str, text: str) -> Iterator[str]:
    """A label of ours, and beside it a text that may not be."""
    return block(text, _head(label))


def sentence(label: str, text: str) -> Iterator[str]:
    """The same for a text that is ours: its lines are broken at blanks, never inside a word."""
    head = _head(label)
    for line in text.split("\n"):
        for number, part in enumerate(_broken(escaped(line), columns() - len(head) - len(LINE))):
            yield f"{head}{GOES_ON if number else LINE}{part}"
            head = " " * len(head)


def handle(text: str, head: str) -> Iterator[str]:
    """A registry entry's handle, whole on a line of its own, to be copied: its form leaves no room for words.

    Behind a gutter when it is none.
    """
    return iter([f"{head}{escaped(text)}"]) if Handle.read(text) else block(text, head)


def paragraph(text: str) -> Iterator[str]:
    """Words of ours without a label."""
    for part in _broken(escaped(text), columns() - 2):
        yield f"  {part}"


def section(heading: str, content: Iterable[str]) -> Iterator[str]:
    """A part of a page, below its heading."""
    yield ""
    yield heading
    yield from content


def odd(who: str, texts: Iterable[str]) -> Iterator[str]:
    """A warning of the unusual characters in texts of others; nothing when there are none."""
    if found := unusual(*texts):
        more = f" and {len(found) - MOST_UNUSUAL} more" if len(found) > MOST_UNUSUAL else ""
        yield from sentence("beware", f"{who} unusual characters: {', '.join(found[:MOST_UNUSUAL])}{more}")


def _head(label: str) -> str:
    return f"  {label:<12} "


def _broken(text: str, room: int) -> list[str]:
    return wrap(text, room, break_long_words=True, break_on_hyphens=False) or [""]

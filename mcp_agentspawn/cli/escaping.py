"""Text from a cluster on a terminal: nothing in it can hide, reorder, overwrite, or pass for a line of ours."""

import re
import shutil
from collections.abc import Iterable, Iterator

from mcp_agentspawn.core.text import WRITTEN_OUT, hidden_characters

ACCENTED = frozenset(map(chr, range(0xC0, 0x180))) - frozenset("\xd7\xf7\u0131\u0138\u0140\u0149\u017f")
"""Latin letters with accents, without the signs between them and those that pass for a plain letter."""
MOST_COLUMNS, FEWEST_COLUMNS = 120, 40
LINE, GOES_ON = "| ", ": "
"""What stands before a line of a text, and before the rest of one that is too long for the terminal."""


def escaped(text: str, *, accents: bool = False, quotes: bool = True) -> str:
    r"""The text in printable ASCII: any other character is written `\u{…}`, and a backslash twice.

    With `accents`, accented Latin letters stay; without `quotes`, the quotation mark does not. Two different texts
    never give the same.
    """
    return "".join(_escaped(character, accents=accents, quotes=quotes) for character in text)


def quoted(text: str) -> str:
    """The text on one line, between quotation marks that nothing in it can close."""
    return f'"{escaped(text, quotes=False)}"'


def block(text: str, head: str) -> Iterator[str]:
    """Behind `head`, which is ours, a text that is not: each of its lines behind a gutter."""
    return behind_gutter((escaped(line, accents=True) for line in text.split("\n")), head)


def behind_gutter(lines: Iterable[str], head: str) -> Iterator[str]:
    """The same for lines that are escaped already.

    A long one is cut here and its rest stands behind a gutter, too: no terminal wraps it and begins a line with it.
    """
    room = columns() - len(head) - len(LINE)
    for line in lines:
        for start in range(0, max(len(line), 1), room):
            yield f"{head}{GOES_ON if start else LINE}{line[start : start + room]}"
            head = " " * len(head)


def unwritten(text: str) -> str:
    r"""A registry's text, whose hidden characters are written `\u{…}`, with these put back: `escaped` writes them so.

    Others are not put back: who wrote them so meant just that.
    """
    return WRITTEN_OUT.sub(_hidden_again, text)


def _hidden_again(written: re.Match[str]) -> str:
    character = chr(int(written[1], 16))
    return character if hidden_characters(character, lines=True) else written[0]


def unusual(*texts: str) -> list[str]:
    """The code points that are shown as an escape, line ends aside, each once."""
    found = {character for text in texts for character in text if len(_escaped(character, accents=True)) > 1}
    return [f"U+{ord(character):04X}" for character in sorted(found - set("\n\\"))]


def columns() -> int:
    """How many characters fit beside each other."""
    return max(FEWEST_COLUMNS, min(MOST_COLUMNS, shutil.get_terminal_size().columns))


def _escaped(character: str, *, accents: bool, quotes: bool = True) -> str:
    if character == "\\":
        return r"\\"
    plain = (character.isascii() and character.isprintable()) or (accents and character in ACCENTED)
    return character if plain and (quotes or character != '"') else f"\\u{{{ord(character):x}}}"

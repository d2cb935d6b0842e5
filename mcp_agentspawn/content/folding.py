"""From what a text looks like to what it says: lookalikes, marks and what is unseen undone."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache

MOST_EXPANSION = 4
STRANGE = re.compile("[^\x00-\x7f]+")
SPARSE = 16
"""Fewer strange characters than one in so many are folded run by run."""
FOLDED = (
    range(0x80, 0x3400),
    range(0xA000, 0xAC00),
    range(0xF900, 0x10000),
    range(0x1D400, 0x1F200),
    range(0xE0000, 0xE0200),
)
"""Where such characters are; not Han and Hangul."""
LOOKALIKES = {
    "a": "аɑαᴀ",
    "b": "ЬʙвβƄ",
    "c": "сϲᴄⅽ",  # noqa: RUF001
    "d": "ԁɗđᴅ",
    "e": "еєεҽᴇ℮",  # noqa: RUF001
    "f": "ƒғꜰ",
    "g": "ɡցɢ",
    "h": "һнհʜ",
    "i": "іıɩιɪӏ",  # noqa: RUF001
    "j": "јϳᴊ",
    "k": "кκᴋ",
    "l": "ⅼłʟ",
    "m": "мᴍ",
    "n": "ոռηпɴ",
    "o": "оοօσøᴏ০",
    "p": "рρᴘ",
    "q": "ԛգ",  # noqa: RUF001
    "r": "гʀᴦ",
    "s": "ѕꜱʂ",
    "t": "тτᴛŧ",
    "u": "υսᴜʋ",  # noqa: RUF001
    "v": "ѵνᴠ",  # noqa: RUF001
    "w": "ԝѡωᴡ",
    "x": "хχ",
    "y": "уγʏү",  # noqa: RUF001
    "z": "ᴢƶζ",
    "A": "АΑᗅ",  # noqa: RUF001
    "B": "ВΒ",  # noqa: RUF001
    "C": "СϹ",  # noqa: RUF001
    "E": "ЕΕ",  # noqa: RUF001
    "G": "Ԍ",  # noqa: RUF001
    "H": "НΗ",  # noqa: RUF001
    "I": "ІΙӀ",  # noqa: RUF001
    "J": "ЈͿ",  # noqa: RUF001
    "K": "КΚ",  # noqa: RUF001
    "L": "Ł",
    "M": "МΜ",  # noqa: RUF001
    "N": "Ν",  # noqa: RUF001
    "O": "ОΟ",  # noqa: RUF001
    "P": "РΡ",  # noqa: RUF001
    "S": "ЅՏ",  # noqa: RUF001
    "T": "ТΤ",  # noqa: RUF001
    "U": "Ս",  # noqa: RUF001
    "V": "Ѵ",  # noqa: RUF001
    "X": "ХΧ",  # noqa: RUF001
    "Y": "УΥҮ",  # noqa: RUF001
    "Z": "Ζ",  # noqa: RUF001
    "-": "‐‑‒–—−",  # noqa: RUF001
    "'": "‘’ʼ",  # noqa: RUF001
    '"': "“”",
    " ": "\u00a0\u3000",
}
LATIN = {ord(lookalike): letter for letter, lookalikes in LOOKALIKES.items() for lookalike in lookalikes}
UNSEEN = frozenset({"Mn", "Me", "Cf"})
FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u180e")
SEPARATE = (b".", b":", b"@")
"""What is read as a word of its own."""


def _read_as(letters: bytes, others: Mapping[bytes, bytes]) -> bytes:
    table = bytearray(b" " * 128 + bytes(range(128, 256)))
    for byte in letters:
        table[byte] = ord(chr(byte).lower())
    for kept, meant in others.items():
        for byte in kept:
            table[byte] = meant[0]
    return bytes(table)


FIGURES = {b"0": b"o", b"1": b"i", b"3": b"e", b"4": b"a", b"5": b"s", b"7": b"t"}
"""Digits that stand for letters."""
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
AS_WORDS = _read_as(LETTERS + b"2689", {**FIGURES, b".;!?": b".", b":": b":", b"@": b"@"})
AS_LETTERS = _read_as(LETTERS, {**FIGURES, b"@": b"a", b"$": b"s", b"|": b"l"})
NOTHING = b" " + bytes(range(128, 256))


@cache
def _folding() -> Mapping[int, str]:
    """What characters are read as: those with plain letters or signs in them as these, and plain ones as themselves."""
    seen = {point: _seen_as(chr(point)) for points in FOLDED for point in points}
    return {point: chr(point) for point in range(0x80)} | {point: to for point, to in seen.items() if to is not None}


def _seen_as(character: str) -> str | None:
    if character in FILLERS:
        return ""
    decomposed = unicodedata.normalize("NFKD", LATIN.get(ord(character), character))
    seen = [LATIN.get(ord(part), part) for part in decomposed if unicodedata.category(part) not in UNSEEN]
    plain = "".join(seen)
    return plain if plain.isascii() and len(plain) <= MOST_EXPANSION else None


def folded(text: str) -> str:
    """The text with every lookalike, wide, styled or marked letter as the plain one, and without what is unseen."""
    strange = len(text) - len(text.encode("ascii", "ignore"))
    if strange * SPARSE < len(text):
        return STRANGE.sub(_folded_run, text) if strange else text
    return text.translate(_folding())


def _folded_run(found: re.Match[str]) -> str:
    return found[0].translate(_folding())


def words(text: str) -> Sequence[bytes]:
    """The words of a folded text in small letters; `.`, `:` and `@` are words, and an apostrophe is nothing."""
    read = text.encode().translate(AS_WORDS, b"'")
    for sign in SEPARATE:
        read = read.replace(sign, b" " + sign + b" ")
    return read.split()


def letters(text: str) -> bytes:
    """The letters a to z alone of a folded text; what stands for a letter is read as it."""
    return text.encode().translate(AS_LETTERS).translate(None, NOTHING)

"""Characters that a reader can not see, or that change what a reader sees."""

import unicodedata

EMOJI_SELECTORS = frozenset("\ufe0e\ufe0f")
BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
LINE_CHARACTERS = frozenset("\n\t")
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def hidden_characters(text: str, *, lines: bool = False) -> list[str]:
    """The code points (`U+202E`) in a text that are control, bidi, zero-width or otherwise unseen, each once, sorted.

    With `lines`, line feed and tab are text.
    """
    return sorted({f"U+{ord(character):04X}" for character in text if _is_hidden(character, lines=lines)})


def _is_hidden(character: str, *, lines: bool) -> bool:
    if character.isascii():
        return not character.isprintable() and not (lines and character in LINE_CHARACTERS)
    if character in BLANK_LETTERS or _is_variation_selector(character):
        return True
    return unicodedata.category(character) in HIDDEN_CATEGORIES


def _is_variation_selector(character: str) -> bool:
    if character in EMOJI_SELECTORS:
        return False
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"

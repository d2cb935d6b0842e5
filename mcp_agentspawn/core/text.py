"""Characters that a reader can not see, or that change what a reader sees."""

import re
import unicodedata

EMOJI_SELECTORS = frozenset("\ufe0e\ufe0f")
BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
LINE_CHARACTERS = frozenset("\n\t")
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
WRITTEN_OUT = re.compile(r"\\u\{(10[0-9a-f]{4}|[0-9a-f]{1,5})\}")


def hidden_characters(text: str, *, lines: bool = False) -> list[str]:
    """The code points (`U+202E`) in a text that are control, bidi, zero-width or otherwise unseen, each once, sorted.

    With `lines`, line feed and tab are text.
    """
    return sorted(f"U+{ord(character):04X}" for character in set(text) if _is_hidden(character, lines=lines))


def written_out(text: str) -> str:
    r"""The text with each character that `hidden_characters` names written as `\u{202e}`; the others stay."""
    unseen = {
        ord(character): f"\\u{{{ord(character):x}}}" for character in set(text) if _is_hidden(character, lines=False)
    }
    return text.translate(unseen) if unseen else text


def unwritten(text: str) -> str:
    """The text as it was before it was `written_out`."""
    return WRITTEN_OUT.sub(lambda found: chr(int(found[1], 16)), text)


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

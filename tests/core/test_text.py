import pytest

from mcp_agentspawn.core.text import hidden_characters, unwritten, written_out

UNSEEN = (
    *("\x00", "\x1b", "\x7f", "\x85", "\xad", "\r", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u2028"),
    *("\U000e0041", "\U000e0101", "\u3164", "\u2800", "\ufe01", "\ud800", "\ue000"),
)


@pytest.mark.parametrize("character", UNSEEN)
def test_what_nobody_sees_is_named(character: str) -> None:
    assert hidden_characters(f"a{character}b{character}", lines=True) == [f"U+{ord(character):04X}"]


@pytest.mark.parametrize("text", ["Grüße aus Łódź", "日本語", "e\u0301", "a b", "❤\ufe0f", "👩", "1 < 2 && 3 > 2", ""])
def test_what_people_write_is_not_hidden(text: str) -> None:
    assert hidden_characters(text) == []


@pytest.mark.parametrize("character", ["\n", "\t"])
def test_lines_are_text_only_where_lines_are_allowed(character: str) -> None:
    assert hidden_characters(character, lines=True) == []
    assert hidden_characters(character) == [f"U+{ord(character):04X}"]


@pytest.mark.parametrize("character", UNSEEN)
def test_what_nobody_sees_is_written_out_and_can_be_read_back(character: str) -> None:
    text = f"a{character}b{character}"
    written = written_out(text)

    assert written == f"a\\u{{{ord(character):x}}}b\\u{{{ord(character):x}}}"
    assert hidden_characters(written) == []
    assert unwritten(written) == text


@pytest.mark.parametrize("character", ["\n", "\t", "\U0010ffff"])
def test_the_end_of_a_line_and_the_last_code_point_are_written_out_too(character: str) -> None:
    assert unwritten(written_out(character)) == character
    assert written_out(character) == f"\\u{{{ord(character):x}}}"


@pytest.mark.parametrize("text", ["Grüße aus Łódź", "日本語", "C:\\users\\{x}", r"\u{110000}", r"\u{}", r"\u{FF}", ""])
def test_what_is_seen_is_neither_written_out_nor_read_back(text: str) -> None:
    assert written_out(text) == text
    assert unwritten(text) == text

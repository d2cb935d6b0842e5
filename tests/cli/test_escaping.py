"""Nothing that somebody else wrote can hide on a terminal, reorder it, or pass for a line of ours."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.cli.escaping import block, escaped, quoted, unusual

HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\u202e\u200b\x1b\r\x85\u2028\u0430\u0131\uff45\\{}|: \n")), max_size=400
)
UNESCAPED = re.compile(r"\\(\\|u\{([0-9a-f]+)\})")


def unescaped(text: str) -> str:
    return UNESCAPED.sub(lambda found: chr(int(found[2], 16)) if found[2] else "\\", text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 1 < 2 | {}", "plain text, 1 < 2 | {}"),
        ("a\x1b[2Jb", r"a\u{1b}[2Jb"),
        ("evil\u202egnp.exe", r"evil\u{202e}gnp.exe"),
        ("zero\u200bwidth", r"zero\u{200b}width"),
        ("p\u0430ypal", r"p\u{430}ypal"),
        ("na\u00efve", r"na\u{ef}ve"),
        ("one\r\ntwo\u2028three", r"one\u{d}\u{a}two\u{2028}three"),
        (r"\u{202e}", r"\\u{202e}"),
        ("\U000e0041", r"\u{e0041}"),
    ],
)
def test_what_could_hide_or_imitate_is_written_as_its_code_point(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_quotation_marks_can_not_be_closed_from_within() -> None:
    assert quoted('x" (checked)') == r'"x\u{22} (checked)"'


def test_accented_latin_letters_of_prose_stay_and_their_look_alikes_do_not() -> None:
    assert list(block("Prüfe Łódź, \u0131 and \u017f", "")) == [r"| Prüfe Łódź, \u{131} and \u{17f}"]


def test_a_line_that_is_too_long_goes_on_behind_a_gutter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")

    shown = list(block("x" * 100 + "\nDigest", "  purpose "))

    assert [line[:12] for line in shown] == ["  purpose | ", "          : ", "          : ", "          | "]
    assert max(map(len, shown)) == 50


def test_unusual_characters_are_named_once() -> None:
    assert unusual("a\u202e\u202e\tb", "ü\\\n\u0430") == ["U+0009", "U+0430", "U+202E"]


@given(HOSTILE)
def test_every_text_can_be_read_back_from_what_is_shown(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert unescaped(quoted(text)[1:-1]) == text
    assert escaped(text).isascii()
    assert escaped(text).isprintable()


@given(HOSTILE, st.sampled_from(["", "  ", "  purpose      "]))
def test_every_line_of_any_text_stands_behind_the_gutter(text: str, head: str) -> None:
    shown = list(block(text, head))

    assert shown[0].startswith(f"{head}| ")
    assert all(line.startswith((" " * len(head) + "| ", " " * len(head) + ": ")) for line in shown[1:])
    assert all(line.isprintable() and len(line) <= 120 for line in shown)
    assert sum(line[len(head)] == "|" for line in shown) == text.count("\n") + 1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.core.placeholders import Placeholder, Text, parse, placeholders


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain", [Text("plain")]),
        ("${a}", [Placeholder("a")]),
        ("in ${language}.", [Text("in "), Placeholder("language"), Text(".")]),
        ("${a}${_b1}", [Placeholder("a"), Placeholder("_b1")]),
        ("costs $5 or {x} or $x", [Text("costs $5 or {x} or $x")]),
        ("$${a}", [Text("${"), Text("a}")]),
        ("$$${a}", [Text("$"), Text("${"), Text("a}")]),
        ("$${${a}", [Text("${"), Placeholder("a")]),
    ],
)
def test_a_text_is_read_from_left_to_right(text: str, parts: list[Text | Placeholder]) -> None:
    assert parse(text) == parts


@pytest.mark.parametrize("text", ["${", "${}", "${ a}", "${a", "${a.b}", "${1}", "${a-b}", "${${a}}", "${a\n}", "${ä}"])
def test_what_only_looks_like_a_placeholder_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$\{name\}"):
        parse(text)


def test_names_come_in_order_and_as_often_as_they_stand() -> None:
    assert placeholders("${b} ${a} $${c} ${b}") == ["b", "a", "b"]


@given(st.text())
def test_an_escaped_text_stands_for_itself(text: str) -> None:
    parts = parse(text.replace("${", "$${"))

    assert "".join(part.text for part in parts if isinstance(part, Text)) == text

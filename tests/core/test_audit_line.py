import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.core.audit_line import FIELDS, MOST_LINE_BYTES, MOST_REASONS, NotWhole, described, read, sealed
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.ports import Record
from tests.audit_chain import WRITER
from tests.builders import NOON

TEXT = st.text(st.characters(exclude_categories=[]), max_size=600)


def line_of(record: Record) -> bytes:
    return sealed(described(record, NOON), WRITER, 1, "")[0]


def body_of(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(line_of(record))
    return body


def test_a_line_says_who_did_what_to_which_with_what_outcome_and_where_it_stands() -> None:
    body = body_of(
        Record("refused", "agents/o", "sub-a", "sub-b", "denied", ("quota.live",), {"verb": "apply", "at": 3})
    )

    assert body.keys() == FIELDS
    assert body.pop("hash").startswith("sha256:")
    assert body == {
        "time": "2026-11-21T12:00:00.000000Z",
        "event": "refused",
        "root": "agents/o",
        "caller": "sub-a",
        "subject": "sub-b",
        "outcome": "denied",
        "reasons": ["quota.live"],
        "details": {"verb": "apply", "at": 3},
        "sequence": 1,
        "writer": WRITER,
        "previous": "",
    }


def test_the_hash_is_that_of_the_canonical_line_without_it() -> None:
    line, hash_ = sealed(described(Record("refused", "agents/o", ""), NOON), WRITER, 1, "")

    assert hash_of(line.strip().replace(f'"hash":"{hash_}",'.encode(), b"")) == hash_


@given(TEXT, TEXT, TEXT, st.dictionaries(TEXT, TEXT | st.integers(), max_size=20), st.lists(TEXT, max_size=40))
def test_no_text_breaks_a_line_or_hides_in_one(
    root: str, caller: str, subject: str, details: dict[str, str | int], reasons: list[str]
) -> None:
    line = line_of(Record("refused", root, caller, subject, "denied", tuple(reasons), details))

    assert line.decode().strip().isprintable()
    assert len(line.decode().splitlines()) == 1
    assert read(line.removesuffix(b"\n")).sequence == 1


@pytest.mark.parametrize("character", ["a", "\\", '"', "\n", "\x00", "\u2028", "\U0001f600", "\ud800", "\U000e0001"])
def test_the_longest_record_fits_a_line(character: str) -> None:
    many = {f"{index:02}{character * 1000}": character * 10_000 for index in range(100)}
    hostile = character * 10_000

    line = line_of(Record(hostile, hostile, hostile, hostile, hostile, (hostile,) * 100, many))

    assert len(line) <= MOST_LINE_BYTES


def test_what_is_cut_says_so() -> None:
    body = body_of(Record("refused", "r" * 300, "", reasons=("x",) * 33, details={"n": "v" * 600}))

    assert body["root"] == "r" * 255 + "…"
    assert body["reasons"] == ["x"] * (MOST_REASONS - 1) + ["…"]
    assert body["details"] == {"n": "v" * 511 + "…"}


def test_an_integer_that_json_can_not_carry_is_written_as_text() -> None:
    assert body_of(Record("refused", "", "", details={"n": 2**53, "m": 2**53 - 1}))["details"] == {
        "n": "9007199254740992",
        "m": 9007199254740991,
    }


WHOLE = line_of(Record("refused", "agents/o", "")).removesuffix(b"\n")
NESTED = b"[" * 20_000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "unreadable"),
        (b"{}", "unreadable"),
        (b"[]", "unreadable"),
        (NESTED, "unreadable"),
        (b"\xff" + WHOLE, "unreadable"),
        (WHOLE.decode().encode("utf-16"), "unreadable"),
        (WHOLE.replace(b'"reasons"', b'"because"'), "unreadable"),
        (WHOLE + b" ", "edited"),
        (WHOLE.replace(b'"sequence":1', b'"sequence":"1"'), "edited"),
        (WHOLE.replace(b'"sequence":1', b'"sequence":1,"sequence":1'), "edited"),
        (WHOLE.replace(b'"details":{}', b'"details":[]'), "edited"),
        (WHOLE.replace(b'"details":{}', b'"details":1e999'), "edited"),
        (WHOLE.replace(b'"details":{}', b'"details":{"a":1e999}'), "edited"),
        (WHOLE.replace(b'"previous":""', b'"previous":null'), "edited"),
        (WHOLE.replace(b"agents/o", b"agents/p"), "edited"),
        (WHOLE.replace(b"agents/o", b"\\ud800"), "edited"),
    ],
)
def test_what_was_not_written_so_is_not_whole(line: bytes, code: str) -> None:
    with pytest.raises(NotWhole) as raised:
        read(line)

    assert raised.value.code == code

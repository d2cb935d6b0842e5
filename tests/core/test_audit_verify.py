import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agentspawn.core.audit_line import sealed
from mcp_agentspawn.core.audit_verify import MOST_REMARKS, verify
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.ledger import Head
from tests.audit_chain import INTENT, WRITER, Chain, chain, codes, notes, verified

LENGTH = 9
WHOLE = chain(LENGTH)
CONTENT = b"".join(WHOLE.lines)
LINE = st.integers(0, LENGTH - 1)


def resealed(line: bytes, **changes: Any) -> bytes:
    """The line with something else in it, and a hash that fits."""
    body = {**json.loads(line), **changes}
    del body["hash"]
    return sealed(body, body.pop("writer"), body.pop("sequence"), body.pop("previous"))[0]


def test_a_whole_log_has_no_findings() -> None:
    report = verify(WHOLE.lines, [WHOLE.head])

    assert (report.findings, report.notes) == ((), ())
    assert (report.records, report.segments, report.heads, report.writer) == (LENGTH, 3, 1, WRITER)


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 255))
def test_any_byte_that_was_changed_is_found(place: int, byte: int) -> None:
    mutated = CONTENT[:place] + bytes([byte]) + CONTENT[place + 1 :]

    assert (codes(verified(mutated)) == []) == (mutated == CONTENT)


@given(LINE, st.integers(1, LENGTH))
def test_any_lines_that_were_removed_are_found(first: int, count: int) -> None:
    left = WHOLE.lines[:first] + WHOLE.lines[first + count :]

    assert codes(verify(left, [WHOLE.head])) != []


@given(LINE, LINE)
def test_any_line_that_was_repeated_is_found(line: int, place: int) -> None:
    assert codes(verify([*WHOLE.lines[: place + 1], WHOLE.lines[line], *WHOLE.lines[place + 1 :]], None)) != []


@given(LINE, LINE)
def test_any_two_lines_that_were_swapped_are_found(first: int, second: int) -> None:
    swapped = list(WHOLE.lines)
    swapped[first], swapped[second] = swapped[second], swapped[first]

    assert (codes(verify(swapped, None)) == []) == (first == second)


@given(st.integers(0, len(CONTENT) - 1))
def test_any_tail_that_was_cut_is_found_with_a_ledgers_head(end: int) -> None:
    assert codes(verified(CONTENT[:end], [WHOLE.head])) != []


@given(LINE)
def test_any_record_that_was_rewritten_with_a_fitting_hash_is_found(line: int) -> None:
    forged = [*WHOLE.lines[:line], resealed(WHOLE.lines[line], outcome="allowed"), *WHOLE.lines[line + 1 :]]

    assert codes(verify(forged, [WHOLE.head])) != []


def test_a_tail_that_was_cut_is_only_noted_without_heads() -> None:
    cut = WHOLE.lines[:-2]

    assert (codes(verify(cut, None)), notes(verify(cut, None))) == ([], ["tail_unchecked"])
    assert (codes(verify(cut, [])), notes(verify(cut, []))) == ([], ["tail_unchecked"])
    assert codes(verify(cut, [WHOLE.head])) == ["cut"]


def test_a_chain_that_was_forged_as_a_whole_is_found_by_a_head_within_it() -> None:
    head = chain(5).head
    forged = Chain().segment()
    for _ in range(LENGTH):
        forged.write(replace(INTENT, outcome="denied"))

    assert codes(verify(forged.lines, None)) == []
    assert codes(verify(forged.lines, [head])) == ["replaced"]


SPOILED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], list[str]]] = {
    "an edit": (lambda lines: [*lines[:5], lines[5].replace(b"apply", b"appla"), *lines[6:]], ["edited"]),
    "a gap": (lambda lines: [*lines[:5], *lines[6:]], ["gap"]),
    "a swap": (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], ["gap", "reordered"]),
    "a duplicate": (lambda lines: [*lines[:6], lines[5], *lines[6:]], ["duplicate"]),
    "a record that does not follow": (
        lambda lines: [*lines[:5], resealed(lines[5], outcome="x"), *lines[6:]],
        ["unlinked"],
    ),
    "a missing beginning": (lambda lines: lines[4:], ["beginning"]),
    "garbage in between": (lambda lines: [*lines[:5], b"garbage\n", *lines[5:]], ["unreadable"]),
    "garbage in place of a record": (lambda lines: [*lines[:5], b"garbage\n", *lines[6:]], ["unreadable"]),
    "garbage in place of two records": (lambda lines: [*lines[:5], b"garbage\n", *lines[7:]], ["unreadable", "gap"]),
    "an empty line": (lambda lines: [*lines[:5], b"\n", *lines[5:]], ["unreadable"]),
    "a tear that no segment names": (lambda lines: [*lines[:8], b'{"caller\n', *lines[8:]], ["torn"]),
    "a tear at the end": (lambda lines: [*lines, b'{"caller'], ["torn"]),
    "a record without its line end": (lambda lines: [*lines[:-1], lines[-1][:-1]], ["torn"]),
    "garbage at the end": (lambda lines: [*lines, b"garbage\n"], ["unreadable"]),
    "a segment of another log": (
        lambda lines: [*lines[:5], *chain(2, writer="other").lines, *lines[5:]],
        ["foreign"] * 2,
    ),
    "nothing": (lambda _: [], ["empty"]),
    "nothing but garbage": (lambda _: [b"garbage\n"], ["unreadable", "empty"]),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_is_wrong_is_called_by_its_name(kind: str) -> None:
    spoil, expected = SPOILED[kind]

    assert codes(verify(spoil(WHOLE.lines), None)) == expected


def test_findings_name_the_line() -> None:
    spoiled = [*WHOLE.lines[:5], b"garbage\n", *WHOLE.lines[6:]]

    assert [finding.line for finding in verify(spoiled, None).findings] == [6]


def torn_log(torn: bytes, name: str) -> list[bytes]:
    whole = Chain().segment().write()
    before = list(whole.lines)
    return [*before, torn + b"\n", *whole.segment(name).write().lines[2:]]


def test_torn_lines_survive_where_the_next_segment_names_them() -> None:
    torn = b'{"caller":"a\nand more\n\n{"c'

    assert codes(verified(b"".join(torn_log(torn, hash_of(torn))))) == []
    assert "torn_named" in notes(verified(b"".join(torn_log(torn, hash_of(torn)))))


def test_torn_lines_that_are_not_what_the_segment_names_are_found() -> None:
    lines = torn_log(b'{"caller":"b', hash_of(b'{"caller":"a'))

    assert codes(verify(lines, None)) == ["torn", "torn_missing"]


def test_a_named_torn_line_that_is_gone_is_found() -> None:
    lines = torn_log(b'{"caller":"a', hash_of(b'{"caller":"a'))

    assert codes(verify([*lines[:2], *lines[3:]], None)) == ["torn_missing"]


def test_a_record_lost_beside_a_named_torn_line_is_a_gap() -> None:
    lines = torn_log(b'{"caller":"a', hash_of(b'{"caller":"a'))

    assert codes(verify([lines[0], *lines[2:]], None)) == ["gap"]


def test_a_line_in_pieces_is_one_line() -> None:
    pieces = [WHOLE.lines[0], b"gar", b"bage", b"\n", *WHOLE.lines[1:], b"x"]

    assert [finding.line for finding in verify(pieces, None).findings] == [2, 2, 2, 11]


def test_findings_are_bounded_and_the_rest_is_counted() -> None:
    report = verify([b"garbage\n"] * (MOST_REMARKS * 3), None)

    assert len(report.findings) == MOST_REMARKS + 1
    assert report.findings[-1].code == "more"


def test_logs_of_the_same_writer_that_ledgers_know_are_noted() -> None:
    earlier = Head("agentspawn-0@2026-10-01T00:00:00.000000Z", 70, "sha256:00")
    stranger = Head("agentspawn-1@2026-10-01T00:00:00.000000Z", 70, "sha256:00")

    assert notes(verify(WHOLE.lines, [WHOLE.head, earlier, stranger])) == ["sibling"]
    assert codes(verify(WHOLE.lines, [WHOLE.head, earlier, stranger])) == []


def test_every_finding_is_explained() -> None:
    explained = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    found = {code for _, expected in SPOILED.values() for code in expected} | {
        "cut",
        "replaced",
        "torn_missing",
        "more",
    }

    assert [code for code in sorted(found) if f"`{code}`" not in explained] == []

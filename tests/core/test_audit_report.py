"""What a person reads of a log that is not whole: where, what, and how much of it."""

import json

import pytest
import rfc8785

from mcp_agentspawn.core.audit_line import CUT, MOST_REASONS, MOST_TEXT, SEGMENT, NotWhole, described, read
from mcp_agentspawn.core.audit_verify import MOST_REMARKS, verify
from mcp_agentspawn.core.digest import hash_of
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Record
from tests.audit_chain import INTENT, WRITER, Chain, chain
from tests.builders import NOON

LINES = chain(9).lines
OTHER = chain(2, writer="other").lines
TORN = b'{"caller":"a'

Said = tuple[int, str, str]

READ: dict[str, tuple[list[bytes], list[Said]]] = {
    "an edit": (
        [*LINES[:5], LINES[5].replace(b"apply", b"appla"), *LINES[6:]],
        [(6, "edited", "the record was altered: its hash does not fit")],
    ),
    "garbage": ([*LINES[:5], b"garbage\n", *LINES[5:]], [(6, "unreadable", "this is no record")]),
    "a gap of one": ([*LINES[:5], *LINES[6:]], [(6, "gap", "1 missing between records 5 and 7")]),
    "a gap of two": ([*LINES[:5], *LINES[7:]], [(6, "gap", "2 missing between records 5 and 8")]),
    "a missing beginning": (LINES[3:], [(1, "beginning", "begins with record 4: what was before is cut")]),
    "a duplicate": ([*LINES[:6], LINES[5], *LINES[6:]], [(7, "duplicate", "record 6 again")]),
    "an old one": ([*LINES[:6], LINES[2], *LINES[6:]], [(7, "reordered", "record 3 stands after record 6")]),
    "the one before": ([*LINES[:6], LINES[4], *LINES[6:]], [(7, "reordered", "record 5 stands after record 6")]),
    "one of another log": ([*LINES[:5], OTHER[0], *LINES[5:]], [(6, "foreign", "a record of another log")]),
    "a tear at the end": (
        [*LINES, TORN],
        [
            (
                10,
                "torn",
                "a torn line at the end, which no segment names: its writer died and has not started again",
            )
        ],
    ),
    "a record without its end": (
        [*LINES[:-1], LINES[-1][:-1]],
        [(9, "torn", "a torn line at the end, which no segment names: its writer died and has not started again")],
    ),
    "a tear": (
        [*LINES[:8], TORN + b"\n", *LINES[8:]],
        [(9, "torn", "a torn line that the segment after it does not name")],
    ),
    "a named tear that is gone": (
        Chain().segment().segment(hash_of(TORN)).lines,
        [(2, "torn_missing", "the segment names a torn line that is not before it")],
    ),
    "nothing": ([], [(0, "empty", "no record: its writer died before the first, or all of it was cut")]),
}


def findings(lines: list[bytes], heads: list[Head] | None = None) -> list[Said]:
    return [(found.line, found.code, found.what) for found in verify(lines, heads).findings]


def noted(lines: list[bytes], heads: list[Head] | None) -> list[Said]:
    return [(found.line, found.code, found.what) for found in verify(lines, heads).notes]


@pytest.mark.parametrize("kind", READ)
def test_a_finding_says_where_and_what(kind: str) -> None:
    lines, said = READ[kind]

    assert findings(lines) == said


def test_a_record_that_does_not_follow_is_named() -> None:
    other = Chain().segment().write().write(Record("forged", "", "")).write()
    spliced = [*LINES[:3], *other.lines[3:]]

    assert findings(spliced) == [(4, "unlinked", "record 4 does not follow the one before it")]


def test_what_a_ledger_saw_is_named() -> None:
    assert findings(LINES, [Head(WRITER, 12, "sha256:00")]) == [
        (9, "cut", "ends with record 9; a ledger saw record 12"),
    ]
    assert findings(LINES, [Head(WRITER, 9, "sha256:00")]) == [(9, "replaced", "a ledger saw another record 9")]
    assert verify(LINES, [Head(WRITER, 12, "sha256:00")]).heads == 1


def test_a_note_says_whether_a_ledger_was_asked() -> None:
    unchecked = "so records cut from the end would not be missed"

    assert noted(LINES, None) == [(0, "tail_unchecked", f"no ledger was asked, {unchecked}")]
    assert noted(LINES, []) == [(0, "tail_unchecked", f"no ledger knows this log, {unchecked}")]


def test_a_note_names_the_torn_line_and_its_segment() -> None:
    whole = Chain().segment().write()
    lines = [*whole.lines, TORN + b"\n", *whole.segment(hash_of(TORN)).lines[2:]]

    assert noted(lines, [whole.head]) == [(3, "torn_named", "a torn line, named by the segment on line 4")]


def test_a_note_names_another_log_of_the_same_writer_and_of_no_other() -> None:
    name = WRITER.partition("@")[0]
    heads = [Head(writer, 3, "sha256:00") for writer in (f"{name}@a@b\n", "other@a", WRITER.partition("@")[2])]
    known = [note for note in noted(LINES, [chain(9).head, *heads]) if note[1] == "sibling"]

    assert known == [(0, "sibling", f"the ledgers know another log of this writer: {name}@a@b\\n")]


def test_a_log_without_a_record_has_no_writer_and_no_heads() -> None:
    report = verify([], [Head("", 1, "sha256:00"), Head("@x", 1, "sha256:00")])

    assert (report.writer, report.heads, [note.code for note in report.notes]) == ("", 0, ["tail_unchecked"])


@pytest.mark.parametrize("more", [1, 2, 5])
def test_what_is_beyond_the_bound_is_counted(more: int) -> None:
    lines = [*LINES, *([LINES[-1]] * (MOST_REMARKS + more))]

    assert len(findings(lines)) == MOST_REMARKS + 1
    assert findings(lines)[-1] == (0, "more", f"{more} more")


def test_garbage_within_the_bound_is_listed_line_by_line() -> None:
    lines = [*LINES[:5], *([b"garbage\n"] * MOST_REMARKS), *LINES[5:]]

    assert [line for line, _, _ in findings(lines)] == list(range(6, 6 + MOST_REMARKS))


def test_many_damaged_lines_may_hold_as_many_records() -> None:
    lines = [*LINES[:4], b"garbage\n", b"garbage\n", b"garbage\n", *LINES[7:]]

    assert [code for _, code, _ in findings(lines)] == ["unreadable"] * 3


def test_what_is_beyond_the_bound_of_damaged_lines_is_not_forgotten() -> None:
    lines = [*LINES[:5], *([b"garbage\n"] * (MOST_REMARKS + 1)), *LINES[5:]]

    assert findings(lines)[-1] == (0, "more", "1 more")


def test_a_whole_record_whose_end_comes_apart_is_torn() -> None:
    pieces = [*LINES[:5], LINES[5][:-1], b"\n", *LINES[6:]]

    assert [(line, code) for line, code, _ in findings(pieces)] == [(6, "torn_end"), (6, "unreadable")]


def test_only_a_segment_names_a_torn_line() -> None:
    lines = Chain().segment().write(Record("e", "", "", details={"torn": hash_of(TORN)})).lines

    assert findings(lines) == []


@pytest.mark.parametrize(
    "changes", [{"sequence": "1"}, {"sequence": True}, {"details": []}, {"writer": 1}, {"event": None}]
)
def test_a_record_of_other_types_is_altered_although_its_hash_fits(changes: dict[str, object]) -> None:
    body = json.loads(LINES[0]) | changes
    del body["hash"]
    line = rfc8785.dumps({**body, "hash": hash_of(rfc8785.dumps(body))})

    with pytest.raises(NotWhole) as refused:
        read(line)
    assert refused.value.code == "edited"


def test_an_error_about_a_line_says_its_code() -> None:
    with pytest.raises(NotWhole, match="unreadable") as refused:
        read(b"garbage")

    assert refused.value.code == "unreadable"


def test_reasons_and_texts_are_kept_up_to_their_bound_and_cut_beyond_it() -> None:
    def reasons(many: int) -> list[str]:
        said: list[str] = described(Record("e", "", "", reasons=("code",) * many), NOON)["reasons"]
        return said

    assert reasons(MOST_REASONS) == ["code"] * MOST_REASONS
    assert reasons(MOST_REASONS + 1) == ["code"] * (MOST_REASONS - 1) + [CUT]
    exact, longer = "x" * MOST_TEXT, "x" * (MOST_TEXT + 1)
    assert described(Record(exact, "", ""), NOON)["event"] == exact
    assert described(Record(longer, "", ""), NOON)["event"] == "x" * (MOST_TEXT - 1) + CUT


def test_what_can_not_be_seen_is_written_as_an_escape_and_nothing_else_is_changed() -> None:
    text = described(Record("a\u202eb\nc \u00e9", "", ""), NOON)["event"]

    assert text == "a\\u202eb\\nc \u00e9"


def test_a_segment_is_counted() -> None:
    report = verify([*LINES, *Chain().write(INTENT).lines], None)

    assert (report.records, report.segments) == (10, 3)
    assert SEGMENT == "segment"

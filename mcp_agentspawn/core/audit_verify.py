"""Is an audit log whole? Reads it once, line by line, and holds nothing that grows with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from mcp_agentspawn.core.audit_line import SEGMENT, Entry, NotWhole, read
from mcp_agentspawn.core.ledger import Head

MOST_REMARKS: Final = 100

DAMAGE: Final = {
    "edited": "the record was altered: its hash does not fit",
    "unreadable": "this is no record",
    "torn": "a torn line that the segment after it does not name",
    "torn_end": "a torn line at the end, which no segment names: its writer died and has not started again",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one line (the first is 1; 0: the log as a whole): a stable code, and words for people."""

    line: int
    code: str
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. A log without findings is whole, as far as `heads` goes.

    `heads` is the number of ledger heads that the log was compared with; 0: whether its tail was cut is unchecked.
    `notes` say what a reader should know of a log that may be whole.
    """

    writer: str
    records: int
    segments: int
    heads: int
    findings: tuple[Remark, ...]
    notes: tuple[Remark, ...]


def verify(lines: Iterable[bytes], heads: Sequence[Head] | None) -> Report:
    """Check a log against itself, and against where ledgers last saw its writer (`None`: no ledger was asked).

    `lines` are the bytes of each line with its end; a line may come in pieces. Ask for the heads before the lines:
    a writer that is alive goes on.
    """
    reader = _Reader(heads or ())
    for raw in lines:
        reader.take(raw)
    return reader.report(asked=heads is not None)


class _Remarks:
    """Remarks up to a bound; what is more is counted."""

    def __init__(self) -> None:
        self._kept: list[Remark] = []
        self._more = 0

    def add(self, line: int, code: str, what: str) -> None:
        if len(self._kept) < MOST_REMARKS:
            self._kept.append(Remark(line, code, what))
        else:
            self._more += 1

    def all(self) -> tuple[Remark, ...]:
        rest = (Remark(0, "more", f"{self._more} more"),) if self._more else ()
        return (*self._kept, *rest)


class _Damage:
    """Lines in a row that are not whole. A segment names them by the hash of their bytes without the last line end."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.count = 0
        self._hash = sha256()
        self._end = b""

    def add(self, line: int, code: str, raw: bytes) -> None:
        content = raw.removesuffix(b"\n")
        self._hash.update(self._end + content)
        self._end = raw[len(content) :]
        self.count += 1
        if len(self.lines) <= MOST_REMARKS:
            self.lines.append((line, code))

    def named_by(self, entry: Entry) -> bool:
        return entry.torn == f"sha256:{self._hash.hexdigest()}"


class _Anchors:
    """Where ledgers saw each writer; each head is struck off when its record is met."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self._heads = heads
        self._open: set[tuple[int, str]] = set()
        self.count = 0

    def expect(self, writer: str) -> None:
        self._open = {(head.sequence, head.hash) for head in self._heads if head.writer == writer}
        self.count = len(self._open)

    def met(self, entry: Entry) -> None:
        self._open.discard((entry.sequence, entry.hash))

    def missed(self) -> list[int]:
        return sorted(sequence for sequence, _ in self._open)

    def siblings(self, writer: str) -> list[str]:
        """Other logs of the same writer, for example archived ones."""
        name = writer.partition("@")[0]
        return sorted({head.writer for head in self._heads if head.writer.partition("@")[0] == name} - {writer})


class _Reader:
    def __init__(self, heads: Sequence[Head]) -> None:
        self._findings, self._notes = _Remarks(), _Remarks()
        self._anchors = _Anchors(heads)
        self._damage = _Damage()
        self._last: Entry | None = None
        self._writer = ""
        self._line, self._records, self._segments = 0, 0, 0
        self._ended = True

    def take(self, raw: bytes) -> None:
        """Take the next line, or the next piece of one."""
        self._line += self._ended
        self._ended = raw.endswith(b"\n")
        try:
            entry = read(raw.removesuffix(b"\n"))
        except NotWhole as error:
            return self._damage.add(self._line, error.code, raw)
        if not self._ended:
            return self._damage.add(self._line, "torn_end", raw)
        self._records += 1
        self._segments += entry.event == SEGMENT
        lost = self._settle_damage(entry)
        if self._last is None:
            return self._begin(entry)
        return self._follow(self._last, entry, lost)

    def report(self, *, asked: bool) -> Report:
        """What was found, once all lines were taken."""
        self._end()
        self._compare(asked=asked)
        return Report(
            self._writer, self._records, self._segments, self._anchors.count, self._findings.all(), self._notes.all()
        )

    def _settle_damage(self, entry: Entry) -> int:
        """Say what became of the damaged lines before this record; returns how many records may be lost with them."""
        damage, self._damage = self._damage, _Damage()
        if damage.count and damage.named_by(entry):
            self._notes.add(damage.lines[0][0], "torn_named", f"a torn line, named by the segment on line {self._line}")
            return 0
        for line, code in damage.lines:
            shown = "torn" if entry.event == SEGMENT and code == "unreadable" else code
            self._findings.add(line, shown, DAMAGE[shown])
        if entry.torn is not None:
            self._findings.add(self._line, "torn_missing", "the segment names a torn line that is not before it")
        return damage.count

    def _begin(self, entry: Entry) -> None:
        if (entry.event, entry.sequence, entry.previous) != (SEGMENT, 1, ""):
            self._findings.add(self._line, "beginning", f"begins with record {entry.sequence}: what was before is cut")
        self._writer = entry.writer
        self._anchors.expect(entry.writer)
        self._keep(entry)

    def _follow(self, last: Entry, entry: Entry, lost: int) -> None:
        step = entry.sequence - last.sequence
        if entry.writer != self._writer:
            self._findings.add(self._line, "foreign", "a record of another log")
        elif step == 0:
            self._findings.add(self._line, "duplicate", f"record {entry.sequence} again")
        elif step < 0:
            self._findings.add(self._line, "reordered", f"record {entry.sequence} stands after record {last.sequence}")
        else:
            self._check_link(last, entry, lost)
            self._keep(entry)

    def _check_link(self, last: Entry, entry: Entry, lost: int) -> None:
        """A damaged line may have been put in between, or may have been the record that is missing."""
        step = entry.sequence - last.sequence
        if step > 1 + lost:
            self._findings.add(
                self._line, "gap", f"{step - 1} missing between records {last.sequence} and {entry.sequence}"
            )
        elif step == 1 and entry.previous != last.hash:
            self._findings.add(self._line, "unlinked", f"record {entry.sequence} does not follow the one before it")

    def _keep(self, entry: Entry) -> None:
        self._anchors.met(entry)
        self._last = entry

    def _end(self) -> None:
        last = len(self._damage.lines) - 1
        for index, (line, code) in enumerate(self._damage.lines):
            shown = "torn_end" if index == last and not self._ended else code
            self._findings.add(line, shown.removesuffix("_end"), DAMAGE[shown])
        if self._last is None:
            self._findings.add(0, "empty", "no record: its writer died before the first, or all of it was cut")

    def _compare(self, *, asked: bool) -> None:
        reached = self._last.sequence if self._last else 0
        missed = self._anchors.missed()
        for sequence in missed:
            if sequence <= reached:
                self._findings.add(self._line, "replaced", f"a ledger saw another record {sequence}")
        if missed and missed[-1] > reached:
            self._findings.add(self._line, "cut", f"ends with record {reached}; a ledger saw record {missed[-1]}")
        if not self._anchors.count:
            why = "no ledger knows this log" if asked else "no ledger was asked"
            self._notes.add(0, "tail_unchecked", f"{why}, so records cut from the end would not be missed")
        for writer in self._anchors.siblings(self._writer) if self._writer else ():
            self._notes.add(0, "sibling", f"the ledgers know another log of this writer: {_shown(writer)}")


def _shown(writer: str) -> str:
    return writer.encode("unicode_escape").decode()

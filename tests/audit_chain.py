"""Audit logs as lists of lines, made without a disk."""

from collections.abc import Sequence
from io import BytesIO

from mcp_agentspawn.core.audit_line import SEGMENT, described, sealed
from mcp_agentspawn.core.audit_verify import Report, verify
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Record
from tests.builders import NOON

WRITER = "agentspawn-0@2026-11-21T12:00:00.000000Z"
INTENT = Record("apply.intent", "agents/orchestrator", "", "sub-researcher-x", details={"digest": "sha256:00"})


class Chain:
    """A log that grows line by line."""

    def __init__(self, writer: str = WRITER) -> None:
        self.lines: list[bytes] = []
        self._writer, self._sequence, self._previous = writer, 0, ""

    @property
    def head(self) -> Head:
        return Head(self._writer, self._sequence, self._previous)

    def write(self, record: Record = INTENT) -> "Chain":
        self._sequence += 1
        line, self._previous = sealed(described(record, NOON), self._writer, self._sequence, self._previous)
        self.lines.append(line)
        return self

    def segment(self, torn: str | None = None) -> "Chain":
        return self.write(Record(SEGMENT, "", "", details={"torn": torn} if torn else {}))


def chain(records: int, *, segment_every: int = 4, writer: str = WRITER) -> Chain:
    """A whole log in which a segment begins at every so many records."""
    made = Chain(writer)
    for index in range(records):
        if index % segment_every:
            made.write()
        else:
            made.segment()
    return made


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def notes(report: Report) -> list[str]:
    return [note.code for note in report.notes]


def verified(content: bytes, heads: Sequence[Head] | None = None) -> Report:
    """What `verify` says of these bytes as a file."""
    return verify(BytesIO(content), heads)

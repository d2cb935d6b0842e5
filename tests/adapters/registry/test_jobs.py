from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.jobs import IndexJob, ReadJob, ReadReport, check_indexed
from mcp_agentspawn.core.registry import Scope, View

GOOD: dict[str, Any] = {
    "snapshot": "acme.0123456789abcdef.jsonl",
    "dialect": "v0.4",
    "entries": 2,
    "problems": {"registry.unreadable_entry": 1},
}
FAILED: dict[str, Any] = {"snapshot": "", "dialect": None, "entries": 0, "problems": {"registry.timeout": 1}}
VIEW = View(frozenset({Scope("acme", frozenset({"*", "team"}), frozenset({("team", "sre"), ("tier", "1")}))}))
INDEXING = IndexJob(Path("/scratch"), "view-0.index", {"acme": "acme.0.jsonl"}, VIEW)


def test_a_job_to_read_is_read_as_it_was_written() -> None:
    job = ReadJob(Path("/scratch"), Endpoint("acme", "https://acme.example", "/secret", most_bytes=7), "acme.0.jsonl")

    assert ReadJob.read(job.document()) == job


def test_a_job_to_index_is_read_as_it_was_written() -> None:
    assert IndexJob.read(INDEXING.document()) == INDEXING


@pytest.mark.parametrize("document", [GOOD, FAILED, {**GOOD, "problems": {}}], ids=["read", "failed", "no problems"])
def test_a_report_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    assert ReadReport.read(document).document() == document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {**GOOD, "more": 1},
        {**GOOD, "snapshot": "../../etc/passwd"},
        {**GOOD, "snapshot": "a\n"},
        {**GOOD, "snapshot": 7},
        {**GOOD, "snapshot": ""} | {"problems": {}},
        {**GOOD, "dialect": "v9"},
        {**GOOD, "dialect": None},
        {**GOOD, "dialect": ["v0.4"]},
        {**GOOD, "entries": "2"},
        {**GOOD, "problems": ["registry.timeout"]},
        {**GOOD, "problems": {"a word of the registry": 1}},
        {**GOOD, "problems": {"registry.timeout": "text of the registry"}},
        {**FAILED, "problems": {}},
    ],
    ids=lambda document: str(document)[:60],
)
def test_what_is_no_report_of_a_reading_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="report"):
        ReadReport.read(document)


def test_the_report_of_an_indexing_names_the_file_of_its_job() -> None:
    check_indexed({"file": "view-0.index"}, INDEXING)


@pytest.mark.parametrize("document", [{}, {"file": "../b"}, {"file": 2}, {"file": "view-0.index", "more": 1}])
def test_what_is_no_report_of_an_indexing_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="report"):
        check_indexed(document, INDEXING)

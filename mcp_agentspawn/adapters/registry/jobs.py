"""What the server and its helpers say to each other: jobs and reports that JSON can hold. No text of a registry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.items import Dialect
from mcp_agentspawn.core.registry import Scope, View

CODE = re.compile(r"registry\.[a-z_]{1,64}\Z")
FILE = re.compile(r"[a-z0-9][-a-z0-9.]{0,200}\Z")
CRASHED = "registry.reader"
"""The reading came to no end: the helper ran into its bounds or broke."""


@dataclass(frozen=True, slots=True)
class ReadJob:
    """Read this registry into a new file of the folder. `before`: the file of the last good reading, or `""`."""

    folder: Path
    endpoint: Endpoint
    before: str = ""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "ReadJob":
        """The job that was written as this."""
        return cls(Path(document["folder"]), Endpoint.read(document["endpoint"]), document["before"])

    def document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"folder": str(self.folder), "endpoint": self.endpoint.document(), "before": self.before}


@dataclass(frozen=True, slots=True)
class ReadReport:
    """How a reading went. Without `snapshot` (a file of the folder) it failed, and `problems` says why."""

    snapshot: str = ""
    dialect: Dialect | None = None
    entries: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def failed(cls, code: str) -> "ReadReport":
        """The report of a reading of which nothing is kept."""
        return cls(problems={code: 1})

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "ReadReport":
        """The report that was written as this. Raises ValueError for anything else."""
        report = cls(**_fields(document, {"snapshot": str, "dialect": object, "entries": int, "problems": dict}))
        whole = FILE.match(report.snapshot) and report.dialect in get_args(Dialect)
        counted = all(CODE.match(code) and type(count) is int for code, count in report.problems.items())
        if not counted or not (whole or (not report.snapshot and report.problems)):
            raise ValueError("not the report of a reading")
        return report

    def document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "snapshot": self.snapshot,
            "dialect": self.dialect,
            "entries": self.entries,
            "problems": dict(self.problems),
        }


@dataclass(frozen=True, slots=True)
class IndexJob:
    """Build the index of a view into this file of the folder, from these of its files, by registry."""

    folder: Path
    file: str
    snapshots: Mapping[str, str]
    view: View

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "IndexJob":
        """The job that was written as this."""
        view = View(frozenset(map(_scope, document["scopes"])))
        return cls(Path(document["folder"]), document["file"], document["snapshots"], view)

    def document(self) -> dict[str, Any]:
        """As JSON can hold it; of the view its scopes only, for its templates need no index."""
        scopes = [_scope_document(scope) for scope in self.view.scopes]
        return {"folder": str(self.folder), "file": self.file, "snapshots": dict(self.snapshots), "scopes": scopes}


def check_indexed(document: Mapping[str, Any], job: IndexJob) -> None:
    """Raise ValueError for anything but the report of this job."""
    if document != {"file": job.file}:
        raise ValueError("not the report of an indexing")


def _fields(document: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, Any]:
    if document.keys() != kinds.keys() or any(not isinstance(document[name], kind) for name, kind in kinds.items()):
        raise ValueError("a report of another shape")
    return dict(document)


def _scope(document: Mapping[str, Any]) -> Scope:
    labels = frozenset((key, value) for key, value in document["labels"])
    return Scope(document["registry"], frozenset(document["namespaces"]), labels)


def _scope_document(scope: Scope) -> dict[str, Any]:
    return {"registry": scope.registry, "namespaces": sorted(scope.namespaces), "labels": sorted(scope.labels)}

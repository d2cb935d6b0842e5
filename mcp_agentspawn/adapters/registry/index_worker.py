"""The process that makes indexes: one file for each view, from what was read of the registries before."""

from itertools import chain
from pathlib import Path

from mcp_agentspawn.adapters.index.build import build
from mcp_agentspawn.adapters.registry.jobs import IndexJob
from mcp_agentspawn.adapters.registry.snapshots import read_snapshot
from mcp_agentspawn.adapters.registry.worker import Job, Report, serve
from mcp_agentspawn.core.registry import View


def index(document: Job) -> Report:
    """Build what the job asks for, in its folder."""
    job = IndexJob.read(document)
    return {"files": {name: _built(job, name, view).name for name, view in job.views.items()}}


def _built(job: IndexJob, name: str, view: View) -> Path:
    snapshots = [job.folder / job.snapshots[registry] for registry in sorted(view.registries & job.snapshots.keys())]
    file = job.folder / f"{name}.index"
    file.unlink(missing_ok=True)  # an indexer that was ended early leaves half of one
    build(file, view, chain.from_iterable(map(read_snapshot, snapshots)))
    return file


if __name__ == "__main__":
    serve(index)

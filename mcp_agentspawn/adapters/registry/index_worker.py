"""The process that makes an index: a file of what a view holds of all that was read of its registries before."""

from itertools import chain

from mcp_agentspawn.adapters.index.build import build
from mcp_agentspawn.adapters.registry.jobs import IndexJob
from mcp_agentspawn.adapters.registry.snapshots import read_snapshot
from mcp_agentspawn.adapters.registry.worker import Job, Report, serve


def index(document: Job) -> Report:
    """Build what the job asks for, in its folder."""
    job = IndexJob.read(document)
    snapshots = [job.folder / job.snapshots[registry] for registry in sorted(job.snapshots)]
    build(job.folder / job.file, job.view, chain.from_iterable(map(read_snapshot, snapshots)))
    return {"file": job.file}


if __name__ == "__main__":
    serve(index)

"""The process that reads one registry: what it makes of it lies in a file, so nothing of it weighs on the server."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mcp_agentspawn.adapters.registry.client import Client
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.jobs import ReadJob, ReadReport
from mcp_agentspawn.adapters.registry.reading import Reading, read_all
from mcp_agentspawn.adapters.registry.snapshots import known_suspicions, served, write_snapshot
from mcp_agentspawn.adapters.registry.weighing import weighed
from mcp_agentspawn.adapters.registry.worker import Job, Report, serve
from mcp_agentspawn.core.registry import RegistryEntry


def read(document: Job) -> Report:
    """Read the registry of the job and keep all that was read, or nothing."""
    job = ReadJob.read(document)
    try:
        reading = asyncio.run(_reading(job.endpoint))
    except ReadingFailed as failure:
        return ReadReport.failed(failure.code).document()
    except MemoryError:
        return ReadReport.failed("registry.too_large").document()
    return _kept(job, reading).document()


async def _reading(endpoint: Endpoint) -> Reading:
    async with Client(endpoint) as client:
        return await read_all(client)


def _kept(job: ReadJob, reading: Reading) -> ReadReport:
    known = known_suspicions(job.folder / job.before if job.before else None)
    snapshot = write_snapshot(job.folder, job.endpoint.name, _all_weighed(reading.entries, known))
    return ReadReport(snapshot.name, reading.dialect, reading.names, dict(reading.problems))


def _all_weighed(entries: Iterable[RegistryEntry], known: Mapping[bytes, tuple[str, ...]]) -> Iterator[RegistryEntry]:
    """An entry that is as it was is not looked through again."""
    for entry in entries:
        found = known.get(served(entry)) if known else None
        yield weighed(entry) if found is None else replace(entry, suspected_by=found)


if __name__ == "__main__":
    serve(read)

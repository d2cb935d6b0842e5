"""What a watch of the API server says, line by line: bounded, and read before the next line comes.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from mcp_agentspawn.adapters.kubernetes.errors import UNREADABLE, ReadAgain
from mcp_agentspawn.core.errors import Unavailable

MOST_LINE_BYTES = 8 * 1024 * 1024
"""Of one event. No object is larger than etcd takes, which is 1.5 MB."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

PUT = frozenset({"ADDED", "MODIFIED"})
DELETED = "DELETED"
BOOKMARK = "BOOKMARK"
ERROR = "ERROR"


class Event(NamedTuple):
    """One thing that became of an object. `version` is where a watch that is cut can be gone on from."""

    kind: str
    name: str
    version: str
    stored: Mapping[str, Any]

    @property
    def ends_the_initial(self) -> bool:
        """Whether all that was there has been told, and what follows is news."""
        marks = self.stored["metadata"].get("annotations") or {}
        return self.kind == BOOKMARK and marks.get(INITIAL_EVENTS_END) == "true"


async def each(chunks: AsyncIterator[bytes], take: Callable[[Event], None]) -> None:
    """Have every event of a watch taken, until it ends; what a cut leaves of one is nothing.

    Raises ReadAgain for what is none or too long, and Unavailable for one that says that something failed.
    """
    held = bytearray()
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        held += first
        for other in others:
            if held:
                take(event_of(held))
            held = bytearray(other)
        if len(held) > MOST_LINE_BYTES:
            raise ReadAgain("The API server's event is too long.")
        await asyncio.sleep(0)  # chunks that are there already come without a pause: others work, too


def event_of(line: bytes | bytearray) -> Event:
    """Read one event. Raises ReadAgain for what is none, and for what says so; Unavailable for another failure."""
    try:
        said = json.loads(line)
        kind, stored = said["type"], said["object"]
        if kind == ERROR:
            raise _failure(stored)
        metadata = stored["metadata"]
        name = "" if kind == BOOKMARK else str(metadata["name"])
        return Event(kind, name, str(metadata["resourceVersion"]), stored)
    except UNREADABLE as error:
        raise ReadAgain("The API server's event can not be read.") from error


def _failure(status: Mapping[str, Any]) -> Unavailable:
    if status["code"] == HTTPStatus.GONE:
        return ReadAgain("The API server no longer knows what was seen last.")
    return Unavailable("The API server ended the watch.")

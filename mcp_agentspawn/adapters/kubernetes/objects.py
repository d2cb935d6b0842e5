"""What a subagent looks like as a kagent Agent object: which marks it bears and how they are read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.model import Root, Subagent
from mcp_agentspawn.core.moments import to_the_microsecond
from mcp_agentspawn.core.names import DEPTH, LIFETIME, MOST_DEPTH, PARENT, PROPOSAL, REQUEST, ROOT, TEMPLATE

SET_BY_SERVER = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"})
SECONDS_OF_A_CENTURY = 3_155_760_000
MOST_TIMES = 4096  # a ledger is read and written often, and its times stay the same


def subagent_of(agent: Mapping[str, Any]) -> Subagent:
    """Read an Agent object. One that is not ours has an empty `virtual_user`: its name is taken, no more.

    A lifetime that can not be read is none, so that such an agent counts as expired.
    """
    metadata, manifest = agent["metadata"], as_sent(agent)
    marks = metadata.get("annotations") or {}
    ours = (metadata.get("labels") or {}).get(PROPOSAL) == metadata["name"]
    return Subagent(
        id=metadata["name"],
        uid=metadata["uid"],
        home=metadata["namespace"],
        virtual_user=marks.get(ROOT, "") if ours else "",
        parent=marks.get(PARENT, ""),
        template=marks.get(TEMPLATE, ""),
        request_digest=marks.get(REQUEST, ""),
        lifetime=_lifetime(marks.get(LIFETIME, "")),
        created_at=time_of(metadata["creationTimestamp"]),
        depth=_depth(marks.get(DEPTH, "")),
        deleting="deletionTimestamp" in metadata,
        ready=_ready(agent),
        manifest=manifest,
        fingerprint=fingerprint_of(manifest),
    )


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
    """The hash by which a manifest is compared with the one that was approved; never `""`.

    One that has no canonical JSON was never approved: every text of ours has.
    """
    try:
        return digest_of(manifest)
    except ValueError:
        return "no canonical JSON"


def as_sent(agent: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what only the API server and the controller write, to be compared with what was sent."""
    metadata = {key: value for key, value in agent["metadata"].items() if key not in SET_BY_SERVER}
    return {key: value for key, value in agent.items() if key != "status"} | {"metadata": metadata}


def is_of(subagent: Subagent, root: Root) -> bool:
    """Whether it belongs to this root's tree; the label `tree` only finds, the annotation is what the lock checks."""
    return subagent.virtual_user == root.virtual_user


@lru_cache(MOST_TIMES)
def time_of(text: str) -> datetime:
    """Read an RFC 3339 time."""
    return datetime.fromisoformat(text).astimezone(UTC)


text_of = lru_cache(MOST_TIMES)(to_the_microsecond)


def _lifetime(text: str) -> timedelta:
    if not (text.isascii() and text.isdecimal()) or int(text) > SECONDS_OF_A_CENTURY:
        return timedelta()
    return timedelta(seconds=int(text))


def _depth(text: str) -> int:
    """What can not be read may be anything, so that its credential is looked for when it leaves."""
    return int(text) if text in map(str, range(MOST_DEPTH + 1)) else MOST_DEPTH


def _ready(agent: Mapping[str, Any]) -> bool:
    """Condition Ready is True, and kagent has seen this generation (`status` may be of an older one)."""
    status = agent.get("status") or {}
    ready: Mapping[str, Any] = next(
        (item for item in status.get("conditions") or () if item.get("type") == "Ready"), {}
    )
    seen = {status.get("observedGeneration"), ready.get("observedGeneration")} - {None}
    return ready.get("status") == "True" and seen == {agent["metadata"].get("generation")}

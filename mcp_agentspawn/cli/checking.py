"""How the check of a registry looks: for people, line by line, and for programs, as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mcp_agentspawn.adapters.files import Folder, Problem
from mcp_agentspawn.cli.escaping import behind_gutter, escaped, unwritten
from mcp_agentspawn.cli.policy_lines import key_behind, lines_behind
from mcp_agentspawn.cli.surveying import Survey, Worth
from mcp_agentspawn.cli.wording import fact
from mcp_agentspawn.core.registry import Handle
from mcp_agentspawn.guards import Policy

Document = dict[str, Any]
SERVER_UNKNOWN = "registry.tool_server_unknown"
MOST_SERVERS = 20


def document(survey: Survey, judged: Sequence[Worth], policies: Folder[Policy]) -> Document:
    """A registry as JSON: how it was read (`whole`, `in part` or `not`), and what each policy makes of it."""
    reading, failure = survey.reading, survey.failure
    return {
        "registry": survey.endpoint.name,
        "url": survey.endpoint.url,
        "read": "whole" if survey.whole else "in part" if reading else "not",
        "code": failure.code if failure else "",
        "detail": failure.detail if failure else "",
        "seconds": round(survey.seconds, 3),
        "dialect": reading.dialect if reading else "",
        "entries": reading.names if reading else 0,
        "problems": dict(reading.problems) if reading else {},
        "policies": [_worth(one, policies) for one in judged],
    }


def _worth(worth: Worth, policies: Folder[Policy]) -> Document:
    return {
        "policy": policies.file(worth.policy),
        "found": worth.found,
        "spawnable": worth.spawnable,
        "blocked": [
            {"code": code, "line": _behind(code, worth, policies), "entries": list(handles)}
            for code, handles in worth.blocked.items()
        ],
        "flagged": [{"code": code, "entries": list(handles)} for code, handles in worth.flagged.items()],
        "unknown_servers": dict(worth.unknown_servers),
        "unmatched": [asdict(policies.problem(worth.policy, *one)) for one in worth.unmatched],
    }


def _behind(code: str, worth: Worth, policies: Folder[Policy]) -> str:
    """The lines that a change of would let such entries through; `""` where no key does."""
    is_a_key = len(key_behind(code)) > 1
    if not is_a_key:
        return ""
    entries = [worth.entries[handle] for handle in worth.blocked[code]]
    return " and ".join(map(str, lines_behind(policies, worth.policy, code, entries)))


def lines(said: Document, examples: int) -> Iterator[str]:
    """The same for people, with so many examples of each reason."""
    yield escaped(f"{said['registry']}: {_reading(said)}")
    yield from fact("url", said["url"])
    for code, count in sorted(said["problems"].items()):
        yield from fact("problem", f"{code}: {count}")
    if not said["policies"]:
        yield from fact("policies", "none shows anything of it")
    for policy in said["policies"] if said["read"] != "not" else ():
        yield escaped(f"  under {policy['policy']}: {policy['found']} found, {policy['spawnable']} spawnable")
        for one in policy["unmatched"]:
            yield escaped(unwritten(f"    {Problem(**one)}"))
        for blocked in policy["blocked"]:
            by = f" by {blocked['line']}" if blocked["line"] else ""
            yield from _some(blocked, f"can not be spawned: {blocked['code']}{by}", examples)
            if blocked["code"] == SERVER_UNKNOWN:
                yield from _servers(policy["unknown_servers"])
        for flagged in policy["flagged"]:
            yield from _some(flagged, f"found last, for what it says of itself: {flagged['code']}", examples)


def _reading(said: Document) -> str:
    took = f"in {said['seconds']:.2f} s"
    if said["read"] == "not":
        return f"NOT READ {took}: {said['code']}: {said['detail']}"
    word = "read whole" if said["read"] == "whole" else "READ IN PART"
    return f"{word} {took}: dialect {said['dialect']}, {said['entries']} entries"


def _some(counted: Document, what: str, examples: int) -> Iterator[str]:
    count, some = len(counted["entries"]), [_short(handle) for handle in counted["entries"][:examples]]
    yield escaped(f"    {count} {what}")
    more = [f"and {count - len(some)} more"] if count > len(some) > 0 else []
    yield from behind_gutter(map(escaped, [*some, *more]), "      ")


def _servers(counts: Mapping[str, int]) -> Iterator[str]:
    """What `registry.tools` would have to name, the servers of most entries first."""
    named = [f"{escaped(server)}: {count}" for server, count in counts.items()][:MOST_SERVERS]
    more = [f"and {len(counts) - MOST_SERVERS} more (--json names all)"] if len(counts) > MOST_SERVERS else []
    yield "      not in registry.tools, and how many of these entries have it:"
    yield from behind_gutter([*named, *more], "      ")


def _short(handle: str) -> str:
    """A handle without what only programs read."""
    named = Handle.read(handle)
    return f"{named.namespace}/{named.name}@{named.tag}" if named else handle

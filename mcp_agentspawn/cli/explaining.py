"""How an explanation looks: for people, line by line, and for programs, as JSON."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_agentspawn.adapters.files import Folder
from mcp_agentspawn.cli.policy_lines import PolicyLine, lines_behind
from mcp_agentspawn.core.verdict import Allow, Deny, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.explain import Cause, Explained, Heard, Unanswered, Unasked

Document = dict[str, Any]
COLUMN = 12
LABELS: Mapping[Cause, str] = {
    "forbidden": "you may not ask",
    "unavailable": "no answer",
    "failed": "failed",
    "unknown_registry": "no registry",
    "registry_away": "no answer of registry",
}
MEANING: Mapping[Cause, str] = {
    "forbidden": "you may not ask all of it; use an identity that may read what the server reads",
    "unavailable": "the cluster did not answer; try again later",
    "failed": "the guard itself failed, as the server's would",
    "unknown_registry": "the entry's registry is not in {registries}",
    "registry_away": "the entry's registry did not answer; ask agentspawn registry check --registries {registries}",
}
NO_FOLDER = "--registries FOLDER, which was not given"


def document(explained: Explained, policies: Folder[Policy], registries: Path | None, *, manifest: bool) -> Document:
    """An explanation as JSON; `policy` is the line behind a verdict, its `file` empty where a default stands behind.

    `registries` is the folder that was looked into; `None`: there was none.
    """
    said: Document = {
        "step": explained.step,
        "root": explained.caller.root.name,
        "caller": explained.caller.agent,
        "outcome": explained.outcome,
        "codes": list(explained.codes),
        "unanswered": [one.guard for one in explained.unanswered],
        "policies": [policies.file(name) for name in explained.policies],
        "known": explained.known,
        "registries": str(registries or ""),
        "changed": [_reason(reason) for reason in explained.changed],
        "guards": [_guard(one, policies, explained) for one in explained.heard],
    }
    return said | ({"manifest": explained.manifest} if manifest else {})


def _guard(one: Heard, policies: Folder[Policy], explained: Explained) -> Document:
    if isinstance(one, Unasked):
        return {"guard": one.guard, "verdict": "not asked", "why": one.why}
    if isinstance(one, Unanswered):
        detail = f"{LABELS[one.cause]}: {one.detail}"
        return {
            "guard": one.guard,
            "verdict": "unanswered",
            "cause": one.cause,
            "reasons": [],
            "detail": detail,
            "policy": [],
        }
    verdict = one.verdict
    reasons = () if isinstance(verdict, Allow) else verdict.reasons
    word = "allow" if isinstance(verdict, Allow) else "deny" if isinstance(verdict, Deny) else "hold"
    codes = [reason.code for reason in reasons] or [one.guard]
    entries = [explained.entry] if explained.entry else []
    name = explained.policies[0] if len(explained.policies) == 1 else ""
    found = [line for code in codes for line in lines_behind(policies, name, code, entries)] if name else []
    behind = {str(line): _line(line) for line in found}
    return {
        "guard": one.guard,
        "verdict": word,
        "reasons": [_reason(reason) for reason in reasons],
        "detail": one.detail,
        "policy": list(behind.values()),
    }


def _reason(reason: Reason) -> Document:
    return {"code": reason.code, "message": reason.message, "field": reason.field}


def _line(line: PolicyLine) -> Document:
    return {"file": line.file, "line": line.line, "key": line.key, "value": line.value, "text": str(line)}


def lines(said: Document) -> Iterator[str]:
    """The same for people. Nothing in it is escaped."""
    who = f"{said['root']}'s {said['caller']}" if said["caller"] else said["root"]
    yield f"{said['step']} by {who}, under {' and '.join(said['policies']) or 'no policy'}"
    for guard in said["guards"]:
        yield from _of_guard(guard)
    for reason in said["changed"]:
        yield f"changed since: {reason['code']}: {reason['message']}"
    if said["known"]:
        yield f"the same request is {said['known']} already: proposing again hands that out"
    yield from _unanswered(said)
    if said["outcome"] != "unanswered":
        yield f"{said['outcome']}{': ' if said['codes'] else ''}{', '.join(said['codes'])}"


def _unanswered(said: Document) -> Iterator[str]:
    """One line for each cause."""
    for cause, meaning in MEANING.items():
        if guards := [guard["guard"] for guard in said["guards"] if guard.get("cause") == cause]:
            yield f"unanswered: {', '.join(guards)}: {meaning.format(registries=said['registries'] or NO_FOLDER)}"


def _of_guard(guard: Document) -> Iterator[str]:
    name = f"  {guard['guard']:<{COLUMN}}"
    if "why" in guard:
        yield f"{name}not asked: {guard['why']}"
        return
    yield f"{name}{guard['verdict']}"
    indent = " " * (COLUMN + 2)
    for reason in guard["reasons"]:
        field = f" ({reason['field']})" if reason["field"] else ""
        yield f"{indent}{reason['code']}: {reason['message']}{field}"
    if guard["detail"]:
        yield f"{indent}detail: {guard['detail']}"
    for line in guard["policy"]:
        yield f"{indent}{line['text']}"

"""Which line of which policy file stands behind what a guard said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from mcp_agentspawn.adapters.files import Folder
from mcp_agentspawn.core.digest import canonical
from mcp_agentspawn.core.guard import LedgerGuard
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.guards import Policy

MOST_VALUE_CHARACTERS = 100
DEFAULT = "default of agentspawn"

NAMED_OTHERWISE = {
    "template.not_allowed": "allow",
    "registry.unknown_entry": "see",
    "registry.no_template": "see",
    "registry.tool_server_unknown": "tools",
    "registry.image_not_allowed": "images",
    "parameters.too_large": "most_bytes",
    "content.too_large": "most_bytes",
    "manifest.too_many_tools": "most_tools",
    "manifest.tool_approval_unanswerable": "tool_approvals",
    "lineage.depth": "most_depth",
    "approval.waiting": "at_least",
    "approval.record": "least_score",
}
"""Reason codes that do not bear the name of the key behind them. All others do, or are not for a policy to set."""

Key = tuple[str, ...]
SEE: Key = ("registry", "see")


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """A key of a policy and its value; `file` is empty and `line` 0 where the file does not name the key."""

    file: str
    line: int
    key: str
    value: Any

    def __str__(self) -> str:
        text = canonical(self.value)
        where = f"{self.file}:{self.line}" if self.file else DEFAULT
        shown = text if len(text) <= MOST_VALUE_CHARACTERS else f"{text[:MOST_VALUE_CHARACTERS]}..."
        return f"{where}: {self.key}: {shown}"


def key_behind(code: str) -> Key:
    """The section, and where there is one the key in it, that is behind a reason code or a guard's name."""
    section, _, what = code.partition(".")
    field = Policy.model_fields.get(section)
    if field is None:
        return ()
    key = NAMED_OTHERWISE.get(code, what)
    return (section, key) if key in keys_of(section) else (section,)


def keys_of(section: str) -> list[str]:
    """The keys that may stand in a section."""
    model = Policy.model_fields[section].annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def line_behind(policies: Folder[Policy], name: str, code: str) -> PolicyLine | None:
    """The line behind a reason code or a guard's name in the policy of this name; `None` when it is about no policy."""
    key = key_behind(code)
    if not key:
        return None
    document, policy = policies.documents[name], policies.values[name]
    found = _at(document.value, key) or _at(document.value, _shared(policy, key))
    if found:
        return PolicyLine(policies.file(name), document.line_of(found[0]), *_said(found))
    default = _at(_as_written(policy.model_dump(exclude_none=True)), _shared(policy, key))
    return PolicyLine("", 0, *_said(default)) if default else None


def lines_behind(
    policies: Folder[Policy], name: str, code: str, entries: Collection[RegistryEntry]
) -> Sequence[PolicyLine]:
    """The same of registry entries that the code is about: instead of all of `see`, the rules that show one of them."""
    if key_behind(code) == SEE:
        see = policies.values[name].registry.see
        shown = [number for number, rule in enumerate(see) if any(map(rule.scope.holds, entries))]
        if shown:
            return [_rule(policies, name, number) for number in shown]
    line = line_behind(policies, name, code)
    return [line] if line else []


def _rule(policies: Folder[Policy], name: str, number: int) -> PolicyLine:
    document = policies.documents[name]
    path: tuple[str | int, ...] = (*SEE, number)
    return PolicyLine(policies.file(name), document.line_of(path), document.key_of(path), document.at(path))


def _at(value: Any, key: Key) -> tuple[Key, Any] | None:
    for part in key:
        if part not in value:
            return None
        value = value[part]
    return key, value


def _as_written(value: Any) -> Any:
    """A value as a policy file would hold it."""
    if isinstance(value, dict):
        return {key: _as_written(inner) for key, inner in value.items()}
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds() // 60)}m"
    return list(value) if isinstance(value, tuple) else value


def _said(found: tuple[Key, Any]) -> tuple[str, Any]:
    return ".".join(found[0]), found[1]


def _shared(policy: Policy, key: Key) -> Key:
    """The key from whose value this one's follows where it is left out."""
    section = getattr(policy, key[0])
    shares = section.shares if isinstance(section, LedgerGuard) else {}
    return (key[0], shares[key[1]][0]) if len(key) > 1 and key[1] in shares else key

"""What a rule of `registry.see` names and a registry does not have: mostly a namespace or a label with a typo."""

from collections.abc import Collection, Iterable, Iterator

from mcp_agentspawn.core.registry import EVERY_NAMESPACE, RegistryEntry
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.registry import ScopeRule

MOST_NAMED = 10

Path = tuple[str | int, ...]


def unmatched(policy: Policy, registry: str, entries: Collection[RegistryEntry]) -> Iterator[tuple[Path, str]]:
    """Where the policy asks for something that no entry of this registry has, and what its entries have."""
    namespaces = {entry.namespace for entry in entries}
    labels = {label for entry in entries for label in entry.label_words}
    for number, rule in enumerate(policy.registry.see if entries else ()):
        if rule.registry == registry:
            here: Path = ("registry", "see", number)
            missing = [*_namespaces(rule, here, namespaces), *_labels(rule, here, labels)]
            yield from missing
            if not missing and not any(map(rule.scope.holds, entries)):
                yield here, f"no entry of {registry} is in these namespaces and bears all of these labels"


def _namespaces(rule: ScopeRule, here: Path, there: Collection[str]) -> Iterator[tuple[Path, str]]:
    for number, name in enumerate(rule.namespaces):
        if name not in there and name != EVERY_NAMESPACE:
            said = f"no entry of {rule.registry} is in namespace {name}; it has {_some(there)}"
            yield (*here, "namespaces", number), said


def _labels(rule: ScopeRule, here: Path, there: Collection[str]) -> Iterator[tuple[Path, str]]:
    """The labels that are named instead are those of the same key, if there are any."""
    for key, value in rule.labels.items():
        if f"{key}={value}" not in there:
            near = [label for label in there if label.startswith(f"{key}=")] or there
            said = f"no entry of {rule.registry} bears {key}={value}; it has {_some(near) or 'none'}"
            yield (*here, "labels", key), said


def _some(words: Iterable[str]) -> str:
    found = sorted(words)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{', '.join(found[:MOST_NAMED])}{more}"

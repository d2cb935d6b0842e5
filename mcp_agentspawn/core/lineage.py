"""Is a grant within another? Every violation is found, and nothing is ever clamped.

Names are compared as they are, and what only looks like an allowed name is named as such.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mcp_agentspawn.core.model import Grant, Scalar

WILDCARDS = frozenset("*?[]{}%")


@dataclass(frozen=True, slots=True)
class Excess:
    """One thing that a child would hold and its parent does not: what kind, and which."""

    kind: str
    what: str


def excesses(child: Grant, parent: Grant) -> Iterator[Excess]:
    """Everything in which the child's grant is not within its parent's; lifetime is judged by the moment of expiry."""
    yield from _beyond("tool", child.tools, parent.tools)
    yield from _beyond("model", child.models, parent.models)
    if child.depth > parent.depth - 1:
        yield Excess("depth", f"{child.depth}, where {max(parent.depth - 1, 0)} is left")
    for tool in sorted(set(child.tools) & set(parent.ask_first) - set(child.ask_first)):
        yield Excess("tool_approval", tool)
    for name in sorted(child.parameters.keys() | parent.parameters.keys()):
        if not _narrows(name, child.parameters, parent.parameters):
            yield Excess("parameter", name)


def misnamed(names: Iterable[str]) -> Iterator[str]:
    """Names that are no names: with a wildcard, a space, a trailing dot, or letters that only look like others."""
    for name in names:
        folded = unicodedata.normalize("NFKC", name).strip().rstrip(".")
        if folded != name or not name.isascii() or not name.isprintable() or " " in name or set(name) & WILDCARDS:
            yield name


def _beyond(kind: str, held: Iterable[str], allowed: Iterable[str]) -> Iterator[Excess]:
    for name in sorted(set(held) - set(allowed)):
        yield Excess(kind, name)


def _narrows(name: str, child: Mapping[str, Scalar], parent: Mapping[str, Scalar]) -> bool:
    """Whether this value of the child is within its parent's; where only one of them has it, it is not.

    A number is at most its parent's, yes needs its parent's yes, and text is its parent's.
    """
    if name not in child or name not in parent:
        return False
    mine, theirs = child[name], parent[name]
    if isinstance(mine, bool) or isinstance(theirs, bool):
        return mine is False or mine is theirs
    if isinstance(mine, str) or isinstance(theirs, str):
        return mine == theirs
    return mine <= theirs

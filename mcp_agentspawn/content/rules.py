"""The rules as they stand in `rules.toml`, read once, when they are first asked for.

The file is a part of this package: tests say what may stand in it, so that no process has to.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

Reads = Literal["written", "letters"]
Example = str | list[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it is called, why it refuses, what it looks for, and what it must catch and must spare.

    It looks for a `pattern` in one reading of a text, for `phrases` in its words, or for both.
    """

    id: str
    reason: str
    catches: Sequence[str]
    spares: Sequence[str]
    reads: Reads = "written"
    pattern: str = ""
    phrases: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Every rule by its id, in the order of the file, and the kinds of words that their phrases name."""

    rules: Mapping[str, Rule]
    vocabulary: Mapping[str, str]


@cache
def rule_file() -> RuleFile:
    """The rules of this package."""
    document = written_rules()
    found = [_rule(**table) for table in document["rule"]]
    return RuleFile({rule.id: rule for rule in found}, document["vocabulary"])


def written_rules() -> Mapping[str, Any]:
    """The file as it is."""
    return tomllib.loads((resources.files(__package__) / "rules.toml").read_text(encoding="utf-8"))


def _rule(catches: Iterable[Example], spares: Iterable[Example], **others: Any) -> Rule:
    return Rule(**others, catches=tuple(map("".join, catches)), spares=tuple(map("".join, spares)))


def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of the file."""
    return rule_file().rules


def group_of(rule: str) -> str:
    """What kind of content a rule is about: the first word of its id."""
    return rule.partition(".")[0]

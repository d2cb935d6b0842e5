"""The rules as they stand in `rules.toml`, read once, when they are first asked for."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import Field, field_validator

from mcp_agentspawn.core.strict import Strict

Reads = Literal["written", "letters"]


class Rule(Strict):
    """One rule: what it is called, why it refuses, what it looks for, and what it must catch and must spare.

    It looks for a `pattern` in one reading of a text, for `phrases` in its words, or for both.
    """

    id: str = Field(pattern=r"^(credential|injection|exfiltration|hidden)\.[a-z]+(-[a-z]+)*$")
    reason: str
    reads: Reads = "written"
    pattern: str = ""
    phrases: tuple[str, ...] = Field(default=(), strict=False)
    catches: tuple[str, ...] = Field(min_length=1, strict=False)
    spares: tuple[str, ...] = Field(min_length=1, strict=False)

    @field_validator("catches", "spares", mode="before")
    @classmethod
    def _joined(cls, examples: list[str | list[str]]) -> list[str]:
        return ["".join(example) for example in examples]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Every rule by its id, in the order of the file, and the kinds of words that their phrases name."""

    rules: Mapping[str, Rule]
    vocabulary: Mapping[str, str]


@cache
def rule_file() -> RuleFile:
    """The rules of this package."""
    document = tomllib.loads((resources.files(__package__) / "rules.toml").read_text(encoding="utf-8"))
    found = [Rule.model_validate(rule) for rule in document["rule"]]
    return RuleFile({rule.id: rule for rule in found}, document["vocabulary"])


def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of the file."""
    return rule_file().rules


def group_of(rule: str) -> str:
    """What kind of content a rule is about: the first word of its id."""
    return rule.partition(".")[0]

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from mcp_agentspawn.content import rules, scan
from mcp_agentspawn.content.rules import Example, Reads, Rule, group_of, rule_file, written_rules
from mcp_agentspawn.core.strict import Strict

CASES = {f"{rule.id}: {text[:30]}": (rule, text) for rule in rules().values() for text in rule.catches}
SPARED = {f"{rule.id}: {text[:30]}": (rule, text) for rule in rules().values() for text in rule.spares}
Examples = Annotated[list[Example], Field(min_length=1)]


class WrittenRule(Strict):
    """What may stand in the file of a rule."""

    id: str = Field(pattern=r"^(credential|injection|exfiltration|hidden)\.[a-z]+(-[a-z]+)*$")
    reason: str
    reads: Reads = "written"
    pattern: str = ""
    phrases: list[str] = Field(default=[])
    catches: Examples
    spares: Examples


class WrittenFile(Strict):
    """What may stand in the file of the rules."""

    vocabulary: dict[str, str]
    rule: list[WrittenRule]


def test_the_file_holds_rules_and_a_vocabulary() -> None:
    written = WrittenFile.model_validate(written_rules())

    assert [rule.id for rule in written.rule] == list(rules()), "an id stands there once"
    assert written.vocabulary == rule_file().vocabulary


@pytest.mark.parametrize(
    "change",
    [{"id": "other.rule"}, {"reads": "aloud"}, {"pattern": 1}, {"phrases": "all"}, {"catches": []}, {"spare": ["a"]}],
    ids=lambda change: next(iter(change)),
)
def test_what_is_no_rule_would_be_seen(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WrittenRule.model_validate(written_rules()["rule"][0] | change)


@pytest.mark.parametrize(("rule", "text"), CASES.values(), ids=map(ascii, CASES))
def test_a_rule_catches_its_examples(rule: Rule, text: str) -> None:
    assert rule.id in {match.rule for match in scan(text)}


@pytest.mark.parametrize(("rule", "text"), SPARED.values(), ids=map(ascii, SPARED))
def test_a_rule_spares_its_counterexamples(rule: Rule, text: str) -> None:
    assert rule.id not in {match.rule for match in scan(text)}


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_a_rule_says_why_in_a_sentence_and_looks_for_something(rule: Rule) -> None:
    assert rule.reason[0].isupper()
    assert rule.reason.endswith(".")
    assert rule.pattern or rule.phrases


def test_the_groups_are_the_codes_of_the_guard() -> None:
    assert {group_of(rule) for rule in rules()} == {"credential", "injection", "exfiltration", "hidden"}

import pytest

from mcp_agentspawn.content import rules, scan
from mcp_agentspawn.content.rules import Rule, group_of

CASES = {f"{rule.id}: {text[:30]}": (rule, text) for rule in rules().values() for text in rule.catches}
SPARED = {f"{rule.id}: {text[:30]}": (rule, text) for rule in rules().values() for text in rule.spares}


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

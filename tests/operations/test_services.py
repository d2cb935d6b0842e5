from mcp_agentspawn.operations.services import Rules, random_suffix
from tests.builders import SEES_MAIN, policy, template


def test_what_the_rules_show_is_what_each_policy_shows() -> None:
    policies = {"default": policy(registry=SEES_MAIN), "nothing": policy(template={}), "same": policy(template={})}
    rules = Rules({"researcher": template()}, policies)

    assert rules.views() == {one.view(rules.templates) for one in policies.values()}
    assert len(rules.views()) == 2


def test_suffixes_are_never_guessed_and_fit_a_name() -> None:
    suffixes = {random_suffix() for _ in range(200)}

    assert len(suffixes) == 200
    assert all(
        len(suffix) == 10 and suffix.isalnum() and suffix.islower() for suffix in suffixes if not suffix.isdigit()
    )

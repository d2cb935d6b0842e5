from datetime import timedelta

import pytest

from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, Reset, Switches, freeze_name
from tests.builders import NOON, ROOT

EVERYTHING = Freeze(EVERYWHERE, frozen=True)
NAMESPACE = Freeze("namespace.subagents", frozen=True, namespace="subagents")
TREE = Freeze("root.agents.orchestrator", frozen=True, root="agents/orchestrator")


def test_the_widest_freeze_is_named() -> None:
    assert Switches((TREE, NAMESPACE, EVERYTHING)).stopping(ROOT) == EVERYTHING
    assert Switches((TREE, NAMESPACE)).stopping(ROOT) == NAMESPACE
    assert Switches((TREE,)).stopping(ROOT) == TREE
    assert Switches().stopping(ROOT) is None


def test_the_switches_are_whole_while_the_one_for_everywhere_is_there() -> None:
    assert Switches((EVERYTHING,)).whole
    assert not Switches((TREE,)).whole


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "everywhere"),
        ({"namespace": "subagents"}, "namespace.subagents"),
        ({"root": "agents/orchestrator"}, "root.agents.orchestrator"),
    ],
)
def test_each_freeze_has_one_name(arguments: dict[str, str], name: str) -> None:
    assert freeze_name(**arguments) == name


def test_counts_begin_anew_at_the_last_reset_of_that_root() -> None:
    later = NOON + timedelta(minutes=5)
    resets = (
        Reset("one", ROOT.name, counts=True, at=later),
        Reset("two", ROOT.name, counts=True, at=NOON),
        Reset("three", ROOT.name, at=later + timedelta(minutes=1)),
        Reset("four", "agents/other", counts=True, at=later + timedelta(minutes=1)),
        Reset("five", ROOT.name, counts=True),
    )

    assert Switches(resets=resets).counts_since(ROOT.name) == later
    assert Switches(resets=resets[2:]).counts_since(ROOT.name) is None


def test_only_the_named_account_of_the_named_root_may_go_on() -> None:
    switches = Switches(resets=(Reset("one", ROOT.name, account="uid-2"), Reset("two", ROOT.name)))

    assert switches.accepts(ROOT.name, "uid-2")
    assert not switches.accepts(ROOT.name, "uid-3")
    assert not switches.accepts("agents/other", "uid-2")
    assert not switches.accepts(ROOT.name, "")

from datetime import timedelta

import pytest

from mcp_agentspawn.core.errors import ConfigError
from mcp_agentspawn.core.model import Root, Subagent
from tests.builders import NOON, ROOT


def test_a_root_has_one_name_for_each_place() -> None:
    assert (ROOT.name, ROOT.key) == ("agents/orchestrator", "agents.orchestrator")
    assert (ROOT.virtual_user, ROOT.label) == ("agentspawn:agents:orchestrator", "agents.orchestrator")


def test_a_root_is_found_again_by_its_name() -> None:
    assert Root.named(ROOT.name, ROOT.home) == ROOT


@pytest.mark.parametrize(("user", "root"), [(ROOT.virtual_user, ROOT.name), ("alice", ""), ("", "")])
def test_an_agent_is_of_the_root_that_wrote_it_and_otherwise_nobodys(user: str, root: str) -> None:
    assert Subagent("sub-a", "uid", ROOT.home, user, "", "researcher", "r", timedelta(hours=1), NOON).root == root


def test_a_long_root_is_found_by_a_label_that_fits() -> None:
    labels = {Root("agents", "a" * 200 + suffix, "subagents").label for suffix in ("b", "c")}

    assert len(labels) == 2
    assert all(len(label) <= 63 for label in labels)


def test_a_configuration_error_lists_every_problem() -> None:
    assert str(ConfigError(["one", "two"])) == "one\ntwo"
    assert ConfigError(["one", "two"]).problems == ("one", "two")

"""Tasks: whose they are, and on whose behalf their agents are talked to."""

from mcp_agentspawn.core.delegation import Address
from mcp_agentspawn.core.model import Root
from tests.builders import task


def test_an_agent_is_talked_to_on_behalf_of_the_root_in_whose_tree_its_task_was_given() -> None:
    given = task(root="gone/away", home="elsewhere", agent="sub-a", agent_uid="uid-1")

    assert given.tree == Root("gone", "away", "elsewhere")
    assert Address.of(given, "trace") == Address("elsewhere", "sub-a", "uid-1", "agentspawn:gone:away", "trace")

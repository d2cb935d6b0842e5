import time

import pytest

from mcp_agentspawn.core.moments import to_the_microsecond, to_the_second
from mcp_agentspawn.core.names import NOBODYS_HOME, may_be_home
from tests.builders import NOON


def test_subagents_live_in_a_namespace_of_their_own() -> None:
    assert may_be_home("subagents", "agents")
    assert may_be_home("kubernetes", "agents")
    assert not may_be_home("agents", "agents")


@pytest.mark.parametrize("namespace", [*sorted(NOBODYS_HOME), "kube-system", "kube-public", "kube-x"])
def test_subagents_live_in_no_namespace_of_somebody_else(namespace: str) -> None:
    assert not may_be_home(namespace, "agents")


def test_a_moment_is_written_in_utc_wherever_this_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        written = to_the_microsecond(NOON), to_the_second(NOON)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert written == ("2026-11-21T12:00:00.000000Z", "2026-11-21T12:00:00Z")

"""Whose tasks are followed up first."""

from mcp_agentspawn.operations.reconcile import in_turns


def test_a_root_with_many_tasks_keeps_nobody_elses_waiting() -> None:
    many = [f"loud-{number}" for number in range(40)]

    assert in_turns([many, ["quiet-1"], [], ["other-1", "other-2"]])[:5] == [
        "loud-0",
        "quiet-1",
        "other-1",
        "loud-1",
        "other-2",
    ]
    assert len(in_turns([many, ["quiet-1"]])) == 41
    assert in_turns([]) == []

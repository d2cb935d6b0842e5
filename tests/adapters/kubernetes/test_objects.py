from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.ledger_objects import (
    MOST_WRITES,
    StoredLedger,
    name_of,
    object_of,
    stored_ledger_of,
)
from mcp_agentspawn.adapters.kubernetes.objects import as_sent, fingerprint_of, subagent_of, text_of, time_of
from mcp_agentspawn.adapters.kubernetes.resources import AGENTS
from mcp_agentspawn.core.errors import Missing
from mcp_agentspawn.core.ledger import Ledger

LIFETIME = "agentspawn.dev/lifetime"
DEPTH = "agentspawn.dev/depth"


def agent(**changes: Any) -> dict[str, Any]:
    metadata = {
        "name": "sub-a",
        "namespace": "subagents",
        "uid": "1",
        "generation": 2,
        "creationTimestamp": "2026-11-21T12:00:00Z",
        "labels": {"agentspawn.dev/proposal": "sub-a"},
        "annotations": {"agentspawn.dev/root": "agentspawn:agents:orchestrator", LIFETIME: "60"},
    }
    return {"apiVersion": "kagent.dev/v1alpha2", "kind": "Agent", "metadata": metadata | changes, "spec": {}}


def status(ready: str, *, seen: int | None, ready_seen: int | None) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready} | ({"observedGeneration": ready_seen} if ready_seen else {})
    return {"conditions": [{"type": "Accepted", "status": "True"}, condition]} | (
        {"observedGeneration": seen} if seen else {}
    )


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        (status("True", seen=2, ready_seen=2), True),
        (status("True", seen=2, ready_seen=None), True),
        (status("True", seen=None, ready_seen=2), True),
        (status("False", seen=2, ready_seen=2), False),
        (status("Unknown", seen=2, ready_seen=2), False),
        (status("True", seen=1, ready_seen=1), False),
        (status("True", seen=2, ready_seen=1), False),
        (status("True", seen=1, ready_seen=2), False),
        (status("True", seen=None, ready_seen=None), False),
        ({"conditions": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_ready_is_what_the_controller_says_of_this_generation(said: dict[str, Any] | None, *, ready: bool) -> None:
    assert subagent_of(agent() | {"status": said}).ready is ready


@pytest.mark.parametrize("text", ["", "1.5", "-1", "soon", "1e3", "٣", "9" * 30, " 60"])
def test_a_lifetime_that_can_not_be_read_is_none(text: str) -> None:
    found = subagent_of(agent(annotations={LIFETIME: text}))

    assert found.lifetime == timedelta()
    assert found.expires_at == found.created_at


@pytest.mark.parametrize(
    ("text", "depth"), [("0", 0), ("1", 1), ("2", 2), ("3", 2), ("-1", 2), ("", 2), ("01", 2), ("much", 2)]
)
def test_a_depth_that_can_not_be_read_may_be_any(text: str, depth: int) -> None:
    assert subagent_of(agent(annotations={DEPTH: text})).depth == depth
    assert subagent_of(agent(annotations=None)).depth == 2


@pytest.mark.parametrize("labels", [None, {}, {"agentspawn.dev/proposal": "sub-b"}])
def test_only_what_bears_its_own_name_as_its_proposal_is_ours(labels: dict[str, str] | None) -> None:
    assert subagent_of(agent(labels=labels)).virtual_user == ""
    assert subagent_of(agent()).virtual_user == "agentspawn:agents:orchestrator"


def test_what_is_being_deleted_says_so() -> None:
    assert subagent_of(agent(deletionTimestamp="2026-11-21T12:00:00Z")).deleting


def test_only_what_the_server_writes_is_left_out() -> None:
    stored = agent(resourceVersion="5", managedFields=[], ownerReferences=[{"uid": "2"}], finalizers=["x"])

    sent = as_sent(stored | {"status": {}})

    assert sorted(sent) == ["apiVersion", "kind", "metadata", "spec"]
    assert sorted(sent["metadata"]) == ["annotations", "finalizers", "labels", "name", "namespace", "ownerReferences"]


def test_times_are_written_in_utc_with_microseconds() -> None:
    moment = datetime(2026, 11, 21, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))

    assert text_of(moment) == "2026-11-21T12:00:00.000005Z"
    assert text_of(moment.replace(microsecond=0)) == "2026-11-21T12:00:00.000000Z"
    assert time_of(text_of(moment)) == moment
    assert time_of("2026-11-21T12:00:00Z") == datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2Fb", "A", "a b", "a\n", "-a", "a?x=1", "ä", "a" * 254])
def test_what_is_no_name_makes_no_path(name: str) -> None:
    with pytest.raises(Missing):
        AGENTS.item("subagents", name)
    with pytest.raises(Missing):
        AGENTS.item(name or "..", "sub-a")


def test_a_ledger_is_named_after_its_root() -> None:
    assert name_of("agents/or.chestrator") == "agents.or.chestrator"
    for wrong in ("", "agents", "agents/", "/a", "a.b/c", "a/b/c"):
        with pytest.raises(Missing):
            name_of(wrong)


def test_a_ledger_keeps_what_others_wrote_on_its_object_and_the_marks_of_the_last_writes() -> None:
    empty = {"open": {}, "live": {}, "used": {}, "changes": [], "spawned": 0, "audit": {}}
    spec = {"root": "agents/a", "account": "", **empty}
    metadata = {"name": "agents.a", "resourceVersion": "7", "labels": {"team": "x"}, "annotations": {"note": "y"}}
    stored = stored_ledger_of({"metadata": metadata, "spec": spec})

    for number in range(MOST_WRITES + 1):
        written = object_of(stored, stored.ledger, f"w{number}")
        stored = stored_ledger_of(written)

    assert written["metadata"]["resourceVersion"] == "7"
    assert written["metadata"]["labels"] == {"team": "x"}
    assert written["metadata"]["annotations"]["note"] == "y"
    assert stored.writes == tuple(f"w{number}" for number in range(1, MOST_WRITES + 1))


def test_a_new_ledger_is_written_without_a_version() -> None:
    written = object_of(StoredLedger(Ledger("agents/a")), Ledger("agents/a", spawned=1), "w")

    assert "resourceVersion" not in written["metadata"]
    assert written["spec"]["spawned"] == 1


@pytest.mark.parametrize("value", [2**60, float("nan"), "\ud800"])
def test_an_agent_without_canonical_json_has_a_fingerprint_that_no_approved_one_has(value: object) -> None:
    assert fingerprint_of({"spec": value}) not in {"", fingerprint_of({"spec": 1})}

"""How decisions are asked for, and what is made of answers that no API server with our kinds gives."""

from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.approvals import KubernetesApprovals
from mcp_agentspawn.adapters.kubernetes.identity import own_name
from mcp_agentspawn.core.errors import Unavailable, Upstream
from tests.adapters.kubernetes.fake_api import Scripted

SPEC = {
    "proposal": "sub-a",
    "proposalUid": "uid-1",
    "digest": "sha256:1",
    "decision": "approve",
    "decider": "alice",
    "reason": "",
}


def page(**spec: Any) -> tuple[int, dict[str, Any]]:
    metadata = {"name": "sub-a.1", "creationTimestamp": "2026-11-21T12:00:00Z"}
    return 200, {"metadata": {}, "items": [{"metadata": metadata, "spec": SPEC | spec}]}


async def test_the_decisions_on_a_proposal_are_selected_by_field_and_asked_for_each_time() -> None:
    wire = Scripted([page()])
    approvals = KubernetesApprovals(wire.client())

    for _ in range(2):
        (found,) = await approvals.of("sub-a")

    assert found.decider == "alice"
    assert [call.query["fieldSelector"] for call in wire.calls] == ["spec.proposal=sub-a"] * 2
    assert "labelSelector" not in wire.calls[0].query


async def test_a_decision_on_another_proposal_is_left_out_whoever_lists_it() -> None:
    assert await KubernetesApprovals(Scripted([page(proposal="sub-b")]).client()).of("sub-a") == []


async def test_a_decision_that_was_taken_back_decides_nothing_while_it_is_still_listed() -> None:
    code, body = page()
    body["items"][0]["metadata"]["deletionTimestamp"] = "2026-11-21T12:01:00Z"

    assert await KubernetesApprovals(Scripted([(code, body)]).client()).of("sub-a") == []


@pytest.mark.parametrize("odd", ["", "a,spec.decider=alice", "a=b", "sub-a\n", "!sub-a"])
async def test_what_could_be_read_as_another_selector_is_never_sent(odd: str) -> None:
    wire = Scripted([page()])

    assert await KubernetesApprovals(wire.client()).of(odd) == []
    assert wire.calls == []


@pytest.mark.parametrize("decision", ["", "Approve", "allow", None, True])
async def test_what_is_no_decision_is_no_answer(decision: object) -> None:
    with pytest.raises(Unavailable):
        await KubernetesApprovals(Scripted([page(decision=decision)]).client()).of("sub-a")


@pytest.mark.parametrize("code", [403, 404, 429, 500])
async def test_without_the_list_there_are_not_no_decisions(code: int) -> None:
    with pytest.raises(Upstream):
        await KubernetesApprovals(Scripted([(code, {})]).client()).of("sub-a")


async def test_who_one_is_is_what_the_api_server_says() -> None:
    wire = Scripted([(201, {"status": {"userInfo": {"username": "alice", "groups": ["x"]}}})])

    assert await own_name(wire.client()) == "alice"
    assert (wire.calls[0].method, wire.calls[0].changes) == ("POST", False)


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": {"userInfo": {}}}])
async def test_who_one_is_is_never_guessed(answer: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        await own_name(Scripted([(201, answer)]).client())

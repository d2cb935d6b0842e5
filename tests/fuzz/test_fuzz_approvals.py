"""Decisions as a cluster might hold them, twisted: only one that is right in every part lets a proposal through."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from mcp_agentspawn.adapters.kubernetes.approvals import KubernetesApprovals, object_of
from mcp_agentspawn.adapters.kubernetes.client import Client
from mcp_agentspawn.adapters.kubernetes.principals import Call
from mcp_agentspawn.adapters.kubernetes.transport import Answer
from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.guard import Rendered, decide
from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.guards.approval import ApprovalGuard
from tests.adapters.kubernetes.fake_api import Unstreamed
from tests.builders import NOON
from tests.fuzz.dice import Bounds, Dice, written
from tests.guards.cases import FixedFacts
from tests.guards.test_approval import case, yes

SOAK = bool(os.environ.get("SOAK"))
INPUTS = 20_000 if SOAK else 1_000
CREATED = NOON.isoformat().replace("+00:00", "Z")


@dataclass
class Said(Unstreamed):
    """An API server that answers every request with these bytes."""

    body: bytes

    async def send(self, call: Call) -> Answer:
        return Answer(200, self.body, retry_after=False)


class Facts(FixedFacts):
    """Facts about decisions as the adapter reads them."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._port = KubernetesApprovals(Client(Said(body)))

    async def approvals(self, proposal: str, *, fresh: bool = True) -> Any:
        return await self._port.of(proposal)


@pytest.mark.timeout(1800 if SOAK else 60)
async def test_only_a_decision_that_is_right_in_every_part_counts() -> None:
    bounds, seen = Bounds(INPUTS), Counter[str]()
    proposed = case("medium")
    for number in range(INPUTS):
        seed = f"approvals {number}"
        with bounds.one(seed):
            seen[await _judged(Dice(seed), proposed)] += 1
    bounds.check_memory()
    assert set(seen) == {"allowed", "denied", "pending_approval"}, seen


async def _judged(dice: Dice, proposed: Rendered) -> str:
    decision = yes(dice.choice(["alice", "bob", "system:serviceaccount:agents:orchestrator", "agentspawn:agents:x"]))
    right = _stored(decision)
    item = right if dice.random() < 0.1 else dice.mutated(right)
    page: Any = {"metadata": {}, "items": [item]}
    page = dice.mutated(page) if dice.random() < 0.2 else page
    body = dice.torn(written(page)) if dice.random() < 0.2 else written(page)
    facts = Facts(body)
    answer = await decide({"approval": partial(ApprovalGuard().check, proposed, facts)})
    if answer.outcome == "allowed":
        decisions = await facts.approvals(proposed.id)
        assert any(_is_right(one, decision) for one in decisions), (body, decisions)
    try:
        await facts._port.all()
    except Upstream:
        assert answer.outcome != "allowed"
    return answer.outcome


def _stored(decision: Approval) -> dict[str, Any]:
    document = object_of(decision)
    return {**document, "metadata": {**document["metadata"], "creationTimestamp": CREATED}}


def _is_right(found: Approval, decision: Approval) -> bool:
    """Whether it says what a person may say about this very proposal."""
    about: Mapping[str, str] = {"proposal": found.proposal, "uid": found.proposal_uid, "digest": found.digest}
    wanted = {"proposal": decision.proposal, "uid": decision.proposal_uid, "digest": decision.digest}
    person = isinstance(found.decider, str) and not found.decider.startswith(("system:", "agentspawn:"))
    in_time = found.decided_at is not None and found.decided_at <= NOON.replace(hour=13)
    return about == wanted and found.decision == "approve" and person and in_time

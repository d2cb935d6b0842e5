"""Approval by a person, as the tools see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mcp_agentspawn.core.model import Approval
from mcp_agentspawn.core.ports import Approvals
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze
from mcp_agentspawn.operations import apply as applying
from mcp_agentspawn.operations.answers import Applied, Pending, Proposed, Refusal
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, Bench, ask, bench, template
from tests.operations.trees import proposed


def asking(risk: str = "medium", **sections: Any) -> Bench:
    setup = bench(**sections)
    setup.rules.templates["researcher"] = template(risk=risk)
    return setup


async def decide(setup: Bench, made: Proposed, decider: str = "alice", **changes: Any) -> Approval:
    stored = await setup.world.proposals.get(made.proposal)
    assert stored
    approval = Approval(f"{stored.id}.{decider}", stored.id, stored.uid, stored.digest, "approve", decider)
    return await setup.world.approvals.create(replace(approval, **changes))


async def try_to_apply(setup: Bench, made: Proposed, wait_seconds: int = 0) -> Applied | Pending | Refusal:
    answer = await apply(setup.services, CALLER, made.proposal, made.digest, wait_seconds)
    await setup.services.later.settle()
    return answer


@dataclass
class DecidedWhileWaiting:
    """Approvals in which a person's decision appears when it is asked for the so-manyth time."""

    real: Approvals
    setup: Bench
    made: Proposed
    looks: int = 3

    async def of(self, proposal: str, *, fresh: bool = True) -> Sequence[Approval]:
        self.looks -= 1
        if self.looks == 0:
            await decide(self.setup, self.made)
        return await self.real.of(proposal)


async def test_a_proposal_that_asks_for_a_person_says_so_and_waits_an_hour() -> None:
    made = await proposed(asking())

    assert (made.outcome, made.risk, [reason.code for reason in made.reasons]) == (
        "pending_approval",
        "medium",
        ["approval.waiting"],
    )
    assert made.proposal_expires_at == "2026-11-21T13:00:00Z"


async def test_the_policy_says_how_long_a_person_is_waited_for() -> None:
    made = await proposed(asking(approval={"wait": "30m"}))

    assert made.proposal_expires_at == "2026-11-21T12:30:00Z"


async def test_nothing_is_created_before_a_person_approves() -> None:
    setup = asking()
    made = await proposed(setup)
    answer = await try_to_apply(setup, made)

    assert isinstance(answer, Pending)
    assert (answer.outcome, answer.proposal, answer.digest) == ("pending_approval", made.proposal, made.digest)
    assert await setup.world.agents.get("subagents", made.proposal) is None
    assert (await setup.world.ledgers.look(CALLER.root.name)).live == {}
    assert ("apply.held", "pending_approval") in setup.audit.events()


async def test_after_the_approval_it_is_created_and_the_audit_says_who_approved() -> None:
    setup = asking()
    made = await proposed(setup)
    await decide(setup, made)
    answer = await try_to_apply(setup, made)

    assert isinstance(answer, Applied)
    intent = next(record for record in setup.audit.records if record.event == "apply.intent")
    assert intent.details["approved_by"] == "alice"


async def test_high_risk_asks_two_different_people() -> None:
    setup = asking("high")
    made = await proposed(setup)
    await decide(setup, made, name="first")
    await decide(setup, made, name="second")
    assert isinstance(await try_to_apply(setup, made), Pending)
    await decide(setup, made, "bob")
    assert isinstance(await try_to_apply(setup, made), Applied)


async def test_a_denial_is_final() -> None:
    setup = asking()
    made = await proposed(setup)
    await decide(setup, made)
    await decide(setup, made, "bob", decision="deny")
    answer = await try_to_apply(setup, made)

    assert [reason.code for reason in answer.reasons] == ["approval.denied"]
    assert answer.outcome == "denied"


async def test_a_denied_proposal_stays_in_sight_so_that_the_same_is_not_asked_again() -> None:
    setup = asking()
    made = await proposed(setup)
    await decide(setup, made, decision="deny")
    refused = await retire(setup.services, CALLER, made.proposal)

    assert [reason.code for reason in refused.reasons] == ["approval.denied"]
    assert (await proposed(setup)).proposal == made.proposal


async def test_a_proposal_that_nobody_denied_can_be_withdrawn() -> None:
    setup = asking()
    made = await proposed(setup)

    assert (await retire(setup.services, CALLER, made.proposal)).outcome == "allowed"


async def test_a_decision_that_comes_while_it_is_waited_for_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "LOOK_EVERY_SECONDS", 0.001)
    setup = asking()
    made = await proposed(setup)
    waiting: Any = DecidedWhileWaiting(setup.world.approvals, setup, made)
    answer = await apply(replace(setup.services, approvals=waiting), CALLER, made.proposal, made.digest, 20)
    await setup.services.later.settle()

    assert isinstance(answer, Applied)
    assert ("apply.held", "pending_approval") not in setup.audit.events()


async def test_waiting_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "LOOK_EVERY_SECONDS", 0.3)
    setup = asking()
    made = await proposed(setup)

    assert isinstance(await try_to_apply(setup, made, 1), Pending)
    assert setup.audit.events().count(("apply.held", "pending_approval")) == 1


async def test_a_late_decision_revives_nothing() -> None:
    setup = asking()
    made = await proposed(setup)
    setup.clock.advance(minutes=60)
    await decide(setup, made)
    answer = await try_to_apply(setup, made)

    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("stale", ["proposal.expired"])


async def test_what_is_stale_is_stale_although_it_was_approved() -> None:
    setup = asking()
    made = await proposed(setup)
    await decide(setup, made)
    setup.rules.templates["researcher"] = template(risk="medium", description="Another one.")
    answer = await try_to_apply(setup, made)

    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("stale", ["proposal.template_changed"])


async def test_an_approval_satisfies_no_other_guard() -> None:
    setup = asking(quota={"live_per_root": 0})
    made = await proposed(setup)
    await decide(setup, made)
    answer = await try_to_apply(setup, made)

    assert [reason.code for reason in answer.reasons] == ["quota.live_per_root"]


async def test_the_same_request_is_the_same_proposal_and_still_asks() -> None:
    setup = asking()
    made = await proposed(setup)

    assert await proposed(setup) == made


async def test_a_flood_of_proposals_that_ask_ends_at_the_callers_limit() -> None:
    setup = asking(rate={"changes_per_minute": 100})
    made = [await propose(setup.services, CALLER, ask(purpose=f"Number {n}")) for n in range(6)]

    assert [answer.outcome for answer in made] == ["pending_approval"] * 5 + ["denied"]
    assert [reason.code for reason in made[-1].reasons] == ["quota.open_proposals"]


async def test_while_spawning_is_frozen_nothing_is_proposed_or_applied() -> None:
    setup = asking("low")
    made = await proposed(setup)
    await setup.world.switchboard.set(Freeze(EVERYWHERE, frozen=True, reason="incident", by="alice"))
    refused = await try_to_apply(setup, made)
    again = await propose(setup.services, CALLER, ask(purpose="Something else"))

    assert [reason.code for reason in (*refused.reasons, *again.reasons)] == ["freeze.frozen"] * 2
    await setup.world.switchboard.set(Freeze(EVERYWHERE, frozen=False, by="alice"))
    assert isinstance(await try_to_apply(setup, made), Applied)

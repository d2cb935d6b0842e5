import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Caller, Proposal
from mcp_agentspawn.operations.answers import Applied, Proposed, Refusal
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, OTHER, ROOT, Bench, ask, bench, template
from tests.guards.cases import ledger
from tests.operations.doubles import OldLook, failing


async def proposed(setup: Bench, caller: Caller = CALLER, **changes: Any) -> Proposed:
    answer = await propose(setup.services, caller, ask(**changes))
    assert isinstance(answer, Proposed), answer.reasons
    await setup.services.later.settle()
    return answer


async def refused(setup: Bench, caller: Caller = CALLER, **changes: Any) -> list[str]:
    answer = await propose(setup.services, caller, ask(**changes))
    assert isinstance(answer, Refusal)
    assert answer.outcome == "denied"
    assert answer.next_step
    return [reason.code for reason in answer.reasons]


async def test_a_proposal_is_frozen_and_handed_out() -> None:
    setup = bench()
    answer = await proposed(setup)
    stored = await setup.world.proposals.get(answer.proposal)

    assert stored is not None
    assert (stored.digest, stored.phase, stored.root) == (answer.digest, "proposed", ROOT.name)
    assert json.loads(stored.manifest) == answer.manifest
    assert answer.proposal_expires_at == "2026-11-21T12:15:00Z"
    assert answer.manifest["metadata"]["name"] == answer.proposal
    assert setup.audit.events() == [("proposal.intent", ""), ("proposal.outcome", "allowed")]


async def test_the_same_request_is_one_proposal() -> None:
    setup = bench()
    first, second = await proposed(setup), await proposed(setup)
    at_once = await asyncio.gather(*(proposed(setup, purpose="At once") for _ in range(5)))

    assert first == second
    assert len({answer.proposal for answer in at_once}) == 1
    assert len((await setup.world.ledgers.look(ROOT.name)).changes) == 2


async def test_other_requests_and_other_callers_get_proposals_of_their_own() -> None:
    setup = bench()
    answers = [await proposed(setup), await proposed(setup, purpose="Other"), await proposed(setup, Caller(OTHER))]

    assert len({answer.proposal for answer in answers}) == 3


async def test_an_expired_proposal_is_not_found_again() -> None:
    setup = bench()
    first = await proposed(setup)
    setup.clock.advance(minutes=15)

    assert (await proposed(setup)).proposal != first.proposal


async def test_a_changed_template_makes_it_another_request() -> None:
    setup = bench()
    first = await proposed(setup)
    setup.rules.templates["researcher"] = template(description="Changed.")

    assert (await proposed(setup)).proposal != first.proposal


async def test_nothing_is_stored_for_what_is_refused() -> None:
    setup = bench()

    assert await refused(setup, template="unknown") == ["template.not_allowed"]
    assert await refused(setup, model="gpt-9") == ["manifest.model_not_allowed"]
    assert await refused(setup, registry_entry="somewhere") == ["registry.unknown_entry"]
    assert await setup.world.proposals.all() == []
    assert {event for event, _ in setup.audit.events()} == {"refused"}


async def test_without_exactly_one_policy_nothing_is_proposed() -> None:
    setup = bench()
    setup.rules.policies["second"] = setup.rules.policies["default"]

    assert await refused(setup) == ["policy.none"]


async def test_open_proposals_are_limited_for_new_requests_only() -> None:
    setup = bench(quota={"open_proposals": 1})
    first = await proposed(setup)

    assert await refused(setup, purpose="Second") == ["quota.open_proposals"]
    assert (await proposed(setup)).proposal == first.proposal
    assert setup.services.later.wanted.is_set()


async def test_concurrent_requests_take_exactly_the_places_there_are() -> None:
    setup = bench(quota={"open_proposals": 3}, rate={"changes_per_minute": 100})
    answers = await asyncio.gather(*(propose(setup.services, CALLER, ask(purpose=f"N {n}")) for n in range(20)))

    assert sum(isinstance(answer, Proposed) for answer in answers) == 3
    assert len(await setup.world.proposals.all()) == 3


async def test_changes_are_limited_by_the_minute() -> None:
    setup = bench(rate={"changes_per_minute": 2})
    await proposed(setup, purpose="One")
    await proposed(setup, purpose="Two")

    assert await refused(setup, purpose="Three") == ["rate.changes_per_minute"]
    setup.clock.advance(seconds=60)
    await proposed(setup, purpose="Three")


async def test_without_an_audit_nothing_changes() -> None:
    setup = bench()
    setup.audit.failing = Unavailable("disk full")

    with pytest.raises(Unavailable):
        await propose(setup.services, CALLER, ask())
    assert await setup.world.proposals.all() == []
    assert (await setup.world.ledgers.look(ROOT.name)).open == {}


async def test_a_request_that_was_interrupted_before_it_was_stored_goes_on_under_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench(quota={"open_proposals": 1})
    create = setup.world.proposals.create
    monkeypatch.setattr(setup.world.proposals, "create", failing(Unavailable("gone")))
    with pytest.raises(Unavailable):
        await propose(setup.services, CALLER, ask())
    monkeypatch.setattr(setup.world.proposals, "create", create)
    opened = (await setup.world.ledgers.look(ROOT.name)).open

    assert [entry.proposal for entry in opened.values()] == [(await proposed(setup)).proposal]
    held = await setup.world.ledgers.look(ROOT.name)
    intents = [number for number, event in enumerate(setup.audit.events(), 1) if event[0] == "proposal.intent"]
    assert len(held.changes) == 1
    assert [head.sequence for head in held.audit.values()] == intents[-1:]  # each change bears where the audit stood


async def test_a_store_that_refuses_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    monkeypatch.setattr(setup.world.proposals, "create", failing(Refused("invalid", "no")))

    assert await refused(setup) == ["proposal.invalid"]
    ledger = await setup.world.ledgers.look(ROOT.name)
    assert (ledger.open, len(ledger.changes)) == ({}, 1)


async def test_another_replica_that_stored_the_same_request_first_is_no_conflict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    create = setup.world.proposals.create

    async def stored_already(proposal: Proposal) -> Proposal:
        await create(proposal)
        raise Conflict("taken")

    monkeypatch.setattr(setup.world.proposals, "create", stored_already)
    assert (await proposed(setup)).phase == "proposed"


async def test_a_strangers_proposal_of_the_same_id_is_never_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    monkeypatch.setattr(setup.world.proposals, "create", failing(Conflict("taken")))

    with pytest.raises(Conflict):
        await propose(setup.services, CALLER, ask())


@pytest.mark.parametrize("opened_by_others", [0, 1])
async def test_a_request_that_another_replica_has_just_opened_is_found_although_the_limit_is_reached(
    opened_by_others: int,
) -> None:
    setup = bench(quota={"open_proposals": 1})
    first = await proposed(setup)
    old = OldLook(setup.world.ledgers, ledger(opened=opened_by_others))
    answer = await propose(replace(setup.services, ledgers=old), CALLER, ask())

    assert isinstance(answer, Proposed)
    assert answer.proposal == first.proposal


async def test_a_limit_that_another_replica_has_just_reached_is_kept() -> None:
    setup = bench(quota={"open_proposals": 1})
    await proposed(setup, purpose="First")
    old = OldLook(setup.world.ledgers, ledger())
    answer = await propose(replace(setup.services, ledgers=old), CALLER, ask())

    assert [reason.code for reason in answer.reasons] == ["quota.open_proposals"]
    assert len(await setup.world.proposals.all()) == 1


async def test_a_request_that_two_replicas_open_at_once_is_stored_under_the_first_id() -> None:
    setup = bench()
    first = await proposed(setup)
    stored = setup.world.proposals._stored.pop(first.proposal)
    old = OldLook(setup.world.ledgers, ledger())
    answer = await propose(replace(setup.services, ledgers=old), CALLER, ask())

    assert isinstance(answer, Proposed)
    assert (answer.proposal, answer.digest) == (first.proposal, stored.digest)


async def test_a_withdrawn_proposal_whose_place_was_not_freed_is_not_handed_out_again() -> None:
    setup = bench()
    first = await proposed(setup)
    stored = await setup.world.proposals.get(first.proposal)
    assert stored is not None
    await setup.world.proposals.mark(stored, "lapsed", reason="withdrawn")
    second = await proposed(setup)

    assert second.proposal != first.proposal
    opened = (await setup.world.ledgers.look(ROOT.name)).open.values()
    assert [entry.proposal for entry in opened] == [second.proposal]


async def test_a_proposal_that_another_replica_has_just_retired_is_not_handed_out_again() -> None:
    setup = bench()
    first = await proposed(setup)
    old = await setup.world.ledgers.look(ROOT.name)
    await setup.world.ledgers.change(ROOT.name, lambda ledger: (ledger.closed(first.proposal), None))
    services = replace(setup.services, ledgers=OldLook(setup.world.ledgers, old))
    second = await propose(services, CALLER, ask())

    assert isinstance(second, Proposed)
    assert second.proposal != first.proposal


async def withdrawn_amid_its_apply(setup: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """A proposal that has ended while its place stays taken: its agent may still come."""
    made = await proposed(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(UnknownOutcome("on its way")))
        with pytest.raises(UnknownOutcome):
            await apply(setup.services, CALLER, made.proposal, made.digest)
    await retire(setup.services, CALLER, made.proposal)
    return made.proposal


async def test_what_was_withdrawn_amid_its_apply_is_not_handed_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    ended = [await withdrawn_amid_its_apply(setup, monkeypatch) for _ in range(2)]
    again = await proposed(setup)
    held = await setup.world.ledgers.look(ROOT.name)

    assert len({*ended, again.proposal}) == 3
    assert (again.phase, (await proposed(setup)).proposal) == ("proposed", again.proposal)
    assert (set(held.live), held.is_open(again.proposal)) == (set(ended), True)


async def test_what_ends_while_it_is_found_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    first, store = await proposed(setup), setup.world.proposals.get

    async def ends_now(id_: str) -> Proposal | None:
        stored = await store(id_)
        monkeypatch.setattr(setup.world.proposals, "get", store)
        return await setup.world.proposals.mark(stored, "lapsed") if stored else None

    setup.services = replace(setup.services, ledgers=OldLook(setup.world.ledgers, ledger()))
    monkeypatch.setattr(setup.world.proposals, "get", ends_now)
    answer = await proposed(setup)

    assert (answer.phase, answer.proposal == first.proposal) == ("proposed", False)


async def test_what_is_stored_at_a_second_try_stays_open_for_as_long_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "create", failing(Unavailable("gone")))
        with pytest.raises(Unavailable):
            await proposed(setup)
    setup.clock.advance(minutes=14)
    answer = await proposed(setup)
    setup.clock.advance(minutes=14)

    assert answer.proposal_expires_at == "2026-11-21T12:29:00Z"
    assert isinstance(await apply(setup.services, CALLER, answer.proposal, answer.digest), Applied)
    await setup.services.later.settle()

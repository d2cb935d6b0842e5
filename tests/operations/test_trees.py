"""Subagents that spawn: who sees and retires what, and how a whole tree goes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable
from mcp_agentspawn.core.model import Approval, Caller
from mcp_agentspawn.operations import retire as module
from mcp_agentspawn.operations.answers import Found, Listing, Refusal, Retired
from mcp_agentspawn.operations.browse import get_subagent, list_subagents
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, OTHER, ROOT, Bench, ask
from tests.operations.doubles import failing
from tests.operations.faulty_ports import Killed
from tests.operations.trees import (
    HOME,
    agent_of,
    deleted_by_hand,
    grove,
    held,
    line,
    proposed,
    repaired,
    retired,
    spawned,
    standing,
    stored_as,
    tried,
    under,
)


def only_for(id_: str, real: Callable[..., Any], other: Callable[..., Any]) -> Any:
    """The other method when it is about this id, the real one otherwise."""

    async def method(*arguments: Any, **words: Any) -> Any:
        about = id_ in [getattr(argument, "id", argument) for argument in arguments]
        return await (other if about else real)(*arguments, **words)

    return method


async def seen_by(setup: Bench, caller: Caller) -> set[str]:
    answer = await list_subagents(setup.services, caller)
    assert isinstance(answer, Listing)
    return {entry.agent for entry in answer.subagents}


async def refused(setup: Bench, caller: Caller, agent: str) -> list[str]:
    answer = await retire(setup.services, caller, agent)
    assert isinstance(answer, Refusal)
    return [reason.code for reason in answer.reasons]


async def test_a_subagent_sees_what_is_below_it_and_a_root_sees_all() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    sibling = await spawned(setup, purpose="Of the root")
    waiting = (await proposed(setup, parent=lead, purpose="Waiting")).proposal

    assert await seen_by(setup, CALLER) == {director, lead, researcher, sibling, waiting}
    assert await seen_by(setup, under(director)) == {lead, researcher, waiting}
    assert await seen_by(setup, under(lead)) == {researcher, waiting}
    assert await seen_by(setup, under(researcher)) == set()


async def test_what_is_not_below_a_subagent_does_not_exist_for_it() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    sibling = await spawned(setup, "lead", director, purpose="A sibling")
    before = await standing(setup)

    for not_own in (director, lead, sibling, "sub-researcher-nothing"):
        answer = await get_subagent(setup.services, under(lead), not_own)
        assert isinstance(answer, Refusal)
        assert await refused(setup, under(lead), not_own) == ["agent.unknown"]
    assert await refused(setup, Caller(OTHER), lead) == ["agent.unknown"]
    assert await standing(setup) == before
    found = await get_subagent(setup.services, under(lead), researcher)
    assert isinstance(found, Found)
    assert found.parent == lead


async def test_a_proposal_is_applied_by_the_one_who_made_it() -> None:
    setup = grove()
    director, lead, _ = await line(setup)
    made = await proposed(setup, parent=lead, purpose="Mine")

    for other in (director, ""):
        answer = await tried(setup, made, other)
        assert [reason.code for reason in answer.reasons] == ["proposal.unknown"]
    assert (await tried(setup, made, lead)).outcome == "allowed"


async def test_what_a_subagent_would_spawn_beyond_its_grant_is_refused_with_every_reason() -> None:
    setup = grove()
    lead = await spawned(setup, "lead", tools=("web-search/search",), lifetime_minutes=10)
    wide = ask(template="lead", tools=("web-search/fetch",), model="fast-model-config", lifetime_minutes=60)
    answer = await propose(setup.services, under(lead), wide)

    codes = {reason.code for reason in answer.reasons}
    assert codes == {"lineage.tool", "lineage.model", "lineage.lifetime", "lineage.depth"}


async def test_a_tree_is_retired_leaf_first() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    beside = await spawned(setup, purpose="Beside")
    answer = await retired(setup, director)

    assert (answer.phase, answer.retired, answer.not_yet) == ("retired", (researcher, lead, director), ())
    assert (await standing(setup), await held(setup)) == ({beside}, {beside})
    assert setup.world.keyring.tokens == {}
    assert [(await stored_as(setup, id_)).phase for id_ in (director, lead, researcher)] == ["retired"] * 3
    intents = [record.subject for record in setup.audit.records if record.event == "retire.intent"]
    outcomes = [record.subject for record in setup.audit.records if record.event == "retire.outcome"]
    assert intents == [researcher, lead, director]
    assert sorted(outcomes) == sorted(intents)


async def test_a_subagent_retires_what_is_below_it_and_stays() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)

    assert (await retired(setup, lead, parent=director)).retired == (researcher, lead)
    assert await standing(setup) == {director}


async def test_open_proposals_of_a_retired_subagent_are_withdrawn() -> None:
    setup = grove()
    director, lead, _ = await line(setup)
    made = await proposed(setup, parent=lead, purpose="Waiting")
    answer = await retired(setup, director)

    assert made.proposal in answer.retired
    assert (await stored_as(setup, made.proposal)).phase == "lapsed"
    assert (await setup.world.ledgers.look(ROOT.name)).open == {}


async def test_one_that_was_reserved_by_a_retired_subagent_takes_its_own_agent_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    made = await proposed(setup, parent=lead)
    create, begun, may_go_on = setup.world.agents.create, asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: Any) -> Any:
        begun.set()
        await may_go_on.wait()
        return await create(*arguments)

    monkeypatch.setattr(setup.world.agents, "create", slowly)
    async with asyncio.TaskGroup() as group:
        group.create_task(tried(setup, made, lead))
        await begun.wait()
        answer = await retire(setup.services, CALLER, lead)
        may_go_on.set()
    await setup.services.later.settle()

    assert isinstance(answer, Retired)
    assert answer.retired == (made.proposal, lead)
    assert (await standing(setup), await held(setup)) == (set(), set())


async def test_one_that_was_made_while_its_parent_was_retired_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    delete = setup.world.agents.delete

    async def busy(*arguments: Any) -> bool:
        """It was judged before its parent was kept from spawning, and is made only now."""
        fenced = await setup.world.proposals.mark(await stored_as(setup, lead), "starting")
        await spawned(setup, parent=lead, purpose="At the last moment")
        await setup.world.proposals.mark(fenced, "retiring")
        return await delete(*arguments)

    monkeypatch.setattr(setup.world.agents, "delete", only_for(lead, delete, busy))
    answer = await retired(setup, lead)

    assert (len(answer.retired), answer.retired[:2]) == (3, (researcher, lead))
    assert (await standing(setup), await held(setup)) == ({director}, {director})


async def test_retiring_goes_on_where_it_ended_although_the_top_is_long_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    delete = setup.world.agents.delete
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "delete", only_for(lead, delete, failing(Unavailable("no answer"))))
        first = await retired(setup, director)
    second = await retired(setup, director)

    assert (first.phase, first.retired, first.not_yet) == ("retiring", (researcher, director), (lead,))
    assert [reason.code for reason in first.reasons] == ["agent.unanswered"]
    assert ("retire.outcome", "unknown") in setup.audit.events()
    assert (second.phase, second.retired, second.not_yet) == ("retired", (lead, director), ())
    assert await standing(setup) == set()


async def test_a_refusal_about_one_is_said_and_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    children = [await spawned(setup, parent=lead, purpose=f"Number {number}") for number in range(3)]
    delete = setup.world.agents.delete
    no = failing(Refused("forbidden.policy", "no"))
    monkeypatch.setattr(setup.world.agents, "delete", only_for(children[1], delete, no))
    answer = await retired(setup, lead)

    assert (answer.phase, answer.not_yet) == ("retiring", (children[1],))
    assert set(answer.retired) == {lead, children[0], children[2]}
    assert [reason.code for reason in answer.reasons] == ["access.forbidden.policy"]


async def test_a_caller_without_rights_removes_nothing_of_its_tree_and_has_nobody_else_remove_it() -> None:
    setup = grove()
    director, _, _ = await line(setup)
    before, stored = await standing(setup), await stored_as(setup, director)
    setup.world.agents.may_write.clear()

    assert await refused(setup, CALLER, director) == ["access.forbidden.rbac"]
    assert await stored_as(setup, director) == stored  # never marked, so no pass in between takes it for retiring
    assert await repaired(setup) == []
    assert await standing(setup) == before
    setup.world.agents.may_write.add(ROOT)
    assert (await tried(setup, await proposed(setup, parent=director), director)).outcome == "allowed"


async def test_a_tree_whose_root_loses_its_rights_while_it_goes_goes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    delete = setup.world.agents.delete
    no = failing(Refused("forbidden.rbac", "no"))
    monkeypatch.setattr(setup.world.agents, "delete", only_for(director, delete, no))
    answer = await retired(setup, director)

    assert (answer.phase, answer.retired, answer.not_yet) == ("retiring", (researcher, lead), (director,))
    assert [reason.code for reason in answer.reasons] == ["access.forbidden.rbac"]
    assert await repaired(setup) == [("finish", director)]


async def test_what_comes_into_quarantine_just_before_it_is_fenced_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, _, _ = await line(setup)

    async def suspected(*_: object) -> None:
        await setup.world.proposals.mark(await stored_as(setup, director), "quarantined", reason="drift")

    monkeypatch.setattr(setup.world.agents, "trial_delete", suspected)
    assert await refused(setup, CALLER, director) == ["agent.quarantined"]
    assert director in await standing(setup)


async def test_while_a_tree_goes_its_topmost_spawns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, _ = await line(setup)
    delete = setup.world.agents.delete
    answers: list[Any] = []

    async def busy(*arguments: Any) -> bool:
        answers.append(await propose(setup.services, under(director), ask(template="lead", purpose="One more")))
        return await delete(*arguments)

    monkeypatch.setattr(setup.world.agents, "delete", only_for(lead, delete, busy))
    await retired(setup, director)
    assert [reason.code for reason in answers[0].reasons] == ["lineage.parent_retiring"]


async def test_a_retirement_that_was_interrupted_is_gone_on_with_by_the_reconciler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "delete", failing(Killed()))
        with pytest.raises(Killed):
            await retire(setup.services, CALLER, director)

    assert (await stored_as(setup, director)).phase == "retiring"
    assert await repaired(setup) == [("orphan", researcher), ("orphan", lead), ("finish", director)]
    assert (await standing(setup), await held(setup)) == (set(), set())


async def test_the_fence_holds_although_its_mark_came_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, _, _ = await line(setup)
    get, reads = setup.world.proposals.get, iter([True])

    async def too_early(id_: str) -> Any:
        found = await get(id_)
        return replace(found, version="0") if found and id_ == director and next(reads, False) else found

    monkeypatch.setattr(setup.world.proposals, "get", too_early)
    assert (await retired(setup, director)).phase == "retired"


@pytest.mark.parametrize("became", [None, "retired"])
async def test_a_proposal_that_has_ended_meanwhile_needs_no_fence(
    monkeypatch: pytest.MonkeyPatch, became: str | None
) -> None:
    setup = grove()
    director, _, _ = await line(setup)
    stored = await stored_as(setup, director)
    ended = replace(stored, phase=became) if became else None  # type: ignore[arg-type]  # one of the phases
    reads = iter([stored, ended])
    get = setup.world.proposals.get

    async def as_scripted(id_: str) -> Any:
        return next(reads, None) if id_ == director else await get(id_)

    monkeypatch.setattr(setup.world.proposals, "get", as_scripted)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.proposals, "mark", failing(Conflict("changed")))
        answer = await retire(setup.services, CALLER, director)
    assert isinstance(answer, Retired)
    assert director in answer.retired


async def test_a_decision_against_a_proposal_that_could_spawn_is_not_its_callers_to_remove() -> None:
    setup = grove()
    made = await proposed(setup, "lead")
    stored = await stored_as(setup, made.proposal)
    no = Approval(f"{made.proposal}.alice", made.proposal, stored.uid, stored.digest, "deny", "alice", "no")
    await setup.world.approvals.create(no)

    assert await refused(setup, CALLER, made.proposal) == ["approval.denied"]
    assert await stored_as(setup, made.proposal) == stored


async def test_what_there_is_no_time_for_is_left_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    monkeypatch.setattr(module, "ENDS_WITHIN_SECONDS", 0.0)
    answer = await retired(setup, director)

    assert (answer.phase, answer.retired) == ("retiring", (director,))
    assert [reason.code for reason in answer.reasons] == ["agent.unanswered"]
    assert await repaired(setup) == [("orphan", researcher), ("orphan", lead)]


async def test_evidence_is_not_its_callers_to_remove() -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    for id_ in (researcher, lead):
        await setup.world.proposals.mark(await stored_as(setup, id_), "quarantined", reason="drift")

    assert await refused(setup, CALLER, researcher) == ["agent.quarantined"]
    assert await refused(setup, under(director), lead) == ["agent.quarantined"]
    answer = await retired(setup, director)
    assert (answer.retired, set(answer.not_yet)) == ((director,), {researcher, lead})
    assert [reason.code for reason in answer.reasons] == ["agent.quarantined"]
    await repaired(setup)
    assert await standing(setup) == {researcher, lead}


async def test_what_is_below_and_can_not_be_listed_is_not_called_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, _ = await line(setup)
    monkeypatch.setattr(module, "children", failing(Unavailable("no answer")))
    answer = await retired(setup, director)

    assert (answer.phase, answer.retired) == ("retiring", (director,))
    assert [reason.code for reason in answer.reasons] == ["agent.unanswered"]
    assert lead in await held(setup)


async def test_what_does_not_go_in_time_is_not_yet_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    monkeypatch.setattr(module, "ENDS_WITHIN_SECONDS", 0.4)
    monkeypatch.setattr(module, "LEFT_FOR_THE_TOP_SECONDS", 0.2)

    async def never(*_: object) -> bool:
        await asyncio.Event().wait()
        raise AssertionError

    delete = setup.world.agents.delete
    monkeypatch.setattr(setup.world.agents, "delete", only_for(lead, delete, never))
    answer = await retired(setup, director)

    assert (answer.phase, answer.retired, answer.not_yet) == ("retiring", (researcher, director), (lead,))
    assert await held(setup) == {lead}


async def test_one_that_is_on_its_way_out_is_not_yet_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    monkeypatch.setattr(module, "GONE_WITHIN_SECONDS", 0.0)

    async def on_its_way(*_: object) -> bool:
        return False

    delete = setup.world.agents.delete
    monkeypatch.setattr(setup.world.agents, "delete", only_for(lead, delete, on_its_way))
    answer = await retired(setup, director)

    assert (answer.phase, answer.retired, answer.not_yet) == ("retiring", (researcher, director), (lead,))
    assert setup.services.later.wanted.is_set()


async def test_one_that_is_gone_by_the_time_it_is_looked_at_is_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, _ = await line(setup)
    delete = setup.world.agents.delete

    async def and_forget(*arguments: Any) -> bool:
        gone = await delete(*arguments)
        stored = await stored_as(setup, lead)
        await setup.world.proposals.delete(stored)
        return gone

    monkeypatch.setattr(setup.world.agents, "delete", only_for(director, delete, and_forget))
    get = setup.world.agents.get

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(setup.world.agents, "get", only_for(lead, get, nothing))
    assert lead in (await retired(setup, director)).retired


async def test_a_proposal_that_is_gone_while_it_is_withdrawn_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    made = await proposed(setup)
    mark = setup.world.proposals.mark

    async def forgotten(*arguments: Any, **words: Any) -> Any:
        await setup.world.proposals.delete(await stored_as(setup, made.proposal))
        return await mark(*arguments, **words)

    monkeypatch.setattr(setup.world.proposals, "mark", forgotten)
    assert await refused(setup, CALLER, made.proposal) == ["agent.unknown"]


async def test_an_agent_that_was_made_between_two_looks_is_not_called_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    agent = await spawned(setup)
    get, looks = setup.world.agents.get, iter([True])

    async def too_early(*arguments: Any) -> Any:
        return None if next(looks, False) else await get(*arguments)

    monkeypatch.setattr(setup.world.agents, "get", too_early)
    assert (await retired(setup, agent)).phase == "retired"
    assert await standing(setup) == set()


async def test_a_line_that_goes_in_a_circle_leads_nowhere_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    stored = {id_: await stored_as(setup, id_) for id_ in (director, lead, researcher)}
    circle = {**stored, director: replace(stored[director], parent=lead)}

    async def get(id_: str) -> Any:
        return circle.get(id_)

    async def of_root(_: object) -> Any:
        return list(circle.values())

    monkeypatch.setattr(setup.world.proposals, "get", get)
    monkeypatch.setattr(setup.world.proposals, "of_root", of_root)
    assert await seen_by(setup, under(director)) == {lead, researcher}
    assert await refused(setup, under(researcher), lead) == ["agent.unknown"]
    assert await refused(setup, under("sub-elsewhere"), lead) == ["agent.unknown"]


async def test_a_line_that_leads_out_of_the_tree_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    director, lead, researcher = await line(setup)
    stored = await stored_as(setup, lead)
    get = setup.world.proposals.get

    async def another_roots(*_: object) -> Any:
        return replace(stored, root=OTHER.name)

    monkeypatch.setattr(setup.world.proposals, "get", only_for(lead, get, another_roots))
    assert await refused(setup, under(director), researcher) == ["agent.unknown"]


async def test_an_agent_of_another_kind_of_owner_is_never_removed() -> None:
    setup = grove()
    agent = await spawned(setup)
    manifest = dict((await agent_of(setup, agent)).manifest)
    await deleted_by_hand(setup, agent)
    metadata = manifest["metadata"] | {"annotations": {}}
    setup.world.agents.put(HOME, manifest | {"metadata": metadata})

    assert await refused(setup, Caller(OTHER), agent) == ["agent.unknown"]
    assert await setup.world.agents.get(HOME, agent) is not None

from typing import Any

import pytest

from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.switches import Reset
from mcp_agentspawn.operations.answers import Found, Listing, Proposed, Refusal, Templates
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.browse import get_subagent, list_subagents, list_templates
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, OTHER, ROOT, Bench, ask, bench, registry_bench, template
from tests.operations.doubles import failing


async def proposed(setup: Bench, purpose: str = "Find out", caller: Caller = CALLER) -> Proposed:
    made = await propose(setup.services, caller, ask(purpose=purpose))
    assert isinstance(made, Proposed)
    return made


async def spawned(setup: Bench, purpose: str) -> str:
    made = await proposed(setup, purpose)
    await apply(setup.services, CALLER, made.proposal, made.digest)
    await setup.services.later.settle()
    return made.proposal


async def listing(setup: Bench, caller: Caller = CALLER) -> Listing:
    answer = await list_subagents(setup.services, caller)
    assert isinstance(answer, Listing)
    return answer


async def found(setup: Bench, agent: str) -> Found:
    answer = await get_subagent(setup.services, CALLER, agent)
    assert isinstance(answer, Found), answer.reasons
    return answer


async def test_a_caller_sees_its_tree_and_its_open_proposals() -> None:
    setup = bench()
    agent, made = await spawned(setup, "Running"), await proposed(setup, "Waiting")
    await proposed(setup, "Not yours", Caller(OTHER))
    setup.world.agents.set_ready("subagents", agent)
    await repair(setup.services)
    entries = {entry.agent: entry for entry in (await listing(setup)).subagents}

    assert {id_: entry.phase for id_, entry in entries.items()} == {agent: "ready", made.proposal: "proposed"}
    assert entries[made.proposal].digest == made.digest
    assert entries[made.proposal].proposal_expires_at == "2026-11-21T12:15:00Z"
    assert entries[agent].a2a_url == f"http://{agent}.subagents:8080/"
    assert (entries[agent].purpose, entries[agent].tools) == ("Running", ("web-search/search",))


async def test_what_is_over_is_not_listed_but_can_be_looked_at() -> None:
    setup = bench()
    agent, made = await spawned(setup, "Running"), await proposed(setup, "Waiting")
    await retire(setup.services, CALLER, agent)
    await retire(setup.services, CALLER, made.proposal)
    await setup.services.later.settle()

    assert (await listing(setup)).subagents == ()
    assert ((await found(setup, agent)).phase, (await found(setup, made.proposal)).phase) == ("retired", "lapsed")


async def test_an_expired_proposal_is_not_listed() -> None:
    setup = bench()
    await proposed(setup)
    setup.clock.advance(minutes=15)

    assert (await listing(setup)).subagents == ()


async def test_a_reserved_proposal_is_being_created(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposed(setup)
    monkeypatch.setattr(setup.world.agents, "create", failing(OSError("crash")))
    with pytest.raises(OSError, match="crash"):
        await apply(setup.services, CALLER, made.proposal, made.digest)

    assert [entry.phase for entry in (await listing(setup)).subagents] == ["creating"]
    assert (await found(setup, made.proposal)).phase == "creating"


async def test_an_agent_that_was_deleted_by_hand_is_retired() -> None:
    setup = bench()
    agent = await spawned(setup, "Running")
    await setup.world.agents.expire("subagents", agent, (await found(setup, agent)).uid)

    assert (await found(setup, agent)).phase == "retired"


@pytest.mark.parametrize("caller", [CALLER, Caller(OTHER)])
async def test_what_is_not_the_callers_does_not_exist_for_it(caller: Caller) -> None:
    setup = bench()
    made = await proposed(setup)
    wanted = "sub-researcher-nothing" if caller == CALLER else made.proposal
    answer = await get_subagent(setup.services, caller, wanted)

    assert isinstance(answer, Refusal)
    assert [reason.code for reason in answer.reasons] == ["agent.unknown"]


async def test_the_allowance_says_what_is_left() -> None:
    setup = bench(quota={"open_proposals": 2, "live_per_parent": 1, "live_per_root": 9, "spawned_per_root_per_day": 3})
    await spawned(setup, "Running")
    await proposed(setup, "Waiting")
    left = (await listing(setup)).allowance

    assert (left.open_proposals, left.live_subagents, left.spawns_today, left.changes_this_minute) == (1, 0, 2, 7)


async def test_an_allowance_is_never_below_nothing() -> None:
    setup = bench()
    await proposed(setup)
    setup.rules.policies["default"] = bench(quota={"open_proposals": 0}).rules.policies["default"]

    assert (await listing(setup)).allowance.open_proposals == 0


async def test_templates_are_shown_with_what_they_take() -> None:
    setup = bench()
    answer = await list_templates(setup.services, CALLER)

    assert isinstance(answer, Templates)
    (offer,) = answer.templates
    assert (offer.name, offer.risk, offer.needs_approval) == ("researcher", "low", False)
    assert (offer.default_lifetime_minutes, offer.most_lifetime_minutes) == (30, 240)
    assert offer.parameters[0] == "topic (string, required, minLength 3, maxLength 200): What to look into"
    assert (offer.tools, offer.default_tools) == (("web-search/search", "web-search/fetch"), ("web-search/search",))


async def test_a_template_that_an_entry_fills_says_what_is_not_to_be_given_and_whom_it_asks() -> None:
    setup = registry_bench(template={"allow": ["registry-worker", "registry-image"]})
    answer = await list_templates(setup.services, CALLER)

    assert isinstance(answer, Templates)
    image, worker = answer.templates
    assert image.parameters == ("image (not yours to give: the image of the registry_entry that you name)",)
    assert worker.parameters[1] == "role (not yours to give: the instructions of the registry_entry that you name)"
    assert [(offer.risk, offer.models[:1]) for offer in (worker, image)] == [
        ("medium", ("default-model-config",)),
        ("high", ()),
    ]


async def test_only_templates_that_policy_and_rbac_let_a_caller_use_are_shown() -> None:
    setup = bench(template={"allow": ["researcher", "verifier", "missing"]})
    setup.rules.templates["verifier"] = template("verifier")
    setup.rules.templates["unlisted"] = template("unlisted")
    answer = await list_templates(setup.services, CALLER)
    setup.world.access.granted.clear()
    nothing = await list_templates(setup.services, CALLER)

    assert isinstance(answer, Templates)
    assert isinstance(nothing, Templates)
    assert [offer.name for offer in answer.templates] == ["researcher"]
    assert nothing.templates == ()


async def test_without_a_policy_there_is_nothing_to_see() -> None:
    setup = bench()
    setup.rules.policies.clear()
    answers = [await list_subagents(setup.services, CALLER), await list_templates(setup.services, CALLER)]

    assert [[reason.code for reason in answer.reasons] for answer in answers] == [["policy.none"], ["policy.none"]]


@pytest.mark.parametrize(
    ("sections", "changes", "risk"),
    [
        ({}, {}, "low"),
        ({"approval": {"at_least": "high"}}, {}, "high"),
        ({"approval": {"long_life": "10m"}}, {}, "medium"),
        ({}, {"depth": 1}, "medium"),
        ({}, {"risk": "medium"}, "medium"),
    ],
)
async def test_a_template_says_whether_people_are_asked_by_todays_policy(
    sections: dict[str, Any], changes: dict[str, Any], risk: str
) -> None:
    setup = bench(**sections)
    setup.rules.templates["researcher"] = template(**changes)
    answer = await list_templates(setup.services, CALLER)

    assert isinstance(answer, Templates)
    assert [(offer.risk, offer.needs_approval) for offer in answer.templates] == [(risk, risk != "low")]


async def test_the_allowance_counts_anew_since_a_person_said_so() -> None:
    setup = bench(quota={"spawned_per_root_per_day": 3})
    await spawned(setup, "Running")
    setup.clock.advance(minutes=1)
    await retire(setup.services, CALLER, (await listing(setup)).subagents[0].agent)
    assert (await listing(setup)).allowance.spawns_today == 2
    await setup.world.switchboard.reset(Reset("one", ROOT.name, counts=True, reason="checked", by="alice"))

    assert (await listing(setup)).allowance.spawns_today == 3


async def test_an_agent_made_while_it_is_looked_at_is_not_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    agent = await spawned(setup, "Running")
    get = setup.world.agents.get
    looks: list[str] = []

    async def not_yet(home: str, id_: str) -> Any:
        looks.append(id_)
        return await get(home, id_) if len(looks) > 1 else None

    async def nothing_yet(_: Root) -> list[Any]:
        return []

    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "get", not_yet)
        assert (await found(setup, agent)).phase == "starting"
    monkeypatch.setattr(setup.world.agents, "of_root", nothing_yet)
    assert [entry.phase for entry in (await listing(setup)).subagents] == ["starting"]

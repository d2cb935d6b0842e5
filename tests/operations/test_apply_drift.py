"""What changed between propose and apply is named."""

from typing import Any

import pytest

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.ledger import Live
from mcp_agentspawn.core.model import Approval, Caller
from mcp_agentspawn.core.names import SPAWN_TOOLS
from mcp_agentspawn.core.ports import Violation
from mcp_agentspawn.operations.answers import Applied, Proposed, Refusal
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.services import LiveFacts
from tests.builders import CALLER, ROOT, Bench, ask, bench, policy, template
from tests.operations.doubles import failing


async def proposal(setup: Bench, caller: Caller = CALLER) -> Proposed:
    made = await propose(setup.services, caller, ask())
    assert isinstance(made, Proposed), made.reasons
    return made


async def said(setup: Bench, made: Proposed, caller: Caller = CALLER) -> tuple[str, list[str]]:
    answer = await apply(setup.services, caller, made.proposal, made.digest)
    await setup.services.later.settle()
    assert isinstance(answer, Refusal)
    return answer.outcome, [reason.code for reason in answer.reasons]


async def test_a_policy_that_changed_is_named_beside_what_it_refuses() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.rules.policies["default"] = policy(manifest={"most_tools": 0})

    assert await said(setup, made) == ("denied", ["manifest.too_many_tools", "proposal.policy_changed"])


async def test_a_policy_that_changed_and_still_allows_it_is_no_obstacle() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.rules.policies["default"] = policy(manifest={"most_tools": 17})
    answer = await apply(setup.services, CALLER, made.proposal, made.digest)
    await setup.services.later.settle()

    assert isinstance(answer, Applied)


async def test_a_schema_that_changed_makes_stale_what_no_longer_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    schema: Any = OtherSchema()
    monkeypatch.setattr(setup.world.inventory, "schema", schema)

    assert await said(setup, made) == ("stale", ["crd.violation", "proposal.crd_changed"])


async def test_a_refusal_is_said_also_when_what_changed_can_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = bench()
    made = await proposal(setup)
    unread = failing(Unavailable("no schema"))
    monkeypatch.setattr(setup.world.inventory, "violations", unread)
    monkeypatch.setattr(setup.world.inventory, "schema_hash", unread)

    assert await said(setup, made) == ("denied", ["crd.unanswered"])
    assert "crd.unanswered" in {code for record in setup.audit.records for code in record.reasons}
    setup.rules.policies["default"] = policy(manifest={"most_tools": 0})
    assert await said(setup, made) == ("denied", ["manifest.too_many_tools", "proposal.policy_changed"])


async def test_of_a_parent_that_can_not_be_read_nothing_is_said_to_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = bench()
    made = await proposal(setup)
    setup.rules.policies["default"] = policy(manifest={"most_tools": 0})
    monkeypatch.setattr(LiveFacts, "parent_uid", failing(Unavailable("away")))

    assert await said(setup, made) == ("denied", ["manifest.too_many_tools", "proposal.policy_changed"])


async def test_a_limit_of_the_moment_is_not_blamed_on_what_changed() -> None:
    setup = bench()
    made = await proposal(setup)
    setup.rules.policies["default"] = policy(quota={"live_per_root": 0})

    assert await said(setup, made) == ("denied", ["quota.live_per_root"])


async def test_a_parent_that_is_gone_makes_its_proposals_stale() -> None:
    setup = bench(lineage={"most_depth": 1})
    setup.rules.templates["researcher"] = template(depth=1, risk="low")
    setup.world.inventory.tools_in["subagents"]["agentspawn"] = set(SPAWN_TOOLS)
    parent = await spawned(setup)
    setup.rules.templates["researcher"] = template()
    nested = Caller(ROOT, parent.agent)
    made = await proposal(setup, nested)
    await setup.world.agents.delete(ROOT, parent.agent, parent.uid)

    assert await said(setup, made, nested) == ("stale", ["lineage.parent_gone", "proposal.parent_changed"])


class OtherSchema:
    """A schema that nothing fits any more."""

    hash = "sha256:other"

    def violations(self, manifest: Any) -> list[Any]:
        return [Violation("spec", "must not be")]


async def spawned(setup: Bench) -> Applied:
    """A subagent with depth left, approved by a person because it has."""
    made = await proposal(setup)
    stored = await setup.world.proposals.get(made.proposal)
    assert stored
    await setup.world.approvals.create(Approval("one", stored.id, stored.uid, stored.digest, "approve", "alice"))
    answer = await apply(setup.services, CALLER, made.proposal, made.digest)
    await setup.services.later.settle()
    assert isinstance(answer, Applied), answer.reasons
    held: Live = (await setup.world.ledgers.look(ROOT.name)).live[answer.agent]
    assert len(held.credentials) == 1
    return answer


async def test_a_nested_proposal_rests_on_the_parent_for_which_it_was_made() -> None:
    setup = bench(lineage={"most_depth": 1})
    setup.rules.templates["researcher"] = template(depth=1)
    setup.world.inventory.tools_in["subagents"]["agentspawn"] = set(SPAWN_TOOLS)
    parent = await spawned(setup)
    setup.rules.templates["researcher"] = template()
    nested = Caller(ROOT, parent.agent)
    made = await proposal(setup, nested)
    stored = await setup.world.proposals.get(made.proposal)
    answer = await apply(setup.services, nested, made.proposal, made.digest)
    await setup.services.later.settle()

    assert stored
    assert (stored.parent, stored.rests_on.parent) == (parent.agent, parent.uid)
    assert isinstance(answer, Applied)


async def test_a_line_that_misses_a_proposal_is_cut_short() -> None:
    facts = bench().services.facts()

    assert await facts.ancestors(Caller(ROOT, "sub-nobody")) == []

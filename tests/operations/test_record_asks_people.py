"""A poor record asks for a person at propose and at apply; making the same agent anew does not launder it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.outcomes import Outcomes
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.operations.answers import Applied, Pending, Proposed, Refusal
from mcp_agentspawn.operations.explain import explain_request
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.retire import retire
from tests.builders import CALLER, NOON, OTHER, ROOT, Bench, ask, bench, registry_bench, registry_entry, template
from tests.operations.doubles import OldLook
from tests.operations.trees import approved, grove, spawned, tried, under

POOR = Outcomes(6, 4)
TEMPLATE = "template:researcher"
RECORDED = ["approval.waiting", "approval.record"]


async def record(setup: Bench, outcomes: Outcomes = POOR, key: str = TEMPLATE, root: Root = ROOT) -> None:
    await setup.world.ledgers.change(root.name, lambda ledger: (ledger.recorded(key, outcomes), None))


async def proposed(setup: Bench, wanted: Ask | None = None, caller: Caller = CALLER) -> Proposed:
    answer = await propose(setup.services, caller, wanted or ask())
    assert isinstance(answer, Proposed), answer.reasons
    await setup.services.later.settle()
    return answer


def codes(answer: Proposed | Applied | Pending | Refusal) -> list[str]:
    return [reason.code for reason in answer.reasons]


async def test_a_poor_record_asks_for_a_person_who_is_waited_for_as_long_as_the_policy_says() -> None:
    setup = bench(approval={"wait": "2h"})
    await record(setup)
    made = await proposed(setup)
    stored = await setup.world.proposals.get(made.proposal)

    assert (made.outcome, made.risk, codes(made)) == ("pending_approval", "medium", RECORDED)
    assert stored is not None
    assert (stored.risk, stored.expires_at) == ("medium", NOON + timedelta(hours=2))
    assert [entry.until for entry in (await setup.world.ledgers.look(ROOT.name)).open.values()] == [stored.expires_at]
    assert setup.audit.events()[-1] == ("proposal.outcome", "pending_approval")


async def test_the_same_request_hears_the_same_again() -> None:
    setup = bench()
    await record(setup)

    assert await proposed(setup) == await proposed(setup)


async def test_it_is_held_at_apply_and_made_once_somebody_approved_who_is_named() -> None:
    setup = bench()
    await record(setup)
    made = await proposed(setup)
    held = await tried(setup, made)

    assert (held.outcome, codes(held)) == ("pending_approval", RECORDED)
    await approved(setup, made)
    assert isinstance(await tried(setup, made), Applied)
    assert setup.audit.records[-1].details["approved_by"] == "alice"


async def test_a_record_that_became_poor_since_holds_what_needed_nobody_and_says_how_people_are_asked() -> None:
    setup = bench()
    made = await proposed(setup)
    await record(setup)
    held, again = await tried(setup, made), await proposed(setup)

    assert made.outcome == "allowed"
    assert isinstance(held, Pending)
    for answer in (held, again):
        assert (answer.outcome, codes(answer)) == ("pending_approval", RECORDED)
        assert "retire_subagent" in answer.next_step
    await retire(setup.services, CALLER, made.proposal)
    assert (await proposed(setup)).risk == "medium"


async def test_who_approved_one_that_nobody_was_asked_about_is_named_all_the_same() -> None:
    setup = bench()
    made = await proposed(setup)
    await record(setup)
    await approved(setup, made)

    assert isinstance(await tried(setup, made), Applied)
    assert setup.audit.records[-1].details["approved_by"] == "alice"


async def test_a_record_that_became_better_since_lowers_nothing_that_was_proposed() -> None:
    setup = bench()
    await record(setup)
    made = await proposed(setup)
    await record(setup, Outcomes(100, 100))
    held = await tried(setup, made)

    assert (held.outcome, codes(held)) == ("pending_approval", ["approval.waiting"])


async def test_the_risk_that_is_stored_is_that_of_the_ledger_in_which_the_place_was_taken() -> None:
    setup = bench()
    await record(setup)
    old: Any = OldLook(setup.world.ledgers, Ledger(ROOT.name, outcomes={TEMPLATE: Outcomes(50, 50)}))
    answer = await propose(replace(setup.services, ledgers=old), CALLER, ask())

    assert isinstance(answer, Proposed)
    assert (answer.outcome, answer.risk) == ("pending_approval", "medium")


async def test_a_policy_with_a_least_score_of_nothing_asks_nobody() -> None:
    setup = bench(approval={"least_score": 0})
    await record(setup, Outcomes(20, 0, quarantines=5))

    assert isinstance(await tried(setup, await proposed(setup)), Applied)


async def test_another_root_s_record_has_no_effect() -> None:
    setup = bench()
    await record(setup, root=OTHER)

    assert (await proposed(setup)).outcome == "allowed"
    assert (await proposed(setup, caller=Caller(OTHER))).outcome == "pending_approval"


async def test_a_record_is_its_root_s_whoever_of_the_tree_asks() -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    await record(setup)

    assert codes(await proposed(setup, ask(lifetime_minutes=10), under(lead))) == RECORDED


async def test_retiring_and_proposing_again_does_not_launder_a_record() -> None:
    setup = bench()
    made = await proposed(setup)
    await tried(setup, made)
    await record(setup)
    await retire(setup.services, CALLER, made.proposal)

    assert codes(await proposed(setup)) == RECORDED


async def test_editing_the_template_does_not_launder_its_record() -> None:
    setup = bench()
    await record(setup)
    setup.rules.templates["researcher"] = template(description="Quite another one.", keywords=["new"])

    assert codes(await proposed(setup)) == RECORDED
    assert codes(await proposed(setup, ask(purpose="Another purpose"))) == RECORDED


WORKER = Ask("registry-worker", "Condense", parameters=(("task", "Condense it"),))
ENTRY = "entry:main/default/summarizer"


def taking(entry: RegistryEntry) -> Ask:
    return replace(WORKER, registry_entry=str(entry.handle))


@pytest.mark.parametrize("changes", [{}, {"tag": "v2"}, {"hash": f"sha256:{'6' * 64}", "description": "Quite another"}])
async def test_publishing_an_entry_again_does_not_launder_its_record(changes: dict[str, Any]) -> None:
    setup = registry_bench()
    setup.registries.entries = [registry_entry(**changes)]
    await record(setup, key=ENTRY)

    assert codes(await proposed(setup, taking(setup.registries.entries[0]))) == RECORDED


async def test_another_entry_has_a_record_of_its_own() -> None:
    setup = registry_bench()
    setup.registries.entries = [registry_entry(name="other")]
    await record(setup, key=ENTRY)

    assert codes(await proposed(setup, taking(setup.registries.entries[0]))) == ["approval.waiting"]


async def test_an_explanation_says_what_is_on_record() -> None:
    setup = bench()
    await record(setup)
    explained = await explain_request(setup.services, CALLER, ask())

    assert (explained.outcome, list(explained.codes)) == ("pending_approval", RECORDED)

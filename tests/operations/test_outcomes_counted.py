from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.delegation import Task, TaskState
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.outcomes import Outcomes
from mcp_agentspawn.operations.answers import Found, Templates
from mcp_agentspawn.operations.browse import get_subagent, list_templates
from mcp_agentspawn.operations.outcomes import record_end, record_quarantine, track_record
from mcp_agentspawn.operations.propose import propose
from tests.builders import CALLER, NOON, OTHER, ROOT, Bench, ask, bench, registry_entry, task
from tests.operations.work import worker

HEAD = Head("writer", 7, f"sha256:{'7' * 64}")
HANDLE = str(registry_entry().handle)
ENTRY = "entry:main/default/summarizer"


def done(**changes: Any) -> Task:
    ended = task(state="completed", created_at=NOON, ended_at=NOON + timedelta(seconds=90), tries=2)
    return replace(ended, **changes)


async def outcomes(setup: Bench) -> dict[str, Outcomes]:
    return dict((await setup.services.ledgers.look(ROOT.name, fresh=True)).outcomes)


async def test_the_end_of_a_task_is_counted_for_its_template_and_its_entry() -> None:
    setup = bench()

    await record_end(setup.services, done(entry=HANDLE), HEAD)

    counted = Outcomes(1, 1, 90, 2, 0, ("task-1",))
    assert await outcomes(setup) == {"template:researcher": counted, ENTRY: counted}


async def test_an_end_is_counted_once_however_often_it_is_told() -> None:
    setup = bench()
    await record_end(setup.services, done(), HEAD)
    before = await setup.services.ledgers.look(ROOT.name)

    await record_end(setup.services, done(), replace(HEAD, sequence=8))

    assert await setup.services.ledgers.look(ROOT.name) is before
    assert before.audit == {"writer": HEAD}


@pytest.mark.parametrize(
    ("state", "counted", "succeeded"),
    [("completed", 1, 1), ("failed", 1, 0), ("rejected", 1, 0), ("canceled", 1, 0), ("working", 0, 0)],
)
async def test_only_what_was_completed_succeeded_and_an_agent_that_stops_of_its_own_accord_failed(
    state: TaskState, counted: int, succeeded: int
) -> None:
    setup = bench()

    await record_end(setup.services, done(state=state), HEAD)

    known = (await outcomes(setup)).get("template:researcher", Outcomes())
    assert (known.tasks, known.succeeded) == (counted, succeeded)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("failed", "task.agent_gone"),
        ("failed", "task.agent_quarantined"),
        ("failed", "task.unanswered"),
        ("canceled", "task.canceled"),
    ],
)
async def test_a_task_that_ended_through_somebody_else_is_no_failure_of_its_agent(
    state: TaskState, reason: str
) -> None:
    setup = bench()

    await record_end(setup.services, done(state=state, reason=reason), HEAD)

    assert await outcomes(setup) == {}


@pytest.mark.parametrize(
    "unknown", [{"created_at": None}, {"ended_at": None}, {"ended_at": NOON - timedelta(seconds=1)}]
)
async def test_a_time_that_is_not_known_counts_as_none(unknown: dict[str, Any]) -> None:
    setup = bench()

    await record_end(setup.services, done(**unknown), HEAD)

    assert (await outcomes(setup))["template:researcher"].seconds == 0


async def test_a_quarantine_is_counted_once_for_what_its_agent_was_made_of() -> None:
    setup = bench()
    await propose(setup.services, CALLER, ask())
    (proposal,) = await setup.services.proposals.all()
    made_of_entry = replace(proposal, request=replace(proposal.request, entry=HANDLE))

    for _ in range(2):
        await record_quarantine(setup.services, made_of_entry, HEAD)

    counted = Outcomes(quarantines=1, recent=(proposal.id,))
    assert await outcomes(setup) == {"template:researcher": counted, ENTRY: counted}
    assert HEAD in (await setup.services.ledgers.look(ROOT.name)).audit.values()


async def test_nobody_else_s_history_is_touched() -> None:
    setup = bench()

    await record_end(setup.services, done(), HEAD)

    assert (await setup.services.ledgers.look(OTHER.name)).outcomes == {}


async def test_a_record_is_shown_by_what_it_is_of_with_a_mean_and_a_score() -> None:
    setup = bench()
    await record_end(setup.services, done(entry=HANDLE), HEAD)
    await record_end(setup.services, done(id="task-2", state="failed", ended_at=NOON, tries=0), HEAD)
    await record_end(setup.services, done(id="task-3", state="failed", ended_at=NOON, tries=1), HEAD)
    ledger = await setup.services.ledgers.look(ROOT.name)

    of_template, of_entry = track_record(ledger, "researcher", HANDLE)

    assert (of_template.of, of_template.tasks, of_template.succeeded) == ("template:researcher", 3, 1)
    assert (of_template.mean_seconds, of_template.retries, of_template.score) == (30, 3, 0.33)
    assert (of_entry.of, of_entry.score, of_entry.quarantines) == (ENTRY, 1.0, 0)
    assert track_record(ledger, "verifier", "") == ()


async def test_where_there_were_quarantines_alone_there_is_no_mean() -> None:
    setup = bench()
    await setup.services.ledgers.change(
        ROOT.name, lambda ledger: (ledger.recorded("template:researcher", Outcomes(quarantines=1)), None)
    )

    (shown,) = track_record(await setup.services.ledgers.look(ROOT.name), "researcher", "")

    assert (shown.mean_seconds, shown.quarantines, shown.score) == (0, 1, 0.0)


async def test_a_subagent_is_shown_with_the_record_of_what_it_is_made_of() -> None:
    setup = bench()
    agent = await worker(setup)
    await record_end(setup.services, done(agent=agent), HEAD)
    found = await get_subagent(setup.services, CALLER, agent)

    assert isinstance(found, Found)
    assert [(shown.of, shown.tasks, shown.score) for shown in found.record] == [("template:researcher", 1, 1.0)]


async def test_a_template_is_listed_with_the_risk_that_its_record_makes() -> None:
    setup = bench()
    for number in range(5):
        await record_end(setup.services, done(id=f"task-{number}", state="failed"), HEAD)
    listed = await list_templates(setup.services, CALLER)

    assert isinstance(listed, Templates)
    assert [(offer.risk, offer.needs_approval) for offer in listed.templates] == [("medium", True)]

"""A request whose subagent stands already is told what that is good for, and nothing is changed by it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from mcp_agentspawn.core.delegation import TaskState
from mcp_agentspawn.core.ledger import Change, Ledger, Live
from mcp_agentspawn.core.model import Caller, Phase, Subagent
from mcp_agentspawn.core.ports import Agents
from mcp_agentspawn.operations.answers import Proposed, Refusal
from mcp_agentspawn.operations.propose import propose
from tests.builders import CALLER, OTHER, ROOT, Bench, ask, bench, stored_task, task, template
from tests.operations.work import starting, worker


async def again(setup: Bench, caller: Caller = CALLER, **changes: Any) -> Proposed:
    answer = await propose(setup.services, caller, ask(**({"purpose": "Work"} | changes)))
    assert isinstance(answer, Proposed), answer.reasons
    assert (answer.outcome, answer.reasons) == ("allowed", ())
    return answer


async def given(setup: Bench, agent: str, number: int = 1, state: TaskState = "working") -> None:
    """A task of this agent."""
    await stored_task(setup.world.tasks, task(id=f"task-{number}", agent=agent, state=state))


async def mark(setup: Bench, agent: str, phase: Phase) -> None:
    stored = await setup.world.proposals.get(agent)
    assert stored is not None
    await setup.world.proposals.mark(stored, phase)


async def test_one_that_is_ready_and_idle_is_offered_and_nothing_is_written() -> None:
    setup = bench()
    agent = await worker(setup)
    ledger, events = await setup.world.ledgers.look(ROOT.name), len(setup.audit.records)
    found = await again(setup)

    assert (found.proposal, found.agent, found.phase) == (agent, agent, "ready")
    assert found.agent_expires_at == "2026-11-21T12:30:00Z"
    assert "delegate_task" in found.next_step
    assert "idle" in found.next_step
    assert await setup.world.ledgers.look(ROOT.name) is ledger
    assert len(setup.audit.records) == events


@pytest.mark.parametrize(
    ("states", "idle"), [(["completed", "failed"], True), (["completed", "input_required"], False)]
)
async def test_one_is_idle_when_all_that_it_was_given_has_ended(states: list[TaskState], idle: bool) -> None:
    setup = bench()
    agent = await worker(setup)
    for number, state in enumerate(states):
        await given(setup, agent, number, state)
    found = await again(setup)

    assert (found.agent, found.phase) == (agent, "ready")
    assert ("idle" in found.next_step) is idle
    assert ("get_task" in found.next_step) is not idle


async def test_the_work_of_another_subagent_keeps_this_one_from_nothing() -> None:
    setup = bench()
    await worker(setup)
    await given(setup, await worker(setup, "Other work"))

    assert "idle" in (await again(setup)).next_step


async def test_one_that_is_for_one_task_is_not_offered_once_that_has_ended() -> None:
    setup = bench()
    lifetime = {"default": "30m", "most": "4h", "one_task": True}
    setup.rules.templates["researcher"] = template(lifetime=lifetime)
    agent = await worker(setup)

    assert "idle" in (await again(setup)).next_step
    await given(setup, agent, state="completed")
    assert "propose the same again" in (await again(setup)).next_step


async def test_one_that_is_starting_is_waited_for() -> None:
    setup = bench()
    agent = await starting(setup)
    found = await again(setup)

    assert (found.agent, found.phase) == (agent, "starting")
    assert "get_subagent" in found.next_step


async def test_one_whose_place_is_taken_and_whose_agent_is_not_there_yet_is_being_made() -> None:
    setup = bench()
    made = await again(setup)
    await setup.world.ledgers.change(ROOT.name, lambda ledger: (_reserved(ledger, made.proposal), None))
    found = await again(setup)

    assert (found.agent, found.agent_expires_at, found.phase) == ("", "", "creating")
    assert "get_subagent" in found.next_step
    assert not setup.services.later.wanted.is_set()


def _reserved(ledger: Ledger, proposal: str) -> Ledger:
    (digest,) = ledger.open
    live = Live(ledger.open[digest].until, "nonce", digest)
    return ledger.reserved(proposal, live, Change(live.at))


async def test_one_in_quarantine_is_never_offered_and_no_other_is_made_for_the_same_request() -> None:
    setup = bench()
    agent = await worker(setup)
    await mark(setup, agent, "quarantined")
    answer = await propose(setup.services, CALLER, ask(purpose="Work"))

    assert isinstance(answer, Refusal)
    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("denied", ["agent.quarantined"])
    assert setup.audit.records[-1].subject == agent
    assert len(await setup.world.proposals.all()) == 1


@dataclass
class Changed:
    """Agents that are seen with something changed; with `None`, as gone."""

    real: Agents
    changes: dict[str, Any] | None

    async def get(self, home: str, id_: str) -> Subagent | None:
        found = await self.real.get(home, id_)
        return replace(found, **self.changes) if found is not None and self.changes is not None else None


@pytest.mark.parametrize(
    ("changes", "shown"),
    [({"deleting": True}, True), ({"lifetime": timedelta(0)}, True), ({"uid": "another"}, False), (None, False)],
)
async def test_one_that_is_on_its_way_out_is_not_offered(changes: dict[str, Any] | None, shown: bool) -> None:
    setup = bench()
    agent = await worker(setup)
    agents: Any = Changed(setup.world.agents, changes)
    found = await propose(replace(setup.services, agents=agents), CALLER, ask(purpose="Work"))

    assert isinstance(found, Proposed)
    assert (found.outcome, found.proposal) == ("allowed", agent)
    assert "propose the same again" in found.next_step
    assert found.agent == (agent if shown else "")
    assert setup.services.later.wanted.is_set() is not shown


async def test_another_purpose_and_another_caller_get_one_of_their_own() -> None:
    setup = bench()
    agent = await worker(setup)

    for found in (await again(setup, purpose="Other"), await again(setup, Caller(OTHER))):
        assert found.proposal != agent
        assert found.agent == ""

"""A bench with subagents that can be given work."""

from mcp_agentspawn.core.delegation import PendingCall, Report, Task
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.verdict import Outcome
from mcp_agentspawn.operations.answers import Proposed, Refusal, TaskAnswered
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.delegate import delegate
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.tasks import get_task
from tests.builders import CALLER, Bench, ask

SEARCH = PendingCall("call-1", "search", '{"query":"admission"}')
ASKED = PendingCall("call-2", "ask_user", '{"questions":[{"question":"Which one?"}]}')


def report(**changes: object) -> Report:
    """What an agent says; it works on it, unless a test says otherwise."""
    return Report(**({"remote": "", "state": "working"} | changes))  # type: ignore[arg-type]  # a test's changes are its own


ASKS = report(state="input_required", asks="question", text="Which one?", pending=(ASKED,))
WAITS_FOR_PEOPLE = report(state="input_required", asks="tool_approval", pending=(SEARCH,))
DONE = report(state="completed", text="Found it.")


async def worker(setup: Bench, purpose: str = "Work", caller: Caller = CALLER) -> str:
    """A subagent that is ready."""
    agent = await starting(setup, purpose, caller)
    setup.world.agents.set_ready("subagents", agent)
    stored = await setup.world.proposals.get(agent)
    assert stored is not None
    await setup.world.proposals.mark(stored, "ready", agent_uid=stored.agent_uid)
    return agent


async def starting(setup: Bench, purpose: str = "Work", caller: Caller = CALLER) -> str:
    """A subagent that has just been made."""
    made = await propose(setup.services, caller, ask(purpose=purpose))
    assert isinstance(made, Proposed)
    await apply(setup.services, caller, made.proposal, made.digest)
    await setup.services.later.settle()
    return made.proposal


async def given(
    setup: Bench, agent: str, message: str = "Do it", task: str = "", wait: int = 0, caller: Caller = CALLER
) -> TaskAnswered:
    """A task that was taken."""
    answer = await delegate(setup.services, caller, agent, message, task, wait)
    assert isinstance(answer, TaskAnswered), answer.reasons
    await setup.services.later.settle()
    return answer


async def refused(
    setup: Bench, agent: str, message: str = "Do it", task: str = "", caller: Caller = CALLER
) -> tuple[Outcome, str]:
    """How a call was refused: outcome and code."""
    answer = await delegate(setup.services, caller, agent, message, task)
    assert isinstance(answer, Refusal), answer
    await setup.services.later.settle()
    (reason,) = answer.reasons
    return answer.outcome, reason.code


async def seen(setup: Bench, task: str, wait: int = 0, caller: Caller = CALLER) -> TaskAnswered:
    """How a task is seen by its caller."""
    answer = await get_task(setup.services, caller, task, wait)
    assert isinstance(answer, TaskAnswered), answer.reasons
    await setup.services.later.settle()
    return answer


async def stored(setup: Bench, task: str) -> Task:
    """A task as it is stored."""
    found = await setup.world.tasks.get(task)
    assert found is not None
    return found

"""Outcome history: what became of a subagent's work is counted once in its root's ledger, and shown to its caller."""

from collections.abc import Callable, Sequence
from functools import partial

from mcp_agentspawn.core.delegation import AGENT_GONE, AGENT_QUARANTINED, CANCELED, UNANSWERED, Task
from mcp_agentspawn.core.ledger import Head, Ledger
from mcp_agentspawn.core.model import Proposal
from mcp_agentspawn.core.outcomes import End, Outcomes, keys_of
from mcp_agentspawn.operations.answers import TrackRecord
from mcp_agentspawn.operations.services import Services

NOT_ITS_OWN = frozenset({AGENT_GONE, AGENT_QUARANTINED, CANCELED, UNANSWERED})
"""Why a task may end through nothing that the agent did in it: it was removed, its quarantine is counted instead, its
caller stopped it, or nobody answered what it asked. One that stops of its own accord has failed."""


async def record_end(services: Services, task: Task, head: Head) -> None:
    """Count the end of this task for its template and its registry entry; once more changes nothing.

    `head` is where the audit stood when the end was recorded there.
    """
    if not task.ended or task.reason in NOT_ITS_OWN:
        return
    end: End = "succeeded" if task.state == "completed" else "failed"
    count = partial(Outcomes.ended, task=task.id, end=end, seconds=_seconds(task), retries=task.tries)
    await _count(services, task.root, keys_of(task.template, task.entry), count, head)


async def record_quarantine(services: Services, proposal: Proposal, head: Head) -> None:
    """Count the quarantine of this proposal's agent in the same way."""
    keys = keys_of(proposal.request.template, proposal.request.entry)
    await _count(services, proposal.root, keys, partial(Outcomes.quarantined, agent=proposal.id), head)


async def _count(
    services: Services, root: str, keys: Sequence[str], count: Callable[[Outcomes], Outcomes], head: Head
) -> None:
    def counted(ledger: Ledger) -> tuple[Ledger, None]:
        grown = ledger.counted(keys, count)
        return (grown if grown is ledger else grown.anchored(head)), None

    await services.ledgers.change(root, counted)


def _seconds(task: Task) -> int:
    """How long it took; 0 when that is not known."""
    if task.created_at is None or task.ended_at is None:
        return 0
    return max(0, int((task.ended_at - task.created_at).total_seconds()))


def track_record(ledger: Ledger, template: str, entry: str) -> tuple[TrackRecord, ...]:
    """What is on record for subagents of this template, and of this registry entry (its handle, `""` for none)."""
    return tuple(_shown(key, ledger.outcomes[key]) for key in keys_of(template, entry) if key in ledger.outcomes)


def _shown(key: str, outcomes: Outcomes) -> TrackRecord:
    return TrackRecord(
        of=key,
        tasks=outcomes.tasks,
        succeeded=outcomes.succeeded,
        mean_seconds=outcomes.seconds // outcomes.tasks if outcomes.tasks else 0,
        retries=outcomes.retries,
        quarantines=outcomes.quarantines,
        score=round(outcomes.score, 2),
    )

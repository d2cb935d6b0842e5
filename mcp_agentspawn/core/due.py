"""When time alone makes something due of a root, so that nobody has to look at all of them again and again."""

from collections.abc import Iterator
from datetime import datetime

from mcp_agentspawn.core.clearing import TASK_KEPT_FOR
from mcp_agentspawn.core.expiry import ABANDONED_AFTER, QUARANTINE_KEPT_FOR, Seen, kept_until, quarantined_at
from mcp_agentspawn.core.ledger import SPAWN_WINDOW


def next_due(now: datetime, seen: Seen) -> datetime | None:
    """The first moment after now at which `plan` may say something else of the same world; `None`: never.

    `seen.ledger` is pruned to now.
    """
    return min((moment for moment in _moments(seen) if moment > now), default=None)


def _moments(seen: Seen) -> Iterator[datetime]:
    for agent in seen.agents.values():
        yield agent.expires_at
        proposal = seen.proposals.get(agent.id)
        if proposal is not None and proposal.phase == "quarantined":
            yield (quarantined_at(proposal) or agent.created_at) + QUARANTINE_KEPT_FOR
    for proposal in seen.proposals.values():
        if proposal.id not in seen.agents:
            yield proposal.expires_at
            yield kept_until(seen.ledger, proposal)
            yield (proposal.created_at or proposal.expires_at) + ABANDONED_AFTER
    yield from (live.at + ABANDONED_AFTER for live in seen.ledger.live.values())
    yield from (opened.until for opened in seen.ledger.open.values())
    yield from (use.at + SPAWN_WINDOW for use in seen.ledger.used.values())
    yield from (task.ended_at + TASK_KEPT_FOR for task in seen.tasks if task.ended_at is not None)

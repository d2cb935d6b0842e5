"""What repair has to do, as a pure function of a moment and of what was seen then.

The order in which the world is read matters: agents first, then proposals, then the ledger. An agent that was seen
had its reservation before, so a ledger read later that lacks it never will have it. The other way round nothing
follows: a place in the ledger may be of a proposal, and an agent, made since those were read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.ledger import Ledger, Live
from mcp_agentspawn.core.model import FINAL_PHASES, Approval, Proposal, Subagent
from mcp_agentspawn.core.switches import Reset

ABANDONED_AFTER = timedelta(seconds=90)
"""Longer than the client's timeout, the server's timeout and the clocks' difference together."""

KEPT_FOR = timedelta(hours=24)
"""How long a proposal that has come to its end can still be looked at, and how long a person's word is kept."""

UNUSED_KEPT_FOR = timedelta(minutes=15)
"""How long one that was given up before it became an agent can be: whoever proposes and withdraws leaves few."""

UNCLAIMED_KEPT_FOR = timedelta(days=30)
"""How long a person's word on a service account waits for that account to spawn."""

Verb = Literal["mark", "expire", "remove", "orphan", "release", "fence", "lapse", "close", "retire", "forget", "clear"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One root's world. `tasks` are those that its subagents were given, `crashes` how often each agent's pod did."""

    agents: Mapping[str, Subagent]
    proposals: Mapping[str, Proposal]
    ledger: Ledger
    tasks: Sequence[Task] = ()
    crashes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do about one id. `nonce` is the reservation that a release is about.

    `orphan` removes an agent whose parent is gone; `clear` removes what a person once said.
    """

    verb: Verb
    id: str
    uid: str = ""
    nonce: str = ""


def stands(now: datetime, agent: Subagent | None) -> bool:
    """Whether this agent is there, within its time, and not on its way out: only such a one has children."""
    return agent is not None and not agent.deleting and now < agent.expires_at


def plan(now: datetime, seen: Seen) -> Sequence[Action]:
    """Everything that is due, each id at most once."""
    due = [_about_agent(now, seen, agent) for agent in seen.agents.values()]
    due += [_about_slot(now, seen, id_, live) for id_, live in seen.ledger.live.items() if id_ not in seen.agents]
    due += [
        _about_proposal(now, seen, proposal)
        for id_, proposal in seen.proposals.items()
        if id_ not in seen.agents and id_ not in seen.ledger.live
    ]
    return [action for action in due if action is not None]


def _about_agent(now: datetime, seen: Seen, agent: Subagent) -> Action | None:
    proposal = seen.proposals.get(agent.id)
    if agent.deleting:
        return None
    if proposal is None or not _is_its_agent(seen, proposal, agent):
        return Action("remove", agent.id, uid=agent.uid)
    if agent.expires_at <= now:
        return Action("expire", agent.id, uid=agent.uid)
    if agent.parent and not stands(now, seen.agents.get(agent.parent)):
        return Action("orphan", agent.id, uid=agent.uid)
    return Action("mark", agent.id, uid=agent.uid) if proposal.phase == "proposed" else None


def _is_its_agent(seen: Seen, proposal: Proposal, agent: Subagent) -> bool:
    """Whether it holds its place and its proposal stands behind it: a proposal makes one Agent, and never another."""
    of_proposal = proposal.phase not in FINAL_PHASES and proposal.agent_uid in {"", agent.uid}
    return of_proposal and agent.id in seen.ledger.live


def _about_slot(now: datetime, seen: Seen, id_: str, live: Live) -> Action | None:
    proposal = seen.proposals.get(id_)
    became_an_agent = proposal is not None and proposal.phase not in {"proposed", "lapsed"}
    if not became_an_agent and live.at + ABANDONED_AFTER > now:
        return None  # its create may still come: lost, withdrawn since, or of a proposal made after they were read
    fenced = proposal is None or proposal.phase != "proposed"
    return Action("release" if fenced else "fence", id_, nonce=live.nonce)


def _about_proposal(now: datetime, seen: Seen, proposal: Proposal) -> Action | None:
    if proposal.phase == "proposed":
        lost = proposal.id in seen.ledger.used or not seen.ledger.is_open(proposal.id)
        due = _is_left_alone(now, seen, proposal) or (lost and _quiet(now, proposal))
        return Action("lapse", proposal.id) if due else None
    if proposal.phase not in FINAL_PHASES:
        return Action("retire", proposal.id)
    if seen.ledger.is_open(proposal.id):
        return Action("close", proposal.id)
    return Action("forget", proposal.id) if _kept_until(seen, proposal) <= now else None


def _kept_until(seen: Seen, proposal: Proposal) -> datetime:
    began = proposal.created_at or proposal.expires_at
    if proposal.phase == "lapsed" and proposal.id not in seen.ledger.used:
        return began + UNUSED_KEPT_FOR
    return max(proposal.expires_at, began) + KEPT_FOR


def _is_left_alone(now: datetime, seen: Seen, proposal: Proposal) -> bool:
    """Whether its parent is gone; one that was made since the agents were read holds its place in the ledger."""
    above = seen.agents.get(proposal.parent)
    made_since = above is None and proposal.parent in seen.ledger.live
    return bool(proposal.parent) and not made_since and not stands(now, above)


def _quiet(now: datetime, proposal: Proposal) -> bool:
    return proposal.expires_at <= now or (proposal.created_at or now) + ABANDONED_AFTER <= now


def outdated(now: datetime, approvals: Sequence[Approval], proposals: Collection[str]) -> Sequence[Approval]:
    """Decisions on proposals that are gone, kept long enough."""
    return [
        approval for approval in approvals if approval.proposal not in proposals and _is_over(now, approval.decided_at)
    ]


def worn_out(now: datetime, resets: Sequence[Reset], accounts: Mapping[str, str]) -> Sequence[Reset]:
    """Resets that say nothing more: what they reset no longer counts anyway.

    One for a service account speaks until that account, by its uid, is the root's in `accounts`, or for a month.
    """
    return [
        reset
        for reset in resets
        if _is_over(now, reset.at, KEPT_FOR if reset.account in {"", accounts.get(reset.root)} else UNCLAIMED_KEPT_FOR)
    ]


def _is_over(now: datetime, since: datetime | None, kept_for: timedelta = KEPT_FOR) -> bool:
    return since is not None and since + kept_for <= now

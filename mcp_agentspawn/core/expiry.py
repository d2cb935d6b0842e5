"""What repair has to do, as a pure function of a moment and of what was seen then.

The order in which the world is read matters: agents first, then proposals, then the ledger. An agent that was seen
had its reservation before, so a ledger read later that lacks it never will have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mcp_agentspawn.core.ledger import Ledger, Live
from mcp_agentspawn.core.model import FINAL_PHASES, Proposal, Subagent

ABANDONED_AFTER = timedelta(seconds=90)
"""Longer than the client's timeout, the server's timeout and the clocks' difference together."""

KEPT_FOR = timedelta(hours=24)
"""How long a proposal that has come to its end can still be looked at."""

Verb = Literal["mark", "expire", "remove", "release", "fence", "lapse", "close", "retire", "forget"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One root's world."""

    agents: Mapping[str, Subagent]
    proposals: Mapping[str, Proposal]
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do about one id. `nonce` is the reservation that a release is about."""

    verb: Verb
    id: str
    uid: str = ""
    nonce: str = ""


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
    if agent.id not in seen.ledger.live or proposal is None or proposal.phase in FINAL_PHASES:
        return Action("remove", agent.id, uid=agent.uid)
    if proposal.agent_uid not in {"", agent.uid}:  # a proposal makes one Agent, and made another
        return Action("remove", agent.id, uid=agent.uid)
    if agent.expires_at <= now:
        return Action("expire", agent.id, uid=agent.uid)
    if proposal.phase == "proposed":
        return Action("mark", agent.id, uid=agent.uid)
    return None


def _about_slot(now: datetime, seen: Seen, id_: str, live: Live) -> Action | None:
    proposal = seen.proposals.get(id_)
    if proposal is None or proposal.phase != "proposed":
        return Action("release", id_, nonce=live.nonce)
    if live.at + ABANDONED_AFTER <= now:
        return Action("fence", id_, nonce=live.nonce)
    return None


def _about_proposal(now: datetime, seen: Seen, proposal: Proposal) -> Action | None:
    if proposal.phase == "proposed":
        lost = proposal.id in seen.ledger.used or not seen.ledger.is_open(proposal.id)
        return Action("lapse", proposal.id) if lost and _quiet(now, proposal) else None
    if proposal.phase not in FINAL_PHASES:
        return Action("retire", proposal.id)
    if seen.ledger.is_open(proposal.id):
        return Action("close", proposal.id)
    ended = max(proposal.expires_at, proposal.created_at or proposal.expires_at)
    return Action("forget", proposal.id) if ended + KEPT_FOR <= now else None


def _quiet(now: datetime, proposal: Proposal) -> bool:
    return proposal.expires_at <= now or (proposal.created_at or now) + ABANDONED_AFTER <= now

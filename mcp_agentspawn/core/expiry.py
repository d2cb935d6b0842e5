"""What is to be done about a root's subagents, as a pure function of a moment and of what was seen then.

The order in which the world is read matters: agents first, then proposals, then the ledger. An agent that was seen
had its reservation before, so a ledger read later that lacks it never will have it. The other way round nothing
follows: a place in the ledger may be of a proposal, and an agent, made since those were read. What was merely watched
came in any order: it is a hint, and nothing is done before what it is about was read afresh, in that order.

Whoever is past its time, gone, retiring or in quarantine can spawn no more: so what is below it is due at the same
moment, and the deepest goes first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from mcp_agentspawn.core.clearing import spent_tasks
from mcp_agentspawn.core.delegation import Task
from mcp_agentspawn.core.ledger import Ledger, Live
from mcp_agentspawn.core.model import FINAL_PHASES, Phase, Proposal, Subagent
from mcp_agentspawn.core.names import MOST_DEPTH

ABANDONED_AFTER = timedelta(seconds=90)
"""Longer than the client's timeout, the server's timeout and the clocks' difference together."""

KEPT_FOR = timedelta(hours=24)
"""How long a proposal that has come to its end can still be looked at."""

UNUSED_KEPT_FOR = timedelta(minutes=15)
"""How long one that was given up before it became an agent can be: whoever proposes and withdraws leaves few."""

QUARANTINE_KEPT_FOR = timedelta(hours=24)
"""How long a subagent in quarantine stays as evidence at most; never past its own time, and it holds its place."""

ALERT_AT = 3
QUARANTINE_AT = 5
"""Crashes of a subagent."""

BARREN: frozenset[Phase] = frozenset({"quarantined", "retiring"})
"""Phases of a proposal whose agent, although it stands, has no children any more."""

Verb = Literal[
    "mark", "greet", "alert", "quarantine", "cordon", "expire", "remove", "orphan", "finish",
    "release", "fence", "lapse", "close", "retire", "forget", "clear", "drop",
]  # fmt: skip
REMOVALS: frozenset[Verb] = frozenset({"expire", "remove", "orphan", "finish"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One root's world. `tasks` are those that its subagents were given, `crashes` how often each agent's pod did.

    `cordoned` are the agents that are cut off, by id, with the uid that each had; `None`: nobody looked.
    """

    agents: Mapping[str, Subagent]
    proposals: Mapping[str, Proposal]
    ledger: Ledger
    tasks: Sequence[Task] = ()
    crashes: Mapping[str, int] = field(default_factory=dict)
    cordoned: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do about one id. `nonce` is the reservation that a release is about, `reason` a code that says why.

    `orphan` removes an agent whose line is broken, `finish` one whose work is done; `cordon` cuts one off that is in
    quarantine; `drop` removes an old task, `clear` what a person once said.
    """

    verb: Verb
    id: str
    uid: str = ""
    nonce: str = ""
    reason: str = ""


def stands(now: datetime, agent: Subagent | None) -> bool:
    """Whether this agent is there, within its time, and not on its way out."""
    return agent is not None and not agent.deleting and now < agent.expires_at


def may_spawn(now: datetime, agent: Subagent | None, proposal: Proposal | None) -> bool:
    """Whether this agent stands and is neither retiring nor in quarantine: only such a one has children."""
    return stands(now, agent) and (proposal is None or proposal.phase not in BARREN)


def has_differed(agent: Subagent, proposal: Proposal) -> bool:
    """Whether the agent is known to be another one than was approved: no Agent is ever altered."""
    return bool(agent.fingerprint and proposal.fingerprint) and agent.fingerprint != proposal.fingerprint


def told_crashes(proposal: Proposal) -> int:
    """How many crashes of its agent people were told of."""
    return proposal.crashing.times if proposal.crashing else 0


def quarantined_at(proposal: Proposal) -> datetime | None:
    """When it came into quarantine; `None` when its history does not say."""
    return next((step.at for step in reversed(proposal.history) if step.phase == "quarantined"), None)


def plan(now: datetime, seen: Seen) -> Sequence[Action]:
    """Everything that is due, each id at most once.

    `seen.ledger` is pruned to now.
    """
    worked = {(task.agent, task.agent_uid) for task in seen.tasks if task.ended}
    opened = {entry.proposal for entry in seen.ledger.open.values()}
    due = [_about_agent(now, seen, agent, worked) for agent in seen.agents.values()]
    due += [_about_slot(now, seen, id_, live) for id_, live in seen.ledger.live.items() if id_ not in seen.agents]
    due += [
        _about_proposal(now, seen, proposal, is_open=id_ in opened)
        for id_, proposal in seen.proposals.items()
        if id_ not in seen.agents and id_ not in seen.ledger.live
    ]
    due += [Action("drop", task.id) for task in spent_tasks(now, seen.tasks)]
    return [action for action in due if action is not None]


def generation(seen: Seen, id_: str) -> int:
    """How many are above it, as far as they were seen: what goes, goes from the highest number down."""
    above = 0
    agent = seen.agents.get(id_)
    while agent is not None and agent.parent and above <= MOST_DEPTH:
        agent, above = seen.agents.get(agent.parent), above + 1
    return above


def _about_agent(now: datetime, seen: Seen, agent: Subagent, worked: Collection[tuple[str, str]]) -> Action | None:
    """`worked` are the ids and uids of those of whom a task has ended."""
    proposal = seen.proposals.get(agent.id)
    if agent.deleting:
        return None
    if proposal is None or not _is_its_agent(seen, proposal, agent):
        return Action("remove", agent.id, uid=agent.uid)
    if agent.expires_at <= now:
        return Action("expire", agent.id, uid=agent.uid)
    if proposal.phase == "quarantined":
        return _about_evidence(now, seen, agent, proposal)
    if not _line_stands(now, seen, agent.parent):
        return Action("orphan", agent.id, uid=agent.uid)
    has_done_its_task = proposal.grant.single_task and (agent.id, agent.uid) in worked
    return _about_life(seen, agent, proposal, is_done=proposal.phase == "retiring" or has_done_its_task)


def _is_its_agent(seen: Seen, proposal: Proposal, agent: Subagent) -> bool:
    """Whether it holds its place and its proposal stands behind it: a proposal makes one Agent, and never another."""
    of_proposal = proposal.phase not in FINAL_PHASES and proposal.agent_uid in {"", agent.uid}
    return of_proposal and agent.id in seen.ledger.live


def _about_evidence(now: datetime, seen: Seen, agent: Subagent, proposal: Proposal) -> Action | None:
    """One in quarantine stays although its tree is gone: whoever is above it must not be able to remove it so."""
    if (quarantined_at(proposal) or agent.created_at) + QUARANTINE_KEPT_FOR <= now:
        return Action("expire", agent.id, uid=agent.uid)
    is_cut_off = seen.cordoned is not None and seen.cordoned.get(agent.id) == agent.uid
    return None if is_cut_off else Action("cordon", agent.id, uid=agent.uid)


def _line_stands(now: datetime, seen: Seen, parent: str) -> bool:
    """Whether all that are above may have children, up to the root; a line that goes in a circle ends nowhere."""
    for _ in range(MOST_DEPTH + 1):
        if not parent:
            return True
        above = seen.agents.get(parent)
        if above is None or not may_spawn(now, above, seen.proposals.get(parent)):
            return False
        parent = above.parent
    return not parent


def _about_life(seen: Seen, agent: Subagent, proposal: Proposal, *, is_done: bool) -> Action | None:
    if is_done:
        return Action("finish", agent.id, uid=agent.uid)
    if trouble := _trouble(agent, proposal, seen.crashes.get(agent.id, 0)):
        return trouble
    if proposal.phase == "proposed":
        return Action("mark", agent.id, uid=agent.uid)
    if proposal.phase == "starting" and agent.ready:
        return Action("greet", agent.id, uid=agent.uid)
    return None


def _trouble(agent: Subagent, proposal: Proposal, crashes: int) -> Action | None:
    if has_differed(agent, proposal):
        return Action("quarantine", agent.id, uid=agent.uid, reason="drift")
    if crashes >= QUARANTINE_AT:
        return Action("quarantine", agent.id, uid=agent.uid, reason="crashes")
    if crashes >= max(ALERT_AT, told_crashes(proposal) + 1):
        return Action("alert", agent.id, uid=agent.uid, reason=f"crashes-{crashes}")
    return None


def _about_slot(now: datetime, seen: Seen, id_: str, live: Live) -> Action | None:
    proposal = seen.proposals.get(id_)
    became_an_agent = proposal is not None and proposal.phase not in {"proposed", "lapsed"}
    if not became_an_agent and live.at + ABANDONED_AFTER > now:
        return None  # its create may still come: lost, withdrawn since, or of a proposal made after they were read
    fenced = proposal is None or proposal.phase != "proposed"
    return Action("release" if fenced else "fence", id_, nonce=live.nonce)


def _about_proposal(now: datetime, seen: Seen, proposal: Proposal, *, is_open: bool) -> Action | None:
    if proposal.phase == "proposed":
        lost = proposal.id in seen.ledger.used or not is_open
        due = _is_left_alone(now, seen, proposal) or (lost and _quiet(now, proposal))
        return Action("lapse", proposal.id) if due else None
    if proposal.phase not in FINAL_PHASES:
        return Action("retire", proposal.id)
    if is_open:
        return Action("close", proposal.id)
    return Action("forget", proposal.id) if kept_until(seen.ledger, proposal) <= now else None


def kept_until(ledger: Ledger, proposal: Proposal) -> datetime:
    """Until when a proposal that has come to its end can be looked at."""
    began = proposal.created_at or proposal.expires_at
    if proposal.phase == "lapsed" and proposal.id not in ledger.used:
        return began + UNUSED_KEPT_FOR
    return max(proposal.expires_at, began) + KEPT_FOR


def _is_left_alone(now: datetime, seen: Seen, proposal: Proposal) -> bool:
    """Whether its parent is gone; one that was made since the agents were read holds its place in the ledger."""
    above = seen.agents.get(proposal.parent)
    made_since = above is None and proposal.parent in seen.ledger.live
    return bool(proposal.parent) and not made_since and not may_spawn(now, above, seen.proposals.get(proposal.parent))


def _quiet(now: datetime, proposal: Proposal) -> bool:
    return proposal.expires_at <= now or (proposal.created_at or now) + ABANDONED_AFTER <= now

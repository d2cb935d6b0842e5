"""Does the risk ask for a person, and did enough of them say yes?"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from mcp_agentspawn.core.decisions import approvers, counted, is_denied
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import ManifestGuard, Rendered
from mcp_agentspawn.core.model import Proposal, Request, Risk
from mcp_agentspawn.core.outcomes import NOTHING, Outcomes, keys_of, outcomes_for
from mcp_agentspawn.core.risk import PEOPLE, highest, people_in_words, risk_of
from mcp_agentspawn.core.template import Duration, Template
from mcp_agentspawn.core.verdict import Allow, Deny, Hold, Reason, Verdict

MOST_WAIT = timedelta(hours=24)
MOST_AFTER_TASKS = 100
"""What is on record never falls below it again, once it was reached: not even where everything counts half."""
MOST_UNSEEN = 4
"""So many ends may be missing in a copy of the ledger, which is seconds old at most."""


def _bounded(wait: timedelta) -> timedelta:
    if wait > MOST_WAIT:
        raise ValueError("a proposal waits at most 24h for a person")
    return wait


class ApprovalGuard(ManifestGuard):
    """A risk of medium asks one person, high two different ones; `at_least` is the risk of every proposal here.

    A life longer than `long_life` raises the risk. A proposal waits for people as long as `wait`. A person is asked,
    too, where `after_tasks` or more are on record and less than `least_score` of them succeeded; a score of 0 asks
    nobody.
    """

    at_least: Risk = "low"
    long_life: Duration = timedelta(hours=4)
    wait: Annotated[Duration, AfterValidator(_bounded)] = Field(default=timedelta(hours=1))
    least_score: float = Field(default=0.7, ge=0, le=1)
    after_tasks: int = Field(default=5, ge=1, le=MOST_AFTER_TASKS)

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Hold until enough different people have approved these very bytes; deny once one has denied, asked or not."""
        stored, (needed, doubts) = rendered.proposal, await self.needed(rendered, facts)
        decisions = counted(stored, await facts.approvals(stored.id, fresh=needed > 0)) if stored else ()
        if is_denied(decisions):
            return Deny((Reason("approval.denied", "A person has decided against this subagent."),))
        given = len(approvers(decisions))
        if given >= needed:
            return Allow()
        message = f"{people_in_words(needed)} must approve this subagent; {given} have."
        return Hold((Reason("approval.waiting", message), *doubts))

    async def needed(self, rendered: Rendered, facts: Facts) -> tuple[int, tuple[Reason, ...]]:
        """How many people must approve this, and what is on record that asks for one."""
        outcomes = await self._record(rendered, facts)
        risk = self.risk(rendered.template, rendered.request, rendered.proposal, outcomes)
        return PEOPLE[risk], self.doubts(rendered.request, outcomes)

    def risk(
        self,
        template: Template,
        request: Request,
        proposal: Proposal | None = None,
        outcomes: Mapping[str, Outcomes] = NOTHING,
    ) -> Risk:
        """How risky this is today, and never less than when it was proposed; `outcomes` are those of its root."""
        today = risk_of(template, request, at_least=self.at_least, long_life=self.long_life)
        doubted: Risk = "medium" if self.doubts(request, outcomes) else "low"
        return highest(today, doubted, proposal.risk if proposal else "low")

    def doubts(self, request: Request, outcomes: Mapping[str, Outcomes]) -> tuple[Reason, ...]:
        """What is on record that asks for a person, in words of the caller's own history."""
        known = outcomes_for(request, outcomes).items()
        return tuple(_doubt(key, record) for key, record in known if self._is_poor(record))

    async def _record(self, rendered: Rendered, facts: Facts) -> Mapping[str, Outcomes]:
        """The outcomes of the root; where a few more ends would change the risk, as they are now.

        Who is held by an old copy asks again; who is not would never be held.
        """
        seen = (await facts.ledger(rendered.caller)).outcomes
        if PEOPLE[self.risk(rendered.template, rendered.request, rendered.proposal, seen)]:
            return seen
        keys = keys_of(rendered.request.template, rendered.request.entry)
        if any(self._is_poor(seen.get(key, Outcomes()).failing(MOST_UNSEEN)) for key in keys):
            return (await facts.ledger(rendered.caller, fresh=True)).outcomes
        return seen

    def _is_poor(self, record: Outcomes) -> bool:
        return record.counted >= self.after_tasks and record.score < self.least_score


def _doubt(key: str, record: Outcomes) -> Reason:
    kind, _, name = key.partition(":")
    what = "template" if kind == "template" else "registry entry"
    return Reason("approval.record", f"{record.in_words} with {what} {name}, so a person is asked.")

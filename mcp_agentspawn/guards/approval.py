"""Does the risk ask for a person, and did enough of them say yes?"""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from mcp_agentspawn.core.decisions import approvers, counted, is_denied
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import ManifestGuard, Rendered
from mcp_agentspawn.core.model import Proposal, Request, Risk
from mcp_agentspawn.core.risk import PEOPLE, highest, people_in_words, risk_of
from mcp_agentspawn.core.template import Duration, Template
from mcp_agentspawn.core.verdict import Allow, Deny, Hold, Reason, Verdict

MOST_WAIT = timedelta(hours=24)


def _bounded(wait: timedelta) -> timedelta:
    if wait > MOST_WAIT:
        raise ValueError("a proposal waits at most 24h for a person")
    return wait


class ApprovalGuard(ManifestGuard):
    """A risk of medium asks one person, high two different ones; `at_least` is the risk of every proposal here.

    A life longer than `long_life` raises the risk. A proposal waits for people as long as `wait`.
    """

    at_least: Risk = "low"
    long_life: Duration = timedelta(hours=4)
    wait: Annotated[Duration, AfterValidator(_bounded)] = Field(default=timedelta(hours=1))

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Hold until enough different people have approved these very bytes; deny once one has denied, asked or not."""
        stored = rendered.proposal
        needed = PEOPLE[self.risk(rendered.template, rendered.request, stored)]
        decisions = counted(stored, await facts.approvals(stored.id, fresh=needed > 0)) if stored else ()
        if is_denied(decisions):
            return Deny((Reason("approval.denied", "A person has decided against this subagent."),))
        given = len(approvers(decisions))
        if given >= needed:
            return Allow()
        message = f"{people_in_words(needed)} must approve this subagent; {given} have."
        return Hold((Reason("approval.waiting", message),))

    def risk(self, template: Template, request: Request, proposal: Proposal | None = None) -> Risk:
        """How risky this is today, and never less than when it was proposed."""
        today = risk_of(template, request, at_least=self.at_least, long_life=self.long_life)
        return highest(today, proposal.risk) if proposal else today

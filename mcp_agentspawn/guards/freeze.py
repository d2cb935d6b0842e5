"""Is spawning stopped, here or everywhere?"""

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, RequestGuard, verdict_of
from mcp_agentspawn.core.verdict import Reason, Verdict


class FreezeGuard(RequestGuard):
    """People freeze and unfreeze with `agentspawn freeze`; a policy can not let anybody past it."""

    async def check(self, asked: Asked, facts: Facts) -> Verdict:
        """Deny while a freeze stops this caller's root, and when the switch itself is gone."""
        switches = await facts.switches()
        if not switches.whole:
            return verdict_of(
                [Reason("freeze.missing", "The switch that stops spawning is gone, so nothing is spawned.")]
            )
        freeze = switches.stopping(asked.caller.root)
        if freeze is None:
            return verdict_of([])
        return verdict_of([Reason("freeze.frozen", "A person has stopped all spawning here.")])

"""Does it fit the CRD that the cluster serves now, unknown fields refused? Every violation is named."""

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import ManifestGuard, Rendered, verdict_of
from mcp_agentspawn.core.verdict import Reason, Verdict


class CrdSchema(ManifestGuard):
    """The dry run names only some violations; this names all."""

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Deny for every place that does not fit."""
        violations = await facts.violations(rendered.manifest)
        return verdict_of(
            [Reason("crd.violation", violation.message[:300], violation.path) for violation in violations]
        )

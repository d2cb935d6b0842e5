"""Does the API server's strict dry run accept it as the root's virtual user, unchanged?"""

from collections.abc import Iterator
from typing import Any, ClassVar

from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import ManifestGuard, Rendered, Step, verdict_of
from mcp_agentspawn.core.verdict import Reason, Verdict


class ClusterAccess(ManifestGuard):
    """Asked at propose only: at apply the strict create itself is the verdict."""

    steps: ClassVar[frozenset[Step]] = frozenset({"propose"})

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Deny when the API server refuses it, or would store something else than what was rendered."""
        try:
            stored = await facts.trial(rendered.caller, rendered.id, rendered.manifest)
        except Refused as refusal:
            return verdict_of([Reason(f"access.{refusal.code}", refusal.message)])
        changed = sorted(_differences(stored, rendered.manifest))
        return verdict_of(
            [Reason("access.changed", "The cluster would store this differently.", path) for path in changed]
        )


def _differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            yield from _differences(left.get(key), right.get(key), f"{path}.{key}" if path else key)
    elif left != right:
        yield path

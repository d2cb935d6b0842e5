"""The registry entry that a request or a proposal names, read anew: a tag alone is never trusted."""

from collections.abc import Mapping

from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.registry import Handle, RegistryEntry
from mcp_agentspawn.core.verdict import Outcome, Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.registry import UNKNOWN
from mcp_agentspawn.operations.services import Services

CHANGED = Reason(
    "registry.entry_changed", "The entry is no longer what the search showed: search again.", "registry_entry"
)
UNANSWERED = Reason(
    "registry.unanswered", "The registry does not say what the entry is now, so it is refused.", "registry_entry"
)
OUTCOMES: Mapping[str, Outcome] = {CHANGED.code: "stale", UNANSWERED.code: "unavailable"}
"""What such a reason makes of a call, where that is not a denial."""


async def read_entry(services: Services, policy: Policy, handle: str) -> RegistryEntry | Reason | None:
    """The very entry that a handle names, as it is now, or why there is none; `None` for an empty handle.

    One that the caller may not see is answered like one that is not there.
    """
    if not handle:
        return None
    named = Handle.read(handle)
    if named is None or not _may_be_seen(policy, named):
        return UNKNOWN
    try:
        entry = await services.registries.read(named)
    except Unavailable:
        return UNANSWERED
    if entry is None or not policy.registry.sees(entry):
        return UNKNOWN
    return entry if entry.hash == named.hash else CHANGED


def _may_be_seen(policy: Policy, handle: Handle) -> bool:
    return any(scope.reaches(handle.registry, handle.namespace) for scope in policy.registry.scopes)

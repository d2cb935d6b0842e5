"""Is it within the parent's grant, and is the parent still who it was, alive and not about to leave?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from pydantic import Field

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import ManifestGuard, Rendered, verdict_of
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.lineage import excesses, misnamed
from mcp_agentspawn.core.model import FINAL_PHASES, Ancestor, Caller
from mcp_agentspawn.core.names import MAKING_TOOLS, MOST_DEPTH, SPAWN_SERVER, SPAWN_TOOLS
from mcp_agentspawn.core.switches import Switches
from mcp_agentspawn.core.verdict import Reason, Verdict

NO_IMAGE = Reason(
    "lineage.image",
    "What an image does can not be held to its parent's grant: only an orchestrator may ask for one.",
    "registry_entry",
)
ACCOUNT_RECREATED = Reason(
    "lineage.account_recreated",
    "This service account was deleted and made again; a person must say that it may go on with its tree.",
)
FIELDS = {"tool": "tools", "tool_approval": "tools", "model": "model", "depth": "template", "parameter": "parameters"}
BEYOND = {
    "tool": "The parent holds no tool {what}.",
    "tool_approval": "The parent's tool {what} needs tool approval, and so does its child's.",
    "model": "The parent may not use the model {what}.",
    "depth": "The template asks for a depth of {what}.",
    "parameter": "The value of {what} is not within the parent's.",
}


class LineageGuard(ManifestGuard):
    """A child holds no more than its parent; below a root's own subagents are at most `most_depth` generations."""

    most_depth: int = Field(default=0, ge=0, le=MOST_DEPTH)

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Deny for everything that goes beyond the parent, the policy or the hard limit."""
        caller = rendered.caller
        ancestors = await facts.ancestors(caller)
        reasons = [*_names(rendered), *_spawning(rendered, await facts.tools(caller))]
        if reason := account_recreated(caller, await facts.ledger(caller), await facts.switches()):
            reasons.append(reason)
        if rendered.grant.depth > self.most_depth - len(ancestors):
            reasons.append(Reason("lineage.depth", "The policy allows no such depth here.", "template"))
        if caller.agent and rendered.agent.image:
            reasons.append(NO_IMAGE)
        if caller.agent:
            reasons += _parent(rendered, ancestors, await facts.ledger(caller, fresh=True), facts.now)
        return verdict_of(reasons)


def account_recreated(caller: Caller, ledger: Ledger, switches: Switches) -> Reason | None:
    """Why this root's service account must not go on with its tree; `None` when it may, and for subagents."""
    known = not caller.account or ledger.account in {"", caller.account}
    return None if known or switches.accepts(caller.root.name, caller.account) else ACCOUNT_RECREATED


def _names(rendered: Rendered) -> Iterator[Reason]:
    grant = rendered.grant
    for field, names in (("tools", grant.tools), ("model", grant.models)):
        if any(misnamed(names)):
            message = "A name has no wildcard, no space, no trailing dot and plain letters only."
            yield Reason("lineage.name", message, field)


def _spawning(rendered: Rendered, offered: Mapping[str, Iterable[str]]) -> Iterator[Reason]:
    """A spawn tool is held by depth alone, and not through another server that offers the same."""
    for selection in rendered.agent.tools:
        if selection.server == SPAWN_SERVER:
            proper = rendered.grant.depth > 0 and set(selection.tools) == set(SPAWN_TOOLS)
        else:
            proper = not any(map(_makes, (*selection.tools, *offered.get(selection.server, ()))))
        if not proper:
            message = f"The server {selection.server[:64]} makes agents: only depth gives its tools."
            yield Reason("lineage.spawn_tool", message, "tools")


def _makes(tool: str) -> bool:
    """Whether this is a tool that makes agents; gateways put a prefix before the names of others' tools."""
    return tool.lower().replace("-", "_").endswith(MAKING_TOOLS)


def _parent(rendered: Rendered, ancestors: Sequence[Ancestor], ledger: Ledger, now: datetime) -> Iterator[Reason]:
    if not _is_whole(rendered, ancestors):
        yield Reason("lineage.broken", "The line from this caller to its root is broken or goes in a circle.")
        return
    for ancestor in ancestors:
        if problem := _absence(ancestor, ledger, now):
            yield Reason(f"lineage.{problem}", "A subagent above this one is gone, leaving, or no longer the same.")
    parent = ancestors[0]
    if parent.agent is not None and now + rendered.request.lifetime > parent.agent.expires_at:
        minutes = max(0, int((parent.agent.expires_at - now).total_seconds() // 60))
        message = f"It would outlive its parent, which has {minutes} minutes left."
        yield Reason("lineage.lifetime", message, "lifetime_minutes")
    for excess in excesses(rendered.grant, parent.proposal.grant):
        message = BEYOND[excess.kind].format(what=excess.what[:128])
        yield Reason(f"lineage.{excess.kind}", message, FIELDS[excess.kind])


def _is_whole(rendered: Rendered, ancestors: Sequence[Ancestor]) -> bool:
    """From the caller to the root, each named by the one below it, and none twice."""
    ids = [ancestor.proposal.id for ancestor in ancestors]
    named = [rendered.caller.agent, *(ancestor.proposal.parent for ancestor in ancestors)]
    of_root = all(ancestor.proposal.root == rendered.caller.root.name for ancestor in ancestors)
    return of_root and named == [*ids, ""] and len({*ids, rendered.id}) == len(ids) + 1


def _absence(ancestor: Ancestor, ledger: Ledger, now: datetime) -> str:
    proposal, agent = ancestor.proposal, ancestor.agent
    if agent is None or proposal.phase in FINAL_PHASES or proposal.id not in ledger.live:
        return "parent_gone"
    if agent.uid != (proposal.agent_uid or agent.uid) or agent.request_digest != proposal.request_digest:
        return "parent_recreated"
    if proposal.phase == "quarantined":
        return "parent_quarantined"
    if agent.deleting or proposal.phase == "retiring":
        return "parent_retiring"
    return "parent_expired" if agent.expires_at <= now else ""

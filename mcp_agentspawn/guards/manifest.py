"""Does the rendered agent keep the invariants: models and tools within the template's and present, and no more?"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from pydantic import Field

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import ManifestGuard, Rendered, verdict_of
from mcp_agentspawn.core.model import ToolSelection
from mcp_agentspawn.core.names import SPAWN_SERVER
from mcp_agentspawn.core.render import MOST_ID_CHARACTERS
from mcp_agentspawn.core.template import MOST_LIFETIME
from mcp_agentspawn.core.verdict import Allow, Reason, Verdict

MOST_NAMED_CHARACTERS = 256
QUESTION = "ask_user"
"""kagent's own tool for questions, which a caller answers: a server's tool of that name would need no person."""
ID = re.compile(r"sub-[a-z]([-a-z0-9]*[a-z0-9])?\Z")


class ManifestInvariants(ManifestGuard):
    """At most `most_tools` tools in all (models choose badly among more); 0 means none.

    `tool_approvals` says who answers when a subagent waits for a tool approval: `people`, or `none`; then no subagent
    holds a tool that needs one.
    """

    most_tools: int = Field(default=18, ge=0, le=50)
    tool_approvals: Literal["people", "none"] = "people"

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Deny for everything that is not as the template says, or that is not there."""
        reasons = [*_identity(rendered), *_lifetime(rendered), *_model(rendered), *self._tools(rendered)]
        if reasons:
            return verdict_of(reasons)
        seen = await _present(rendered, facts, fresh=False)
        return seen if isinstance(seen, Allow) else await _present(rendered, facts, fresh=True)

    def _tools(self, rendered: Rendered) -> Iterator[Reason]:
        selections = rendered.agent.tools
        if sum(len(selection.tools) for selection in selections) > self.most_tools:
            yield Reason("manifest.too_many_tools", f"A subagent may hold {self.most_tools} tools.", "tools")
        if len({selection.server for selection in selections}) != len(selections):
            yield Reason("manifest.server_repeated", "Each tool server may be named once.", "tools")
        for selection in selections:
            yield from _selection(rendered, selection)
            yield from self._tool_approvals(selection)

    def _tool_approvals(self, selection: ToolSelection) -> Iterator[Reason]:
        if selection.ask_first and self.tool_approvals == "none":
            named = ", ".join(f"{selection.server}/{tool}" for tool in selection.ask_first)[:MOST_NAMED_CHARACTERS]
            message = f"Nobody here answers tool approvals, and these tools need one: {named}."
            yield Reason("manifest.tool_approval_unanswerable", message, "tools")


def _identity(rendered: Rendered) -> Iterator[Reason]:
    agent, root = rendered.agent, rendered.caller.root
    if agent.lineage.depth != rendered.grant.depth:
        yield Reason("manifest.depth", "A subagent is stamped with the depth that it is granted.", "metadata")
    if agent.id != rendered.id or not ID.match(agent.id) or len(agent.id) > MOST_ID_CHARACTERS:
        yield Reason("manifest.name", "A subagent bears the id of its proposal.", "metadata.name")
    if agent.lineage.root != root or agent.lineage.parent != rendered.caller.agent:
        yield Reason("manifest.owner", "A subagent is stamped with its caller and lives in its namespace.", "metadata")
    if agent.lineage.template != rendered.template.name:
        yield Reason("manifest.template", "A subagent is stamped with the template it was made from.", "metadata")
    if agent.lineage.entry != rendered.request.entry:
        message = "A subagent is stamped with the registry entry that it was made of."
        yield Reason("manifest.registry_entry", message, "metadata")


def _lifetime(rendered: Rendered) -> Iterator[Reason]:
    most = min(rendered.template.lifetime.most, MOST_LIFETIME)
    if not timedelta(0) < rendered.agent.lineage.lifetime <= most:
        minutes = int(most.total_seconds() // 60)
        yield Reason("manifest.lifetime", f"This template allows 1 to {minutes} minutes.", "lifetime_minutes")


def _model(rendered: Rendered) -> Iterator[Reason]:
    image = rendered.template.agent.image
    if bool(rendered.agent.image) != bool(image):
        yield Reason("manifest.image", "A subagent is of an image when its template is, and only then.", "template")
    if rendered.agent.model not in (rendered.template.models or ("",)):
        yield Reason("manifest.model_not_allowed", "The template does not allow this model.", "model")


def _selection(rendered: Rendered, selection: ToolSelection) -> Iterator[Reason]:
    if selection.server == SPAWN_SERVER and rendered.template.depth > 0:
        return  # which of its tools, and who may have them, is for lineage to say
    rule = rendered.template.tools.get(selection.server)
    if rule is None:
        yield Reason("manifest.tool_not_allowed", f"The template allows no tools of {selection.server[:64]}.", "tools")
        return
    for tool in selection.tools:
        if tool not in rule.allow or tool == QUESTION:
            name = f"{selection.server}/{tool}"[:128]
            yield Reason("manifest.tool_not_allowed", f"The template does not allow {name}.", "tools")
    if not selection.tools:
        yield Reason("manifest.no_tools_named", "No tools means all tools to kagent: name them.", "tools")
    if not set(selection.tools) & set(rule.ask_first) <= set(selection.ask_first):
        yield Reason("manifest.tool_approval", "A tool that needs tool approval lost it.", "tools")


async def _present(rendered: Rendered, facts: Facts, *, fresh: bool) -> Verdict:
    models = await facts.models(rendered.caller, fresh=fresh)
    servers = await facts.tools(rendered.caller, fresh=fresh)
    reasons = []
    if rendered.agent.model not in models and not rendered.agent.image:
        message = f"There is no ModelConfig {rendered.agent.model} in the subagents' namespace."
        reasons.append(Reason("manifest.model_missing", message, "model"))
    for selection in rendered.agent.tools:
        offered = servers.get(selection.server, frozenset())
        reasons += [
            Reason(
                "manifest.tool_missing",
                f"{selection.server}/{tool} is not offered in the subagents' namespace.",
                "tools",
            )
            for tool in selection.tools
            if tool not in offered
        ]
    return verdict_of(reasons)

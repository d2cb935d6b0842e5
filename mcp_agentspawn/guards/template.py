"""May this caller use this template? The policy lists it, and RBAC grants verb `use` on it."""

from pydantic import Field

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.guard import Asked, RequestGuard, verdict_of
from mcp_agentspawn.core.verdict import Reason, Verdict


class TemplateGuard(RequestGuard):
    """Templates by name; an empty list allows none."""

    allow: tuple[str, ...] = Field(default=(), strict=False)

    async def check(self, asked: Asked, facts: Facts) -> Verdict:
        """Deny what is unknown, not listed, or not granted by RBAC; one code, so that nobody learns which."""
        name = asked.request.template
        listed = asked.template is not None and name in self.allow
        if listed and await facts.may_use(asked.caller, name):
            return verdict_of([])
        message = "There is no such template for you. list_templates names those that you may use."
        return verdict_of([Reason("template.not_allowed", message, "template")])

"""Look at what a caller has and may do: what is below it and its templates, never anyone else's."""

import asyncio
from collections.abc import Mapping

from mcp_agentspawn.core.expiry import told_crashes
from mcp_agentspawn.core.model import Caller, Phase, Proposal, Request, Subagent
from mcp_agentspawn.core.outcomes import Outcomes
from mcp_agentspawn.core.risk import PEOPLE
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Entry, Found, Listing, Refusal, TemplateOffer, Templates
from mcp_agentspawn.operations.descent import below, is_below, seen_since
from mcp_agentspawn.operations.outcomes import track_record
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.operations.views import allowance, entry, history

NEXT_STEPS: Mapping[Phase, str] = {
    "lapsed": "It is gone; propose anew.",
    "retired": "It is gone; propose anew.",
    "quarantined": "It gets no more work; a person looks into it, or time removes it.",
    "ready": "Give it work with delegate_task, and retire it when that is done.",
}

UNKNOWN = Reason("agent.unknown", "You have no such subagent and no such proposal.", "agent")


async def list_subagents(services: Services, caller: Caller) -> Listing | Refusal:
    """The caller's living subagents and open proposals, and what it may still do."""
    policy = services.rules.current().policy_for(caller.root)
    if policy is None:
        return await refuse(services, caller, "list_subagents", (NO_POLICY,))
    ledger = await services.facts().ledger(caller, fresh=True)
    # Each is read by itself: a list costs as much as there are subagents of everybody, and proposals that have ended.
    found = await asyncio.gather(*(_read(services, caller, id_) for id_ in sorted(below(caller, ledger.parents()))))
    entries = [Entry(**entry(proposal, agent, ledger)) for proposal, agent in filter(None, found)]
    return Listing(subagents=tuple(entries), allowance=allowance(policy, caller, ledger))


async def _read(services: Services, caller: Caller, id_: str) -> tuple[Proposal, Subagent | None] | None:
    """The caller's proposal of this id and its agent, if it has one; `None` when it has no such proposal."""
    proposal, agent = await asyncio.gather(services.proposals.get(id_), services.agents.get(caller.root.home, id_))
    if proposal is None or proposal.root != caller.root.name:
        return None
    standing = await seen_since(services, proposal, agent)
    is_own = standing is not None and standing.virtual_user == caller.root.virtual_user
    return proposal, standing if is_own else None


async def get_subagent(services: Services, caller: Caller, agent: str) -> Found | Refusal:
    """One own subagent or proposal, also one that is gone."""
    read, ledger = await asyncio.gather(_read(services, caller, agent), services.ledgers.look(caller.root.name))
    if read is None or not await is_below(services, caller, read[0].parent):
        return await refuse(services, caller, "get_subagent", (UNKNOWN,))
    proposal, standing = read
    fields = entry(proposal, standing, ledger)
    return Found(
        **fields,
        next_step=NEXT_STEPS.get(fields["phase"], ""),
        history=history(proposal),
        crashes=told_crashes(proposal),
        record=track_record(ledger, proposal.request.template, proposal.request.entry),
        tasks=await _open_tasks(services, caller, agent) if standing else (),
    )


async def _open_tasks(services: Services, caller: Caller, agent: str) -> tuple[str, ...]:
    """The caller's own tasks of this agent that have not ended."""
    tasks = await services.tasks.of_agent(agent)
    return tuple(sorted(task.id for task in tasks if task.belongs_to(caller) and not task.ended))


async def list_templates(services: Services, caller: Caller) -> Templates | Refusal:
    """The templates that policy and RBAC let this caller use, each with its risk when nothing but defaults is asked."""
    rules = services.rules.current()
    policy = rules.policy_for(caller.root)
    if policy is None:
        return await refuse(services, caller, "list_templates", (NO_POLICY,))
    ledger = await services.facts().ledger(caller, fresh=True)
    usable = await usable_templates(services, caller, policy)
    return Templates(
        templates=tuple(_offer(template, policy, ledger.outcomes) for template in usable),
        allowance=allowance(policy, caller, ledger),
        next_step="Call propose_subagent with one of these." if usable else "Ask the platform team for a template.",
    )


async def usable_templates(services: Services, caller: Caller, policy: Policy) -> list[Template]:
    """What the policy allows and RBAC grants, by name."""
    templates = services.rules.current().templates
    listed = [templates[name] for name in sorted(policy.template.allow) if name in templates]
    granted = await asyncio.gather(*(services.access.may_use(caller.root, template.name) for template in listed))
    return [template for template, may in zip(listed, granted, strict=True) if may]


def _offer(template: Template, policy: Policy, outcomes: Mapping[str, Outcomes]) -> TemplateOffer:
    tools = template.tools.items()
    defaults = tuple(f"{server}/{tool}" for server, rule in tools for tool in rule.default)
    asked = Request(template.name, "", {}, defaults, template.default_model, template.lifetime.default)
    risk = policy.approval.risk(template, asked, outcomes=outcomes)
    return TemplateOffer(
        name=template.name,
        description=template.description,
        keywords=tuple(template.keywords),
        risk=risk,
        needs_approval=PEOPLE[risk] > 0,
        parameters=_parameters(template),
        models=tuple(template.models),
        tools=tuple(f"{server}/{tool}" for server, rule in tools for tool in rule.allow),
        default_tools=defaults,
        default_lifetime_minutes=int(template.lifetime.default.total_seconds() // 60),
        most_lifetime_minutes=int(template.lifetime.most.total_seconds() // 60),
    )


def _parameters(template: Template) -> tuple[str, ...]:
    required = template.parameters.get("required", [])
    properties = template.parameters.get("properties", {})
    return tuple(_line(name, schema, required=name in required) for name, schema in properties.items())


def _line(name: str, schema: dict[str, object], *, required: bool) -> str:
    if "from_registry" in schema:
        return f"{name} (not yours to give: the {schema['from_registry']} of the registry_entry that you name)"
    bounds = [f"{key} {value}" for key, value in schema.items() if key not in {"type", "description", "title"}]
    facts = ", ".join([str(schema["type"]), "required" if required else "optional", *bounds])
    return f"{name} ({facts}): {schema.get('description', '')}"

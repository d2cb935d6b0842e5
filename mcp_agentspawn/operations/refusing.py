"""How a refusal is said and recorded: stable codes to the caller and the audit, details to the audit only."""

from collections.abc import Sequence

from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.core.verdict import Decision, Outcome, Reason
from mcp_agentspawn.operations.answers import Refusal
from mcp_agentspawn.operations.services import Services

NO_POLICY = Reason("policy.none", "No policy, or more than one, is for this caller, so nothing is allowed.")

NEXT_STEPS = {
    "access": "Ask the platform team: the cluster does not let this caller do it.",
    "agent.gone": "Propose another subagent with propose_subagent.",
    "agent.not_ready": "Call get_subagent every few seconds until its phase is ready, then make the same call again.",
    "agent.quarantined": "Do the work in another way, and tell your user: a person looks into it, or time removes it.",
    "agent": "Call list_subagents to see your own subagents.",
    "approval": "Do not ask again for the same; tell your user that a person decided against it.",
    "content": "Say it in plain words, without credentials and without instructions to the subagent's model.",
    "freeze": "Wait until a person allows spawning again; looking and retiring still work.",
    "lineage": "Ask for less than you hold yourself: fewer tools, a shorter life, a template with less depth.",
    "manifest": "Call list_templates and choose among the models, tools and lifetimes of the template.",
    "parameters": "Correct the named fields and propose again; list_templates shows what the template takes.",
    "policy": "Ask the platform team to add a policy for this caller.",
    "proposal": "Propose again with propose_subagent; list_subagents shows your open proposals.",
    "quota": "Retire what you no longer need with retire_subagent, or wait.",
    "rate": "Wait a minute, then try again.",
    "registry.parameter_given": "Leave the named parameters out and propose again: the registry entry fills them.",
    "registry.running": "Give the work to the agent that is named: it runs already.",
    "registry": "Search again with search_agents_agentregistry and take a hit that is spawnable.",
    "task.busy": "Wait with get_task until one of its tasks has ended, or delegate to another subagent.",
    "task.not_cancelable": "Wait for its end with get_task, or stop all of its work with retire_subagent.",
    "task.not_waiting": "Call get_task with wait_seconds until it has ended or asks something.",
    "task.other_agent": "Name the subagent that has this task, or leave task empty for new work.",
    "task.tool_approval": "Tell your user that a person must decide (agentspawn answer, with this task's handle).",
    "task.too_many_replies": "Cancel it with cancel_task and begin anew with all that it needs to know.",
    "task.unreachable": "Make the same call again in a few seconds; if it stays so, retire it and propose another.",
    "task": "Use a handle that delegate_task returned to you; get_subagent lists your tasks that have not ended.",
    "template": "Call list_templates and choose one of those.",
}
OTHERWISE = "Do not repeat this call unchanged; the reasons say what to change."


async def refuse(
    services: Services,
    caller: Caller,
    tool: str,
    reasons: tuple[Reason, ...],
    *,
    outcome: Outcome = "denied",
    subject: str = "",
    detail: str = "",
) -> Refusal:
    """Record the refusal and say it."""
    codes = tuple(reason.code for reason in reasons)
    details = {"tool": tool, "detail": detail} if detail else {"tool": tool}
    await services.audit.write(
        Record("refused", caller.root.name, caller.agent, subject, outcome=outcome, reasons=codes, details=details)
    )
    return Refusal(outcome=outcome, reasons=reasons, next_step=_next_step(codes))


async def refuse_by(
    services: Services,
    caller: Caller,
    tool: str,
    decision: Decision,
    *,
    subject: str = "",
    outcome: Outcome = "denied",
    more: Sequence[Reason] = (),
) -> Refusal:
    """Record and say what the chain decided, and what `more` there is to know about it."""
    detail = "; ".join(finding.detail for finding in decision.findings if finding.detail)
    reasons = (*decision.reasons, *more)
    return await refuse(services, caller, tool, reasons, outcome=outcome, subject=subject, detail=detail)


def _next_step(codes: tuple[str, ...]) -> str:
    if any(code.endswith(".unanswered") for code in codes):
        return "Try the same call again in a few seconds."
    first = codes[0] if codes else ""
    return NEXT_STEPS.get(first) or NEXT_STEPS.get(first.partition(".")[0], OTHERWISE)

"""An orchestrator's mind: it has a subagent made, gives it work as soon as it is ready, and retires it."""

from typing import Any

from mcp_agentspawn.localplane.agents.scripted_model import Call
from tests.agents.models import Turn

ENDED = {"completed", "canceled", "failed", "rejected"}


def hire(turn: Turn) -> Call | str:
    """Do with one new subagent what was asked, step by step as the answers say."""
    tool, answer = turn.last
    if not tool:
        return "propose_subagent", _proposal(turn.asked)
    made = [answer["agent"] for name, answer in turn.done if name == "apply_subagent" and "agent" in answer]
    if not made:
        assert answer["outcome"] in {"allowed", "unavailable"}, answer
        return "apply_subagent", _handle(turn)
    agent = str(made[0])
    if tool == "apply_subagent" or _too_early(answer):
        return "delegate_task", {"agent": agent, "message": f"Look into it. {turn.asked}", "wait_seconds": 10}
    if answer.get("state", "completed") not in ENDED:
        return "get_task", {"task": answer["task"], "wait_seconds": 5}
    if "state" in answer or answer["not_yet"]:
        return "retire_subagent", {"agent": agent, "reason": "its work is done"}
    return f"It says: {[answer['result'] for _, answer in turn.done if answer.get('result')][-1]}"


def _handle(turn: Turn) -> dict[str, Any]:
    proposed = next(answer for name, answer in turn.done if name == "propose_subagent")
    return {name: proposed[name] for name in ("proposal", "digest")}


def _too_early(answer: Any) -> bool:
    return [reason["code"] for reason in answer.get("reasons", [])] == ["agent.not_ready"]


def _proposal(asked: str) -> dict[str, Any]:
    parameters = [{"name": "topic", "value": asked}]
    return {"template": "researcher", "purpose": asked, "parameters": parameters}

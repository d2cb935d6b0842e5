"""A subagent lives and works: it is ready, gets a task, asks back, answers; the agent confirms it, then the audit."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mcp_agentspawn.cli.dev.models import SCRIPTED
from mcp_agentspawn.cli.dev.telling import AgentWitness, Caller, Teller, Unconfirmed, Witness, caller, command
from mcp_agentspawn.cli.dev.waiting import until
from mcp_agentspawn.cli.dev.world import LocalWorld
from mcp_agentspawn.core.delegation import ENDED
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.names import DEFAULT_HOME

TASK = "What does an admission policy see of a request that impersonates a user?"
WISH = "Before you begin, ask me what you have to know, then say it back."
ANSWER = "It is about Kubernetes 1.36."
READY_WITHIN_SECONDS = 60.0
DONE_WITHIN_SECONDS = 180.0
WAIT_SECONDS = 20
SHOWN_LINES = 12
COMPARED_CHARACTERS = 60
TOLD_EVENTS = ("apply.outcome", "handshake.outcome", "task.outcome", "retire.outcome")


async def live(world: LocalWorld, teller: Teller, agent: str) -> bool:
    """Wait until it is ready: it runs, kagent's status says so, and it shows the card that was approved."""
    async with (
        world.cluster.plane.admin.session() as admin,
        caller("call", world.mcp_url, world.cluster.credentials.callers["orchestrator"], teller) as orchestrator,
    ):
        with suppress(Unconfirmed):
            await _be_ready(world, Witness(admin), orchestrator, agent)
            return True
    return False


async def work(world: LocalWorld, teller: Teller, agent: str) -> list[str]:
    """Give it work and answer what it asks; gives back the handles of its tasks."""
    tasks: list[str] = []
    async with (
        world.cluster.plane.admin.session() as admin,
        caller("call", world.mcp_url, world.cluster.credentials.callers["orchestrator"], teller) as orchestrator,
    ):
        itself = AgentWitness(world.agents.url.format(namespace=DEFAULT_HOME, name=agent))
        with suppress(Unconfirmed):
            tasks.append(await _delegate(orchestrator, Witness(admin), itself, agent))
            if world.model.model == SCRIPTED:  # what a real one asks is its own affair
                tasks.append(await _be_asked(orchestrator, Witness(admin), itself, agent))
    return tasks


async def account(world: LocalWorld, teller: Teller, agent: str, tasks: list[str]) -> None:
    """Show what the audit says of it all, and that nobody has altered it."""
    teller.step(f"The audit of {agent}: who did what, each before and after it was done")
    records = await asyncio.to_thread(_records, world, {agent, *tasks})
    for record in records:
        teller.line(record["time"][11:19], f"{record['event']} {record['subject']} {record['outcome']}".rstrip())
    events = {record["event"] for record in records}
    for event in TOLD_EVENTS:
        teller.confirm(event in events, f"it tells of {event}")
    said = await asyncio.to_thread(world.audit_file.read_text, "utf-8")
    teller.confirm(TASK not in said and WISH not in said, "no word of what was asked stands in it")
    code = await command(teller, world.kubeconfig, "audit", "verify", str(world.audit_file))
    teller.confirm(code == 0, "nothing of it was altered or removed, say the hashes and the ledgers in the cluster")


def _records(world: LocalWorld, subjects: set[str]) -> list[dict[str, Any]]:
    lines = world.audit_file.read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["subject"] in subjects]


async def _be_ready(world: LocalWorld, witness: Witness, orchestrator: Caller, agent: str) -> None:
    teller = orchestrator.teller
    teller.step("The subagent starts, in kagent's own runtime; the orchestrator waits until it is ready")
    phase = ""

    async def ready() -> bool:
        nonlocal phase
        found = (await orchestrator.session.call_tool("get_subagent", {"agent": agent})).structured_content or {}
        phase = str(found.get("phase", ""))
        return phase == "ready"

    with suppress(Unavailable):
        await until(ready, READY_WITHIN_SECONDS, "")
    teller.line("answer", f"get_subagent says {phase}")
    teller.need(phase == "ready", f"{agent} shows the card that was approved")
    teller.confirm(await witness.is_ready(DEFAULT_HOME, agent), "the Agent's status says Ready=True")
    process = world.agents.process_id(DEFAULT_HOME, agent)
    teller.confirm(process is not None, f"it is process {process} on this machine")


async def _delegate(orchestrator: Caller, witness: Witness, itself: AgentWitness, agent: str) -> str:
    teller = orchestrator.teller
    teller.step("The orchestrator gives it a task, and waits for what comes of it")
    answer = await orchestrator.call("delegate_task", agent=agent, message=TASK, wait_seconds=WAIT_SECONDS)
    answer = await _ended(orchestrator, answer)
    await _confirm(teller, witness, itself, answer)
    return str(answer["task"])


async def _be_asked(orchestrator: Caller, witness: Witness, itself: AgentWitness, agent: str) -> str:
    teller = orchestrator.teller
    teller.step("It gets another task, and asks back; the orchestrator answers by the task's handle")
    asked = await orchestrator.call("delegate_task", agent=agent, message=WISH, wait_seconds=WAIT_SECONDS)
    _show(teller, asked)
    teller.need((asked.get("state"), asked.get("asks")) == ("input_required", "question"), "it waits for an answer")
    again = {"agent": agent, "task": asked["task"], "message": ANSWER, "wait_seconds": WAIT_SECONDS}
    answer = await _ended(orchestrator, await orchestrator.call("delegate_task", **again))
    teller.confirm(answer.get("task") == asked["task"], "it is the same task")
    await _confirm(teller, witness, itself, answer)
    teller.confirm(ANSWER in answer.get("result", ""), "it got the answer")
    return str(answer["task"])


async def _ended(orchestrator: Caller, answer: dict[str, Any]) -> dict[str, Any]:
    """Its last answer; a real model may take its time."""
    task = str(answer.get("task", ""))
    orchestrator.teller.need(task != "", "there is a task")
    latest = answer

    async def ended() -> bool:
        nonlocal latest
        if latest["state"] not in ENDED:
            latest = await orchestrator.call("get_task", task=task, wait_seconds=WAIT_SECONDS)
        return latest["state"] in ENDED

    with suppress(Unavailable):
        await until(ended, DONE_WITHIN_SECONDS, "")
    return latest


async def _confirm(teller: Teller, witness: Witness, itself: AgentWitness, answer: Mapping[str, Any]) -> None:
    _show(teller, answer)
    task = str(answer["task"])
    stored = await witness.task(task)
    teller.need(stored.get("state") == "completed", f"SubagentTask {task} is completed")
    state, text = await itself.task(str(stored.get("remote", "")))
    teller.confirm(state == "completed", "the agent itself says, over A2A, that it is done")
    begin = text[:COMPARED_CHARACTERS]
    teller.confirm(
        begin != "" and begin in answer["result"], "the result is what it said, fenced as data of a stranger"
    )


def _show(teller: Teller, answer: Mapping[str, Any]) -> None:
    teller.line("state", f"{answer.get('state')}{', asks a ' + answer['asks'] if answer.get('asks') else ''}")
    lines = str(answer.get("result", "")).splitlines()
    for line in lines[:SHOWN_LINES]:
        teller.line("", line[:200])
    if len(lines) > SHOWN_LINES:
        teller.line("", f"... and {len(lines) - SHOWN_LINES} lines more")

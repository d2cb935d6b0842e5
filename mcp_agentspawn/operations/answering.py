"""Whether a person's answer has reached the subagent that waits for it."""

import asyncio

from mcp_agentspawn.core.answering import waits_for_people
from mcp_agentspawn.core.delegation import Task, Tasks

LOOK_SECONDS = 0.25


async def is_taken(tasks: Tasks, task: Task, within_seconds: float) -> bool:
    """Whether it stops to wait with these calls within this time: the agent has taken the answer, or it has ended."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_seconds
    while True:
        current = await tasks.get(task.id)
        if current is None or not waits_for_people(current) or current.pending != task.pending:
            return True
        if loop.time() >= until:
            return False
        await asyncio.sleep(min(LOOK_SECONDS, within_seconds))

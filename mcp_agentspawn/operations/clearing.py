"""Clear away what people once said about what is long gone: decisions, answers and resets."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from mcp_agentspawn.core.clearing import answered, outdated, worn_out
from mcp_agentspawn.core.expiry import Action
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.operations.acting import recorded
from mcp_agentspawn.operations.services import Services

Due = tuple[str, str, Callable[[], Awaitable[None]]]
"""The root that it is about (`""`: none), its name, and how it is removed."""


async def clear(services: Services, accounts: Mapping[str, str]) -> Sequence[Action]:
    """One pass; returns what was removed. `accounts` are the uids of the roots' service accounts, by root."""
    decisions, answers, resets = await asyncio.gather(
        _decisions(services), _answers(services), _resets(services, accounts)
    )
    return [
        action
        for root, name, work in (*decisions, *answers, *resets)
        if await recorded(services, root, action := Action("clear", name), partial(_all_of, work))
    ]


async def _decisions(services: Services) -> Sequence[Due]:
    now = services.clock.now()
    if not (old_enough := outdated(now, await services.approvals.all(), ())):
        return []
    proposals = {proposal.id for proposal in await services.proposals.all()}
    return [("", old.name, partial(services.approvals.delete, old)) for old in outdated(now, old_enough, proposals)]


async def _answers(services: Services) -> Sequence[Due]:
    now = services.clock.now()
    if not (old_enough := answered(now, await services.task_answers.all(), ())):
        return []
    tasks = {task.id for task in await services.tasks.all()}
    return [("", old.name, partial(services.task_answers.delete, old)) for old in answered(now, old_enough, tasks)]


async def _resets(services: Services, accounts: Mapping[str, str]) -> Sequence[Due]:
    switches = await services.switchboard.current(fresh=True)
    return [
        (old.root, old.name, partial(services.switchboard.forget, old))
        for old in worn_out(services.clock.now(), switches.resets, accounts)
    ]


async def _all_of(work: Callable[[], Awaitable[None]], _head: Head) -> bool:
    await work()
    return True

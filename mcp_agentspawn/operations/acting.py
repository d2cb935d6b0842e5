"""Do what was planned about one root: each id read afresh, planned again, and only then acted on.

Whoever plans may have seen what is long past. So it does not matter how many do this at once, or who is killed at it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.expiry import REMOVALS, Action, Seen, generation, plan
from mcp_agentspawn.core.ledger import Head
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations import removing
from mcp_agentspawn.operations.afresh import in_reach, read_afresh
from mcp_agentspawn.operations.announcing import announce
from mcp_agentspawn.operations.handshake import greet
from mcp_agentspawn.operations.likeness import Likeness
from mcp_agentspawn.operations.quarantine import isolate, quarantine
from mcp_agentspawn.operations.services import Services

Work = Callable[[Head], Awaitable[bool]]
"""Does what an action says once its intent is written, and returns whether it is done."""


async def always() -> bool:
    """For whoever needs nobody's leave."""
    return True


def waves(hint: Seen, actions: Iterable[Action]) -> Iterator[Sequence[Action]]:
    """What may be done at the same time: first all that removes no agent, then the removals, the deepest first."""

    def turn(action: Action) -> int:
        return -generation(hint, action.id) if action.verb in REMOVALS else -len(hint.agents) - 1

    for _, wave in groupby(sorted(actions, key=turn), key=turn):
        yield list(wave)


async def act(
    services: Services,
    hint: Seen,
    actions: Iterable[Action],
    *,
    at_once: int = 1,
    turns: asyncio.Semaphore | None = None,
    likeness: Likeness | None = None,
    may_go_on: Callable[[], Awaitable[bool]] = always,
) -> Sequence[Action]:
    """Do what is still due of these, so many at once, for as long as `may_go_on`; returns what was done.

    `turns` are shared with others who act: each action takes one. `likeness` learns of agents that differ.
    Raises `Unavailable` when the audit can not be written: without it nothing is changed.
    """
    done, failures = list[Action](), list[Exception]()
    turns, likeness = turns or asyncio.Semaphore(at_once), likeness or Likeness()
    for some in (
        wave[start : start + at_once] for wave in waves(hint, actions) for start in range(0, len(wave), at_once)
    ):
        if not await may_go_on():
            break
        try:
            done += await _together(services, hint, some, turns, likeness)
        except Upstream:
            raise
        except Exception as error:  # noqa: BLE001 - raised below: what one comes to keeps none of the others
            failures.append(error)
    if failures:
        raise failures[0]
    return done


async def _together(
    services: Services, hint: Seen, actions: Sequence[Action], turns: asyncio.Semaphore, likeness: Likeness
) -> Sequence[Action]:
    try:
        due = await _still_due(services, hint, actions, likeness)
    except Upstream:
        return []

    async def one(seen: Seen, action: Action) -> bool:
        async with turns:
            return await _one(services, seen, action)

    results = await asyncio.gather(*(one(seen, action) for seen, action in due), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [action for (_, action), is_done in zip(due, results, strict=True) if is_done]


async def _still_due(
    services: Services, hint: Seen, actions: Sequence[Action], likeness: Likeness
) -> list[tuple[Seen, Action]]:
    """What is due about these ids, as they are now. A task needs nothing else to be read.

    One of which it can not be said now why it differs is left, and looked at again.
    """
    tasks = [(hint, action) for action in actions if action.verb == "drop"]
    ids = {action.id for action in actions if action.verb != "drop"}
    if not ids:
        return tasks
    fresh = await read_afresh(services, hint, ids)
    unsaid = await likeness.find_out(services, fresh, ids)
    fresh = likeness.applied(fresh)
    planned = [action for action in plan(services.clock.now(), fresh) if action.id in ids]
    return [*tasks, *((fresh, action) for action in planned if action.reason != "drift" or action.id not in unsaid)]


async def _one(services: Services, seen: Seen, action: Action) -> bool:
    if action.verb == "greet":  # asking changes nothing; what follows from the answer is recorded there
        return await _greet(services, seen, action)
    return await recorded(services, seen.ledger.root, action, partial(_do, services, seen, action))


async def recorded(services: Services, root: str, action: Action, work: Work) -> bool:
    """Do it between its intent and its outcome in the audit; what the world does not let happen is left.

    One that can not be done must not keep the others waiting.
    """
    head = await services.audit.write(_record("repair.intent", root, action))
    try:
        done = await work(head)
    except Upstream:
        done = False
    await services.audit.write(_record("repair.outcome", root, action, outcome="done" if done else "left"))
    return done


async def _greet(services: Services, seen: Seen, action: Action) -> bool:
    proposal = seen.proposals[action.id]
    try:
        return (await greet(services, seen.agents[action.id], proposal)).phase != proposal.phase
    except Upstream:
        return False


async def _do(services: Services, seen: Seen, action: Action, head: Head) -> bool:
    match action.verb:
        case "mark":
            await services.proposals.mark(seen.proposals[action.id], "starting", agent_uid=action.uid)
        case "quarantine":
            agent, proposal = seen.agents[action.id], seen.proposals[action.id]
            await quarantine(services, agent, proposal, action.reason, head)
        case "cordon":
            await isolate(services, seen.agents[action.id], seen.proposals[action.id], head)
        case "alert":
            crashes = seen.crashes[action.id]
            await services.proposals.note_crashes(seen.proposals[action.id], crashes)
            message = f"It has crashed {crashes} times; a few more, and it is cut off."
            announce(services, seen.agents[action.id], "Crashing", message, warning=True)
        case "drop":
            return await _drop(services, action.id)
        case _:
            return await removing.remove(services, seen, action, head)
    return True


async def _drop(services: Services, id_: str) -> bool:
    """What has ended stays so; one that is not counted yet is looked after first."""
    task = await services.tasks.get(id_)
    if task is None or not task.ended or not task.counted:
        return False
    await services.tasks.delete(task)
    return True


def _record(event: str, root: str, action: Action, outcome: str = "") -> Record:
    said = {"verb": action.verb, "uid": action.uid, "reason": action.reason}
    details: dict[str, str | int] = {name: word for name, word in said.items() if word}
    return Record(event, root, "", action.id, outcome=outcome, details=details)


async def act_on_all(services: Services, worlds: Iterable[Seen]) -> Sequence[Action]:
    """Plan and do everything about these roots, one after the other."""
    done: list[Action] = []
    for seen in worlds:
        hint = in_reach(services, seen)
        done += await act(services, hint, plan(services.clock.now(), hint))
    return done

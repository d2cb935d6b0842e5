"""One tool call, from raw arguments to an answer: who may, what is malformed, how long it may take, what failed."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.ports import Record
from mcp_agentspawn.operations.answers import Answer, Pending, Refusal
from mcp_agentspawn.operations.services import Services
from mcp_agentspawn.server.identity import ANONYMOUS, Stranger, Who
from mcp_agentspawn.server.results import complaints, failure, frames, is_known, refusal
from mcp_agentspawn.server.slowing import RefusalBuckets, Turns
from mcp_agentspawn.server.tools import TOOLS, Tool

ANSWER_WITHIN_SECONDS = 10.0
AFTER_WAITING_SECONDS = 5.0
CHANGE_GOES_ON_SECONDS = 10.0

SLOWED = refusal(
    "denied",
    "rate.refusals",
    "Too many calls were refused within a minute.",
    next_step="Wait a minute, and do not repeat a refused call unchanged.",
)
BUSY = refusal(
    "unavailable",
    "server.busy",
    "Too many calls of this caller run at the same time.",
    next_step="Make fewer calls at a time, and this one again in a few seconds.",
)
REFUSED_FOR_GOOD = frozenset({"denied", "stale"})
LATE = refusal(
    "unavailable",
    "server.unknown_outcome",
    "The change was begun, but did not end in time; it goes on.",
    next_step="Make the same call again in a few seconds: a call that was made twice has one effect.",
)

log = structlog.get_logger()


class Meter(Protocol):
    """Who counts the calls."""

    def called(self, tool: str, outcome: str, seconds: float) -> None:
        """Count one call of a known tool."""
        ...

    def refused(self, codes: Iterable[str]) -> None:
        """Count a refusal that is not in the audit."""
        ...


class Writes:
    """A change that was begun is finished, whatever happens to the request that began it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Answer]] = set()

    async def finish(self, work: Coroutine[None, None, Answer], within_seconds: float) -> Answer:
        """The answer of the work, or that it is late; the work goes on then."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=within_seconds)
        return task.result() if done else LATE

    async def settle(self) -> None:
        """Wait until every change has ended."""
        while self._running:
            await asyncio.wait(self._running)


@dataclass(frozen=True, slots=True)
class Calls:
    """Every tool call goes through here. `meter` counts them; `writes` must be settled before the server ends."""

    services: Services
    meter: Meter
    tools: Sequence[Tool] = TOOLS
    writes: Writes = field(default_factory=Writes)
    refusals: RefusalBuckets = field(default_factory=RefusalBuckets)
    turns: Turns = field(default_factory=Turns)
    answer_within_seconds: float = ANSWER_WITHIN_SECONDS

    def find(self, name: str) -> Tool | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    async def answer(self, tool: Tool, who: Who, raw: Mapping[str, Any]) -> Answer:
        """Answer one call; never raises for what a caller can bring about."""
        started = perf_counter()
        answer = await self._judge(tool, who, raw)
        self.meter.called(tool.name, answer.outcome, perf_counter() - started)
        return answer

    async def _judge(self, tool: Tool, who: Who, raw: Mapping[str, Any]) -> Answer:
        if who == ANONYMOUS:
            return self._unheard(ANONYMOUS.refusal)
        async with self.turns.turn(name_of(who)) as its_turn:
            return await self._judge_in_turn(tool, who, raw) if its_turn else self._unheard(BUSY)

    async def _judge_in_turn(self, tool: Tool, who: Who, raw: Mapping[str, Any]) -> Answer:
        bucket = f"{tool.name} {name_of(who)}"
        if self.refusals.is_empty(bucket):
            return self._unheard(SLOWED)
        answer = await self._heard(tool, who, raw)
        if answer.outcome in REFUSED_FOR_GOOD or isinstance(answer, Pending):
            self.refusals.take(bucket)
        return answer

    def _unheard(self, answer: Refusal) -> Refusal:
        """A refusal that anybody can bring about as often as they like: counted, but not worth a line on disk."""
        self.meter.refused(reason.code for reason in answer.reasons)
        return answer

    async def _heard(self, tool: Tool, who: Who, raw: Mapping[str, Any]) -> Answer:
        if isinstance(who, Stranger):
            return await self._recorded(Record("refused", "", who.name, details={"tool": tool.name}), who.refusal)
        try:
            arguments = tool.arguments.model_validate(raw)
        except ValidationError as error:
            record = Record("refused", who.root.name, who.agent, details={"tool": tool.name})
            return await self._recorded(record, complaints(error))
        values = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        return await self._run(tool, who, values)

    async def _run(self, tool: Tool, caller: Caller, values: Mapping[str, Any]) -> Answer:
        seconds = max(self.answer_within_seconds, values.get("wait_seconds", 0) + AFTER_WAITING_SECONDS)
        if tool.changes:
            work = self._guarded(tool, caller, values, seconds + CHANGE_GOES_ON_SECONDS)
            return await self.writes.finish(work, seconds)
        return await self._guarded(tool, caller, values, seconds)

    async def _guarded(self, tool: Tool, caller: Caller, values: Mapping[str, Any], seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                return await tool.run(self.services, caller, **values)
        except Exception as error:  # noqa: BLE001 - the last boundary: nothing but an answer leaves it
            _report(tool, caller, error)
            return LATE if tool.changes and isinstance(error, TimeoutError) else failure(error)

    async def _recorded(self, record: Record, answer: Refusal) -> Refusal:
        """A refusal that no operation saw is in the audit too; it stands although that can not be written."""
        codes = tuple(dict.fromkeys(reason.code for reason in answer.reasons))
        try:
            await self.services.audit.write(replace(record, outcome=answer.outcome, reasons=codes))
        except Upstream as error:
            log.warning("a refusal is not in the audit", error=type(error).__name__)
        return answer


def name_of(who: Who) -> str:
    """Who it is, for counting; all strangers count as one, or each new account would be heard anew."""
    return "a stranger" if isinstance(who, Stranger) else f"{who.root.name} {who.agent}"


def _report(tool: Tool, caller: Caller, error: Exception) -> None:
    """To the operator: what kind of failure, and where. Never the arguments, which an exception's text may quote."""
    say = log.warning if is_known(error) else log.error
    cause = type(error.__cause__).__name__ if error.__cause__ else None
    say("tool failed", tool=tool.name, root=caller.root.name, error=type(error).__name__, cause=cause, at=frames(error))

"""Subagents that are talked to over A2A: through kagent's controller, or at their own Services."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar
from urllib.parse import quote

from a2a.types import a2a_pb2 as a2a
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from mcp_agentspawn.adapters.a2a.cards import card_of
from mcp_agentspawn.adapters.a2a.confirmations import answers_to, can_be_decided, decided, is_question
from mcp_agentspawn.adapters.a2a.exchange import Call, Exchange
from mcp_agentspawn.adapters.a2a.failures import (
    OTHER_WIRE,
    Declined,
    Failed,
    Kind,
    of_asking,
    of_canceling,
    of_sending,
)
from mcp_agentspawn.adapters.a2a.patience import Known, Memory, Seconds, Shared, Wire
from mcp_agentspawn.adapters.a2a.reading import report_of
from mcp_agentspawn.adapters.a2a.wires import VERSION_HEADER, canceling, looking, said, sending
from mcp_agentspawn.core.delegation import Address, Card, Message, Report
from mcp_agentspawn.core.errors import Missing, Refused, Unavailable, Upstream

CARD_PATH = ".well-known/agent-card.json"
SOURCE = "agent"
"""Tells kagent that no person talks, so that its UI shows no conversation."""
TRACE = re.compile(r"[0-9a-f]{2}(-[0-9a-f]+){3}\Z", re.ASCII)
MOST_TRIES = 3
FIRST_PAUSE_SECONDS = 0.2
SILENCE: frozenset[Kind] = frozenset({"unsent", "lost"})
NOT_ITS_FAULT: frozenset[Kind] = frozenset({"crowded", "absent", "away"})

Answer = TypeVar("Answer")


class Verb(NamedTuple):
    """How long all tries may take, after what another one is safe, and what a failure means."""

    seconds: float
    repeats: frozenset[Kind]
    told: Callable[[Failed | Declined], Upstream]


ASKING = Verb(5.0, frozenset({"unsent", "crowded", "absent", "away", "lost"}), of_asking)
SENDING = Verb(30.0, frozenset({"unsent", "crowded"}), of_sending)
CANCELING = Verb(5.0, frozenset({"unsent", "crowded"}), of_canceling)


@dataclass(frozen=True, slots=True)
class Turn:
    """A caller's time with one agent; `deadline` is the loop's time."""

    at: Address
    known: Known
    shared: Shared
    deadline: float


class A2aAgents:
    """Agents at an address each (`core.delegation.RemoteAgents`); an async context manager.

    `url` has `{namespace}` and `{name}` in it. `wire` says which one all speak, or that their cards say it. Whatever a
    card says of addresses is a stranger's word, and is never followed.
    """

    def __init__(
        self,
        url: str,
        wire: Literal["auto", "0.3", "1.0"] = "auto",
        now: Seconds = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._url = url.rstrip("/") + "/"
        self._wire: Wire | None = None if wire == "auto" else wire
        self._chance = chance
        self._memory = Memory(now)

    async def __aenter__(self) -> Self:
        self._exchange = Exchange(secure=self._url.lower().startswith("https:"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.close()

    async def card(self, at: Address) -> Card:
        """See `core.delegation.RemoteAgents.card`."""
        async with self._turn(at, ASKING) as turn:
            return await self._card(turn)

    async def send(self, at: Address, message: Message) -> Report:
        """See `core.delegation.RemoteAgents.send`."""
        async with self._turn(at, SENDING) as turn:
            wire = await self._wire_of(turn)
            if not message.decisions and not message.calls:
                return await self._say(turn, wire, message, a2a.Part(text=message.text))
            async with _place(turn.known.answering, turn.deadline):
                data = await self._answer(turn, wire, message)
                return await self._say(turn, wire, message, a2a.Part(data=ParseDict(data, Value())))

    async def look(self, at: Address, remote: str) -> Report:
        """See `core.delegation.RemoteAgents.look`."""
        async with self._turn(at, ASKING) as turn:
            return await self._look(turn, await self._wire_of(turn), remote)

    async def cancel(self, at: Address, remote: str) -> Report:
        """See `core.delegation.RemoteAgents.cancel`."""
        async with self._turn(at, CANCELING) as turn:
            wire = await self._wire_of(turn)
            return await self._reported(turn, CANCELING, wire, canceling(wire, remote))

    @asynccontextmanager
    async def _turn(self, at: Address, verb: Verb) -> AsyncIterator[Turn]:
        known = self._memory.of((at.home, at.agent, at.uid))
        admission = known.breaker.admits()
        if admission == "no":
            raise Unavailable("The agent has failed again and again: it is left alone for a while.")
        shared = self._memory.shared_by(at.user)
        deadline = asyncio.get_running_loop().time() + verb.seconds
        try:
            async with _place(known.room, deadline), _place(shared.room, deadline):
                yield Turn(at, known, shared, deadline)
        finally:
            if admission == "alone":
                known.breaker.left()

    async def _wire_of(self, turn: Turn) -> Wire:
        if self._wire is None and turn.known.wire is None:
            await self._card(turn)
        return self._wire or turn.known.wire or "0.3"

    async def _card(self, turn: Turn) -> Card:
        (card, wire), _ = await self._asked(turn, ASKING, None, None, card_of)
        turn.known.wire = wire
        return card

    async def _look(self, turn: Turn, wire: Wire, remote: str) -> Report:
        return await self._reported(turn, ASKING, wire, looking(wire, remote))

    async def _say(self, turn: Turn, wire: Wire, message: Message, part: a2a.Part) -> Report:
        told = a2a.Message(
            message_id=message.id,
            context_id=message.context,
            task_id=message.task,
            role=a2a.ROLE_USER,
            parts=[part],
        )
        return await self._reported(turn, SENDING, wire, sending(wire, told))

    async def _answer(self, turn: Turn, wire: Wire, message: Message) -> dict[str, Any]:
        """What answers exactly the calls that wait now, for kagent takes an answer for one of all that waits."""
        try:
            now = await self._look(turn, wire, message.task)
        except Missing:
            raise Refused("rejected", "The agent knows of no such task.") from None
        pending = now.pending
        if now.state != "input_required":
            raise Refused("rejected", "The task does not wait for an answer.")
        if message.decisions:
            if not can_be_decided(pending, message):
                raise Refused("rejected", "Other calls wait than those that were decided on.")
            return decided(pending, message)
        if set(pending) != set(message.calls) or not all(map(is_question, pending)):
            raise Refused("rejected", "Other calls wait than the questions that were answered.")
        return answers_to(pending, message.text)

    async def _reported(self, turn: Turn, verb: Verb, wire: Wire, body: bytes) -> Report:
        report, tries = await self._asked(turn, verb, wire, body, lambda answer: report_of(said(wire, answer)))
        return replace(report, tries=tries)

    async def _asked(
        self, turn: Turn, verb: Verb, wire: Wire | None, body: bytes | None, read: Callable[[bytes], Answer]
    ) -> tuple[Answer, int]:
        """The answer, and how often it was asked for in vain before."""
        call = self._call(turn, wire, body)
        for tries in range(MOST_TRIES):
            try:
                answer = await self._exchange.ask(call, read)
            except (Failed, Declined) as failure:
                if await self._again(turn, verb, failure, tries):
                    continue
                _remember(turn.known, failure)
                raise verb.told(failure) from None
            turn.known.breaker.succeeded()
            return answer, tries
        raise AssertionError("the last try is never repeated")

    async def _again(self, turn: Turn, verb: Verb, failure: Failed | Declined, tries: int) -> bool:
        """Wait for another try, if there is one."""
        if isinstance(failure, Declined) or failure.kind not in verb.repeats or tries + 1 == MOST_TRIES:
            return False
        pause = FIRST_PAUSE_SECONDS * 2**tries * self._chance()
        if asyncio.get_running_loop().time() + pause >= turn.deadline:
            return False
        await asyncio.sleep(pause)
        return True

    def _call(self, turn: Turn, wire: Wire | None, body: bytes | None) -> Call:
        at = turn.at
        url = self._url.format(namespace=quote(at.home, safe=""), name=quote(at.agent, safe=""))
        headers = {"x-user-id": at.user, "x-kagent-source": SOURCE}
        if wire:
            headers[VERSION_HEADER] = wire
        if TRACE.match(at.trace):
            headers["traceparent"] = at.trace
        return Call(url if body is not None else url + CARD_PATH, headers, body, turn.deadline, turn.shared.large)


def _remember(known: Known, failure: Failed | Declined) -> None:
    """What a failure says of the agent: that it is silent, or that it is there; or nothing, when others stopped us."""
    if isinstance(failure, Failed) and failure.kind in SILENCE:
        known.breaker.failed()
    elif isinstance(failure, Declined) or failure.kind not in NOT_ITS_FAULT:
        known.breaker.succeeded()
    if (isinstance(failure, Declined) and failure.code in OTHER_WIRE) or _is_denied(failure):
        known.wire = None


def _is_denied(failure: Failed | Declined) -> bool:
    return isinstance(failure, Failed) and failure.kind == "denied"


@asynccontextmanager
async def _place(lock: asyncio.Lock | asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            await lock.acquire()
    except TimeoutError:
        raise Unavailable("Too many talk to the agent at this moment.") from None
    try:
        yield
    finally:
        lock.release()

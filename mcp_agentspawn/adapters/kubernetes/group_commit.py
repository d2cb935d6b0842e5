"""One root's ledger in this process: everybody who waits to change it is written in one PUT.

What is promised: each decision that was answered ran on the ledger exactly as it stood when it was stored. Decisions
of a batch run one after the other, each on what the one before it left; the PUT carries the version that the first
began with, so its success proves that nobody came between. A refusal, which writes nothing, counts only with such a
PUT or on a ledger that was read for it: never on a remembered one.

A PUT whose answer was lost may have been stored. Each PUT adds a random mark to the object, which keeps the last 16;
the ledger is read again, and when the mark is there, that PUT's answers are the ones that count. When it is not, the
decisions run again: a PUT still on its way has the old version and loses to ours, or wins and is recognised then.
Only a mark pushed out by 16 other writes in between goes unseen, so a decision must be safe to run on a ledger that
already holds its entry.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from mcp_agentspawn.adapters.kubernetes.ledger_objects import StoredLedger
from mcp_agentspawn.core.errors import Conflict, Missing, Unavailable, UnknownOutcome, Upstream
from mcp_agentspawn.core.ledger import Ledger

T = TypeVar("T")
Decide = Callable[[Ledger], tuple[Ledger, Any]]

PATIENCE_SECONDS = 6.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.5


class Store(Protocol):
    """Where one root's ledger is kept."""

    async def read(self) -> StoredLedger:
        """The ledger as it is now."""
        ...

    async def write(self, base: StoredLedger, ledger: Ledger, write: str) -> StoredLedger:
        """Store it in place of `base`, marked; raises Conflict when `base` is no longer what is there."""
        ...


@dataclass(slots=True, eq=False)
class _Wish:
    """Somebody who waits for a decision to be stored."""

    decide: Decide
    answer: asyncio.Future[Any]
    until: float


class _Said(NamedTuple):
    """What a decision answered its wish, or how it failed."""

    wish: _Wish
    value: Any
    error: Exception | None


class _Draft(NamedTuple):
    """What the decisions of a batch make of a base."""

    base: StoredLedger
    ledger: Ledger
    said: Sequence[_Said]


@dataclass(slots=True)
class _Batch:
    """The wishes that go into one PUT, and the PUTs tried for them so far by mark."""

    wishes: Sequence[_Wish]
    until: float
    tried: dict[str, _Draft] = field(default_factory=dict)
    in_doubt: bool = False


class Book:
    """Changes one ledger for everybody in this process, one batch at a time."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        conflicted: Callable[[], None] = lambda: None,
    ) -> None:
        """`conflicted` is called each time that another writer was faster."""
        self.known: StoredLedger | None = None
        self.known_at = float("-inf")
        self._store = store
        self._clock = clock
        self._conflicted = conflicted
        self._waiting: list[_Wish] = []
        self._worker: asyncio.Task[None] | None = None

    async def change(self, decide: Callable[[Ledger], tuple[Ledger, T]]) -> T:
        """Join the next batch; bounded in time, see `core.ports.Ledgers.change`."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Wish(decide, answer, self._clock() + PATIENCE_SECONDS))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def read(self) -> StoredLedger:
        """Read the ledger as it is now, and remember it."""
        return self._learn(await self._store.read())

    async def close(self) -> None:
        """Wait for the changes that are on their way."""
        if self._worker is not None:
            await asyncio.wait([self._worker])

    def _learn(self, stored: StoredLedger) -> StoredLedger:
        self.known, self.known_at = stored, self._clock()
        return stored

    async def _work(self) -> None:
        while self._waiting:
            wishes, self._waiting = self._waiting, []
            for late in (wish for wish in wishes if wish.until < self._clock()):
                _fail(late, Unavailable("The ledger was busy for too long."))
            waiting = [wish for wish in wishes if not wish.answer.done()]
            if waiting:
                await self._settle(_Batch(waiting, min(wish.until for wish in waiting)))

    async def _settle(self, batch: _Batch) -> None:
        try:
            draft = await self._stored(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, everybody who waits must hear of it
            for wish in batch.wishes:
                _fail(wish, error)
        else:
            for said in draft.said:
                _answer(said)

    async def _stored(self, batch: _Batch) -> _Draft:
        """Try until a draft is stored, or needs no storing; past the batch's time give up."""
        base, pause = self.known, FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._try(batch, base)
            except (Conflict, Missing, Unavailable, UnknownOutcome) as error:
                batch.in_doubt = batch.in_doubt or isinstance(error, UnknownOutcome)
                if isinstance(error, Conflict):
                    self._conflicted()
                if self._clock() > batch.until:
                    raise _given_up(batch) from error
            except Upstream as error:
                raise (_given_up(batch) if batch.in_doubt else error) from error
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - keeps writers apart, no secret
            base, pause = None, min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _try(self, batch: _Batch, base: StoredLedger | None) -> _Draft:
        """One round: decide on what is known, or on what is read now; store it if there is anything to store."""
        if base is not None:
            draft = _drafted(base, batch.wishes)
            if draft.ledger is not base.ledger:
                return await self._write(batch, draft)
        base = await self.read()
        arrived = next((batch.tried[mark] for mark in base.writes if mark in batch.tried), None)
        if arrived is not None:
            return arrived
        draft = _drafted(base, batch.wishes)
        return draft if draft.ledger is base.ledger else await self._write(batch, draft)

    async def _write(self, batch: _Batch, draft: _Draft) -> _Draft:
        mark = secrets.token_hex(8)
        batch.tried[mark] = draft
        self._learn(await self._store.write(draft.base, draft.ledger, mark))
        return draft


def _drafted(base: StoredLedger, wishes: Sequence[_Wish]) -> _Draft:
    """Run the decisions of those who still wait; one that raises leaves the ledger to the next as it was."""
    ledger, said = base.ledger, []
    for wish in wishes:
        if wish.answer.done():
            continue
        try:
            ledger, value = wish.decide(ledger)
        except StopIteration:  # no future can hold one
            said.append(_Said(wish, None, RuntimeError("the decision raised StopIteration")))
        except Exception as error:  # noqa: BLE001 - a decision's failure is its caller's, whatever it is
            said.append(_Said(wish, None, error))
        else:
            said.append(_Said(wish, value, None))
    return _Draft(base, ledger, said)


def _given_up(batch: _Batch) -> Unavailable | UnknownOutcome:
    if batch.in_doubt:
        return UnknownOutcome("The ledger's change was sent, and could not be looked for in time.")
    return Unavailable("The ledger could not be changed in time.")


def _answer(said: _Said) -> None:
    if said.error is not None:
        _fail(said.wish, said.error)
    elif not said.wish.answer.done():
        said.wish.answer.set_result(said.value)


def _fail(wish: _Wish, error: Exception) -> None:
    if not wish.answer.done():
        wish.answer.set_exception(error)

"""Remembers answers for a few seconds, a bounded number of them, and asks the same question once at a time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

Question = TypeVar("Question", bound=Hashable)
A = TypeVar("A")


class _Known(NamedTuple, Generic[A]):
    answer: A
    asked_at: float


class _Asking(NamedTuple, Generic[A]):
    task: asyncio.Task[A]
    asked_at: float


class Answers(Generic[Question, A]):
    """What was answered lately, least recently used first out. Failures are not remembered."""

    def __init__(self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """An answer is good for `seconds` from when its question was asked."""
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._known: OrderedDict[Question, _Known[A]] = OrderedDict()
        self._asking: dict[Question, _Asking[A]] = {}

    async def get(self, question: Question, ask: Callable[[], Awaitable[A]], *, fresh: bool = False) -> A:
        """Give the answer known, or the one that is on its way, or ask. `fresh`: ask now, whatever is known.

        What has been on its way for longer than an answer is good for is not waited for: it may tell of back then.
        """
        now, known, asking = self._clock(), self._known.get(question), self._asking.get(question)
        if not fresh and known is not None and now - known.asked_at < self._seconds:
            self._known.move_to_end(question)
            return known.answer
        if fresh or asking is None or now - asking.asked_at >= self._seconds:
            asking = self._ask(question, ask, now)
        # Shielded: whoever gives up waiting must not take the answer from the others.
        return await asyncio.shield(asking.task)

    def _ask(self, question: Question, ask: Callable[[], Awaitable[A]], now: float) -> _Asking[A]:
        asking = _Asking(asyncio.create_task(self._asked(question, ask, now)), now)
        self._asking[question] = asking
        asking.task.add_done_callback(lambda done: self._settle(question, done))
        return asking

    async def _asked(self, question: Question, ask: Callable[[], Awaitable[A]], asked_at: float) -> A:
        answer = await ask()
        known = self._known.get(question)
        if known is None or known.asked_at <= asked_at:
            self._known[question] = _Known(answer, asked_at)
            self._known.move_to_end(question)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return answer

    def _settle(self, question: Question, task: asyncio.Task[A]) -> None:
        if (asking := self._asking.get(question)) and asking.task is task:
            del self._asking[question]
        if not task.cancelled():
            task.exception()  # seen, even if everybody who asked has gone

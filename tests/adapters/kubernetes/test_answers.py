import asyncio
from dataclasses import dataclass, field

import pytest

from mcp_agentspawn.adapters.kubernetes.answers import Answers


@dataclass
class Oracle:
    """Counts what it is asked, and answers when it is let."""

    asked: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    time: float = 0.0

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        number = len(self.asked)
        await self.open.wait()
        if question == "broken":
            raise RuntimeError
        return f"{question} {number}"

    def answers(self, most: int = 10) -> Answers[str, str]:
        return Answers(5.0, most, lambda: self.time)


@pytest.fixture
def oracle() -> Oracle:
    oracle = Oracle()
    oracle.open.set()
    return oracle


async def test_an_answer_is_remembered_for_its_seconds(oracle: Oracle) -> None:
    answers = oracle.answers()

    assert await answers.get("a", lambda: oracle.ask("a")) == "a 1"
    oracle.time = 4.9
    assert await answers.get("a", lambda: oracle.ask("a")) == "a 1"
    oracle.time = 5.0
    assert await answers.get("a", lambda: oracle.ask("a")) == "a 2"


async def test_an_answer_is_as_old_as_its_question(oracle: Oracle) -> None:
    answers = oracle.answers()
    oracle.open.clear()
    asking = asyncio.create_task(answers.get("a", lambda: oracle.ask("a")))
    await asyncio.sleep(0)
    oracle.time = 6.0
    oracle.open.set()

    assert await asking == "a 1"
    assert await answers.get("a", lambda: oracle.ask("a")) == "a 2"


async def test_nobody_waits_for_an_answer_that_will_be_too_old(oracle: Oracle) -> None:
    answers = oracle.answers()
    oracle.open.clear()
    asking = []
    for moment in (0.0, 4.9, 5.0, 9.9):
        oracle.time = moment
        asking.append(asyncio.create_task(answers.get("a", lambda: oracle.ask("a"))))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    oracle.open.set()

    assert await asyncio.gather(*asking) == ["a 1", "a 1", "a 2", "a 2"]
    assert await answers.get("a", lambda: oracle.ask("a")) == "a 2"


async def test_a_fresh_question_is_asked_now(oracle: Oracle) -> None:
    answers = oracle.answers()

    await answers.get("a", lambda: oracle.ask("a"))

    assert await answers.get("a", lambda: oracle.ask("a"), fresh=True) == "a 2"
    assert await answers.get("a", lambda: oracle.ask("a")) == "a 2"


async def test_a_fresh_question_does_not_take_an_answer_that_was_asked_for_before(oracle: Oracle) -> None:
    answers = oracle.answers()
    oracle.open.clear()
    early = asyncio.create_task(answers.get("a", lambda: oracle.ask("a")))
    await asyncio.sleep(0)
    fresh = asyncio.create_task(answers.get("a", lambda: oracle.ask("a"), fresh=True))
    await asyncio.sleep(0)
    oracle.open.set()

    assert [await early, await fresh] == ["a 1", "a 2"]


async def test_the_same_question_at_the_same_moment_is_asked_once(oracle: Oracle) -> None:
    answers = oracle.answers()

    said = await asyncio.gather(*(answers.get(name, lambda name=name: oracle.ask(name)) for name in "aabab"))  # type: ignore[misc] # a lambda's default

    assert said == ["a 1", "a 1", "b 2", "a 1", "b 2"]


async def test_whoever_gives_up_leaves_the_answer_to_the_others(oracle: Oracle) -> None:
    answers = oracle.answers()
    oracle.open.clear()
    first = asyncio.create_task(answers.get("a", lambda: oracle.ask("a")))
    second = asyncio.create_task(answers.get("a", lambda: oracle.ask("a")))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    oracle.open.set()

    assert first.cancelled()
    assert await second == "a 1"


async def test_a_failure_is_everybodys_and_is_not_remembered(oracle: Oracle) -> None:
    answers = oracle.answers()

    said = await asyncio.gather(
        *(answers.get("broken", lambda: oracle.ask("broken")) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in said] == [RuntimeError] * 3
    with pytest.raises(RuntimeError):
        await answers.get("broken", lambda: oracle.ask("broken"))

    assert oracle.asked == ["broken", "broken"]


async def test_no_more_than_so_many_are_remembered_and_the_least_used_goes_first(oracle: Oracle) -> None:
    answers = oracle.answers(most=2)

    for name in ("a", "b", "a", "c", "a", "b"):
        await answers.get(name, lambda name=name: oracle.ask(name))  # type: ignore[misc] # a lambda's default

    assert oracle.asked == ["a", "b", "c", "b"]
    assert len(answers._known) == 2

"""What a long text of one root's subagents takes from others."""

import asyncio
from collections import OrderedDict
from dataclasses import replace

import pytest

from mcp_agentspawn.core.delegation import Artifact
from mcp_agentspawn.operations import storing
from mcp_agentspawn.operations.following import refresh_open
from tests.builders import bench
from tests.operations.test_taking import OTHER
from tests.operations.work import ASKS, DONE, given, report, stored, worker

LONG = storing.MOST_CHARACTERS_AT_ONCE


async def test_long_answers_of_one_root_are_not_before_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def fit(text: str) -> tuple[str, bool]:
        read.append(text[:1])
        return text, False

    monkeypatch.setattr(storing, "_fit", fit)
    loud = [replace(OTHER, root="agents/loud", id=f"task-{number}") for number in range(5)]
    said = [("a", task) for task in loud] + [("b", OTHER)]
    storing_ = [storing._with_result(task, report(text=who * (LONG + n))) for n, (who, task) in enumerate(said, 1)]
    await asyncio.gather(*storing_)

    assert read.index("b") <= 1
    assert sorted(read) == ["a"] * 5 + ["b"]
    assert not storing.TURNS


class Counting:
    """What is read of long texts, in order; each takes its place in an empty memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[str] = []
        self._fit = storing._fit
        monkeypatch.setattr(storing, "_fit", self.fit)
        monkeypatch.setattr(storing, "READ", OrderedDict())

    def fit(self, text: str) -> tuple[str, bool]:
        self.read.append(text)
        return self._fit(text)


async def test_a_long_question_that_waits_is_read_once_and_the_next_one_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    setup, counting = bench(), Counting(monkeypatch)
    agent = await worker(setup)
    first, second = (replace(ASKS, text=f"{word} " * LONG) for word in ("one", "two"))
    setup.remote_agents.script[agent] = [first]
    task = (await given(setup, agent)).task
    for _ in range(3):
        await refresh_open(setup.services, [task])
    setup.remote_agents.script[agent] = [second]
    for _ in range(3):
        await refresh_open(setup.services, [task])

    assert counting.read == [first.text, second.text]
    assert "two" in (await stored(setup, task)).result


async def test_only_so_many_long_texts_are_known_and_those_that_are_looked_at_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(monkeypatch)
    texts = [f"{number} " * LONG for number in range(storing.MOST_READ + 1)]
    for text in (*texts[:-1], texts[0], texts[-1], texts[0], texts[1]):
        await storing._with_result(OTHER, report(text=text))

    assert counting.read == [*texts, texts[1]]
    assert len(storing.READ) == storing.MOST_READ


async def test_what_was_read_for_one_root_is_read_anew_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    for root in (OTHER.root, "agents/another"):
        await storing._with_result(replace(OTHER, root=root), report(text="x " * LONG))

    assert len(counting.read) == 2


async def test_how_often_an_agent_was_asked_in_vain_is_kept_and_does_not_pass_for_news_of_it() -> None:
    setup = bench()
    agent = await worker(setup)
    setup.remote_agents.script[agent] = [ASKS, replace(ASKS, tries=2)]
    task = (await given(setup, agent)).task
    before = await stored(setup, task)
    setup.clock.advance(seconds=5)
    for _ in range(3):
        await refresh_open(setup.services, [task])
    known = await stored(setup, task)

    assert (known.tries, known.changed_at) == (6, before.changed_at)


async def test_no_credential_is_kept_in_what_a_file_is_called() -> None:
    setup = bench()
    agent = await worker(setup)
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    made = Artifact(f"id {key}", f"the key is {key}", key, 3)
    setup.remote_agents.script[agent] = [replace(DONE, artifacts=(made, Artifact("a", "b.csv", "text/csv", 4)))]

    answer = await given(setup, agent)

    assert key not in repr((answer, await stored(setup, answer.task)))
    assert [one.name for one in answer.artifacts] == ["the key is [redacted: credential.aws-key]", "b.csv"]

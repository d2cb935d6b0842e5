"""What a long text of one root's subagents takes from others."""

import asyncio
from dataclasses import replace

import pytest

from mcp_agentspawn.core.delegation import Artifact
from mcp_agentspawn.operations import storing
from mcp_agentspawn.operations.following import refresh_open
from tests.builders import bench
from tests.operations.test_taking import OTHER
from tests.operations.work import ASKS, DONE, given, report, stored, worker


async def test_long_answers_of_one_root_are_not_before_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def fit(text: str) -> tuple[str, bool]:
        read.append(text[:1])
        return text, False

    monkeypatch.setattr(storing, "_fit", fit)
    loud = [replace(OTHER, root="agents/loud", id=f"task-{number}") for number in range(5)]
    said = [("a", task) for task in loud] + [("b", OTHER)]
    storing_ = [storing._with_result(task, report(text=who * 10_000)) for who, task in said]
    await asyncio.gather(*storing_)

    assert read.index("b") <= 1
    assert sorted(read) == ["a"] * 5 + ["b"]
    assert not storing.TURNS


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

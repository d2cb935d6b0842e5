"""What a policy does not show is not there: in no hit, count, score, cursor or error, whatever a caller asks."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane.registry import Published, Standin
from mcp_agentspawn.localplane.registry.faults import WrongType
from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import Answer, codes
from tests.attacks.published import INSTRUCTIONS, ORDER
from tests.attacks.registries import (
    SEARCH,
    Library,
    Shelf,
    hits,
    library,
    propose_from,
    reading_roots,
    seeing,
    until_read,
)

VIEWS: Mapping[str, dict[str, Any]] = {
    "view-nothing": {},
    "view-no-rule": seeing(),
    "view-namespace": seeing("main", namespaces=["open"]),
    "view-labels": seeing("main", labels={"tier": "approved"}),
    "view-other": seeing("other"),
}
"""Callers that see a part, by account: nothing, what is in a namespace or bears a label, or another registry."""
TAGGED = Published("tagged", namespace="half", tag="v1", title="Translator", labels={"tier": "approved"})
SEEN = [
    *(
        Published(
            f"open-{number}",
            namespace="open",
            title=f"Summarizer {number}",
            description="Condenses long documents into briefs" + " again" * number,
            labels={"tier": "approved"},
            instructions=INSTRUCTIONS,
        )
        for number in range(6)
    ),
    TAGGED,
]
UNSEEN = [
    *(
        replace(entry, namespace=f"closed-{number}", name=f"closed-{number}-{entry.name}", labels={})
        for entry in SEEN
        for number in range(9)
    ),
    replace(SEEN[0], namespace="closed", name="draft", labels={"tier": "draft"}, description="Tiramisu " * 60),
    replace(SEEN[0], namespace="closed", name="loud", labels={}, description=ORDER),
    replace(TAGGED, tag="latest", labels={"tier": "draft"}, title="A translator of what is closed"),
    Published("aaa", namespace="aaa-broken"),
    Published("typo", namespace="closed", title="Sumarizer", description="zeppelin condense documents zeppelin"),
]
"""Many of the same words, so that they would change what is rare, how long texts are, and where a page ends."""
QUERIES = ["", "summarizer", "condense documents", "sumarizer", "zeppelin", "tiramisu", "draft", "again", "translator"]
TIMED = ("as_of", "age_seconds")


def _flawed(standins: Mapping[str, Standin]) -> None:
    """The first entry, which is one of those that are hidden, can not be read."""
    standins["main"].inject(WrongType(at=("items", 0, "spec"), pages=[1]))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(
    field: Battlefield, readers: Iterator[Root], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Library, Library]]:
    """Two servers under the same rules: one reads a registry with hidden entries, the other the same without."""
    views = await reading_roots(field.cluster, [*VIEWS])
    shelves = {
        "with": {"main": Shelf([*SEEN, *UNSEEN]), "other": Shelf(SEEN)},
        "without": {"main": Shelf(SEEN), "other": Shelf(SEEN)},
    }
    policies = {"default": seeing("main", "other"), **VIEWS}
    prepare = {"with": _flawed, "without": lambda _: None}
    async with AsyncExitStack() as stack:
        libraries = []
        for name, held in shelves.items():
            folder = tmp_path_factory.mktemp(name)
            roots = [next(readers), next(readers), *views]
            libraries.append(
                await stack.enter_async_context(library(field, folder, held, roots, policies, prepare[name]))
            )
            await until_read(await libraries[-1].newcomer(), *held)
        yield libraries[0], libraries[1]


def _timeless(answer: Answer) -> Answer:
    """An answer without the moment at which its server read the registries."""
    states = [{key: value for key, value in one.items() if key not in TIMED} for one in answer.get("registries", [])]
    return answer | {"registries": states}


async def _answers(pair: tuple[Library, Library], account: str, **asked: Any) -> list[Answer]:
    """What both servers say to the same search."""
    callers = [await one.caller(Root("agents", account, "subagents")) for one in pair]
    return [_timeless(await caller.call(SEARCH, **asked)) for caller in callers]


@pytest.mark.parametrize("account", VIEWS)
async def test_what_is_hidden_changes_no_part_of_an_answer(pair: tuple[Library, Library], account: str) -> None:
    for query in QUERIES:
        for limit in (1, 3, 50):
            first, second = await _answers(pair, account, query=query, limit=limit)
            assert first == second, query
            assert "closed" not in json.dumps(first)
            more = first["next_cursor"]
            if more:
                pages = await _answers(pair, account, query=query, limit=limit, cursor=more)
                assert pages[0] == pages[1], query


@pytest.mark.parametrize("account", VIEWS)
async def test_filters_find_nothing_that_is_hidden(pair: tuple[Library, Library], account: str) -> None:
    asked: list[dict[str, Any]] = [
        {"source": "main"},
        {"source": "other"},
        {"labels": ["tier=draft"]},
        {"labels": ["tier=approved"]},
        {"source": "nowhere"},
    ]
    for arguments in asked:
        first, second = await _answers(pair, account, query="", limit=50, **arguments)
        assert first == second, arguments


@pytest.mark.parametrize("account", ["view-nothing", "view-no-rule"])
async def test_who_may_see_nothing_does_not_learn_that_there_are_registries(
    pair: tuple[Library, Library], account: str
) -> None:
    answer, _ = await _answers(pair, account, query="summarizer", limit=50)
    unknown, _ = await _answers(pair, account, query="summarizer", limit=50, source="main")

    assert (answer["registries"], unknown["hits"]) == ([], [])
    assert {one["source"] for one in answer["hits"]} <= {"template"}


async def test_a_handle_of_what_is_hidden_is_as_unknown_as_one_that_never_was(pair: tuple[Library, Library]) -> None:
    everyone = await pair[0].newcomer()
    known = await hits(everyone, source="main")
    handles = {one["handle"].partition("@")[0].partition("/")[2]: one for one in known}
    hidden, never = handles["closed/draft"], handles["closed/draft"]["handle"].replace("/draft", "/never-was")
    for account in VIEWS:
        caller = await pair[0].caller(Root("agents", account, "subagents"))
        before = len(pair[0].standins["main"].requests)
        refused = [await propose_from(caller, hidden), await propose_from(caller, hidden, registry_entry=never)]
        assert refused[0] == refused[1]
        assert codes(refused[0]) == {"registry.unknown_entry"}
        if account != "view-labels":
            assert len(pair[0].standins["main"].requests) == before
    assert (await propose_from(everyone, hidden))["outcome"] == "pending_approval"

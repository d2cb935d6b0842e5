"""A registry may fail in any way: a search finds templates all the same, says what is wrong, and holds up nobody."""

from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
import pytest_asyncio

from mcp_agentspawn.core.model import Root
from mcp_agentspawn.localplane.registry import Content, Published, Standin, faults
from mcp_agentspawn.localplane.registry.wrong_types import WRONG_TYPES
from tests.attacks.battlefield import Battlefield
from tests.attacks.orchestrators import Orchestrator, codes
from tests.attacks.published import INSTRUCTIONS
from tests.attacks.registries import SEARCH, WORKER, Library, Shelf, hits, library, propose_from, seeing, until_read
from tests.localplane.waiting import until

ENTRIES = [Published(f"agent-{number:03}", instructions=INSTRUCTIONS) for number in range(150)]
"""More than a page."""
HASH = f"sha256:{'0' * 64}"


def _more(content: Content) -> None:
    content.publish(Published("aaa-first"), Published("zzz-last"))


OF_A_LISTING = WRONG_TYPES["v0.4"]
BROKEN: Mapping[str, tuple[faults.Fault, str]] = {
    "slow": (faults.Slow(), "registry.timeout"),
    "dripping": (faults.Drip(), "registry.timeout"),
    "half": (faults.HalfAPage(), "registry.cut_short"),
    "half-chunked": (faults.HalfAPage(chunked=True), "registry.cut_short"),
    "second-half": (faults.HalfAPage(pages=[2]), "registry.cut_short"),
    "huge": (faults.Huge(), "registry.too_large"),
    "bomb": (faults.GzipBomb(), "registry.not_json"),
    "denying": (faults.Failing(status=401), "registry.denied"),
    "forbidding": (faults.Failing(status=403), "registry.denied"),
    "slowing": (faults.Failing(status=429), "registry.slowed"),
    "failing": (faults.Failing(status=500), "registry.server_error"),
    "failing-late": (faults.Failing(status=503, pages=[2]), "registry.server_error"),
    "html": (faults.Saying(), "registry.not_json"),
    "silent": (faults.Saying(raw=b"", content_type="application/json"), "registry.not_json"),
    "garbled": (faults.Saying(raw=b'{"items":["\xff\xfe"]}', content_type="application/json"), "registry.not_json"),
    "round": (faults.Redirect(to=""), "registry.redirected"),
    "away": (faults.Redirect(to="http://169.254.169.254"), "registry.redirected"),
    "same-cursor": (faults.SameCursor(), "registry.cursor_loop"),
    "two-cursors": (faults.AlternatingCursors(), "registry.cursor_loop"),
    "endless": (faults.EndlessListing(), "registry.too_large"),
    "twice": (faults.DuplicateKeys(), "registry.not_json"),
    "deep": (faults.nested(), "registry.not_json"),
    "nan": (faults.numbers()["NaN"], "registry.not_json"),
    "list": (OF_A_LISTING["the answer is a list"], "registry.dialect"),
    "object": (OF_A_LISTING["items is an object"], "registry.dialect"),
    "cursor": (OF_A_LISTING["the cursor is a number"], "registry.dialect"),
}
"""Ways to fail a reading, and what is said about each."""
FLAWED: Mapping[str, faults.Fault] = {
    "no-item": OF_A_LISTING["an item is null"],
    "no-name": OF_A_LISTING["a name is a number"],
    "no-spec": OF_A_LISTING["spec is null"],
    "bad-labels": OF_A_LISTING["labels are a list"],
    "bad-image": OF_A_LISTING["an image is an object"],
}
"""Ways to fail one entry: it is counted, the others are found."""
FINE: Mapping[str, faults.Fault] = {
    "changing": faults.Changing(change=_more),
    "moved": faults.Redirect(),
    "aloof": faults.Slow(),
}
"""What is strange, and no fault; the aloof one speaks when it is healed."""
ALL = {**{name: fault for name, (fault, _) in BROKEN.items()}, **FLAWED, **FINE}
BOUNDS = {"timeout": "2s", "most_bytes": 1_000_000, "most_entries": 1000}
PATIENT = {"timeout": "1m"}


def _break(standins: Mapping[str, Standin]) -> None:
    for name, fault in ALL.items():
        standins[name].inject(fault)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken(
    field: Battlefield, readers: Iterator[Root], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Library]:
    """A server that reads one registry of each fault."""
    shelves = {name: Shelf(ENTRIES, file=BOUNDS) for name in ALL} | {"aloof": Shelf(ENTRIES, file=PATIENT)}
    roots, folder = [next(readers) for _ in range(5)], tmp_path_factory.mktemp("broken")
    policy = seeing(*ALL)
    async with library(field, folder, shelves, roots, {"default": policy}, _break) as broken:
        yield broken


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def reader(broken: Library) -> Orchestrator:
    return await broken.newcomer()


async def test_while_a_registry_says_nothing_every_call_is_answered(broken: Library, reader: Orchestrator) -> None:
    await until(lambda: broken.standins["aloof"].held == 1)
    answers = [
        await reader.call(SEARCH, query="research"),
        await reader.call("list_templates"),
        await reader.propose(),
    ]

    assert [answer["outcome"] for answer in answers] == ["allowed"] * 3
    assert answers[0]["hits"][0]["handle"] == "researcher"
    assert broken.standins["aloof"].held == 1


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def settled(broken: Library, reader: Orchestrator) -> Library:
    """Every registry was read, or failed."""
    broken.standins["aloof"].heal()
    await until_read(reader, *ALL)
    return broken


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.usefixtures("settled")
async def test_a_fault_of_a_registry_is_named_and_templates_are_found_all_the_same(
    reader: Orchestrator, name: str
) -> None:
    answer = await reader.call(SEARCH, query="research")
    (state,) = [one for one in answer["registries"] if one["registry"] == name]

    assert answer["hits"][0]["handle"] == "researcher"
    assert (state["freshness"], state["problems"], state["as_of"]) == ("away", [BROKEN[name][1]], "")
    assert await hits(reader, source=name) == []


@pytest.mark.parametrize("name", FLAWED)
@pytest.mark.usefixtures("settled")
async def test_what_is_wrong_with_one_entry_costs_no_other(reader: Orchestrator, name: str) -> None:
    answer = await reader.call(SEARCH, query="", source=name)
    (state,) = [one for one in answer["registries"] if one["registry"] == name]

    assert (state["freshness"], state["problems"]) == ("fresh", ["registry.unreadable_entry"])
    assert len(await hits(reader, source=name)) >= len(ENTRIES) - 2


@pytest.mark.parametrize("name", FINE)
@pytest.mark.usefixtures("settled")
async def test_what_is_strange_and_no_fault_is_read(reader: Orchestrator, name: str) -> None:
    answer = await reader.call(SEARCH, query="", source=name)
    (state,) = [one for one in answer["registries"] if one["registry"] == name]

    assert (state["freshness"], state["problems"]) == ("fresh", [])
    assert len(await hits(reader, source=name)) >= len(ENTRIES)


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.usefixtures("settled")
async def test_nothing_is_proposed_of_a_registry_that_was_never_read(reader: Orchestrator, name: str) -> None:
    handle = f"{name}/default/agent-000@latest#{HASH}"
    refused = await propose_from(reader, {"handle": handle, "template": WORKER})

    assert (refused["outcome"], codes(refused)) == ("unavailable", {"registry.unanswered"})

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.registry import paging
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.items import Dialect
from mcp_agentspawn.core.registry import Handle
from mcp_agentspawn.localplane.registry import (
    Artifact,
    Content,
    Deployment,
    Published,
    Standin,
    faults,
    load,
    registry_standin,
)
from mcp_agentspawn.localplane.registry.wrong_types import WRONG_TYPES
from tests.adapters.registry.readings import entries, entry, failure, reading
from tests.localplane.registry_samples import REPOSITORY, sample_content

SHIPPED = REPOSITORY / "dev" / "registry" / "agents.yaml"
MORNING, NOON = "2026-11-21T08:00:00Z", "2026-11-21T12:00:00.5Z"
DIALECTS: tuple[Dialect, ...] = ("v0.4", "v0.3", "inventory")
PAGED: tuple[Dialect, ...] = ("v0.4", "v0.3")
WHOLE_LISTING = {
    "the answer is a list",
    "the answer is a word",
    "items is an object",
    "items is null",
    "the cursor is a number",
    "agents is an object",
}
HARMLESS = {"a tag is null", "a time is a word", "metadata is null", "ready is a word"}


def many(count: int) -> Content:
    return Content(Published(name=f"agent-{number:04}", image="registry.example/a:1") for number in range(count))


@pytest_asyncio.fixture(loop_scope="session")
async def standin() -> AsyncIterator[Standin]:
    async with registry_standin(many(450)) as running:
        yield running


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_registry_is_read_in_its_own_dialect(dialect: Dialect) -> None:
    async with registry_standin(load(SHIPPED), dialect=dialect) as standin:
        read = await reading(standin)

    assert (read.dialect, read.problems, read.complete) == (dialect, {}, True)
    assert {found.name for found in read.entries} == {published.name for published in load(SHIPPED).agents()}


async def test_a_whole_reading_is_not_written_out_where_it_is_named(standin: Standin) -> None:
    assert len(repr(await reading(standin))) < 200


async def test_the_recorded_registry_is_read() -> None:
    async with registry_standin(sample_content()) as standin:
        read = await reading(standin)

    assert read.problems == {}
    assert len(read.entries) > 8


async def test_an_empty_registry_is_read() -> None:
    async with registry_standin() as standin:
        assert list((await reading(standin)).entries) == []


@pytest.mark.parametrize("dialect", PAGED)
async def test_cursors_are_followed_to_the_end_with_filters_sent_again(standin: Standin, dialect: Dialect) -> None:
    standin.dialect = dialect
    read = await reading(standin)
    asked = [dict(seen.query) for seen in standin.requests if seen.path == "/v0/agents"]

    assert [found.name for found in read.entries] == [f"agent-{number:04}" for number in range(450)]
    assert {query["namespace"] for query in asked} == {"all"}
    assert [query["limit"] for query in asked] == (["100"] + ["200"] * 2 if dialect == "v0.4" else ["100"] * 5)


@pytest.mark.parametrize(("count", "complete"), [(99, True), (100, False), (300, False)])
async def test_an_inventory_that_may_have_more_than_it_shows_is_incomplete(count: int, complete: bool) -> None:
    content = Content(Published(name=f"agent-{number}", instructions="Greet.") for number in range(count))
    async with registry_standin(content, dialect="inventory") as standin:
        read = await reading(standin)

    assert (len(read.entries), read.complete) == (min(count, 100), complete)
    assert read.problems == ({} if complete else {"registry.incomplete": 1})


@pytest.mark.parametrize("dialect", PAGED)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.SameCursor(), "registry.cursor_loop"),
        (faults.AlternatingCursors(), "registry.cursor_loop"),
        (faults.EndlessListing(), "registry.too_large"),
        (faults.Failing(pages=(2,)), "registry.server_error"),
        (faults.HalfAPage(pages=(2,)), "registry.cut_short"),
        (faults.Saying(pages=(2,)), "registry.not_json"),
        (faults.WrongType(pages=(2,), value=[]), "registry.dialect"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_listing_without_an_honest_end_is_given_up(
    standin: Standin, dialect: Dialect, fault: faults.Fault, code: str
) -> None:
    standin.dialect = dialect
    standin.inject(fault)

    assert await failure(standin, most_entries=2000) == code


async def test_a_listing_of_empty_pages_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_PAGES", 5)
    async with registry_standin() as standin:
        standin.inject(faults.EndlessListing())

        assert await failure(standin) == "registry.endless"
        assert len([seen for seen in standin.requests if seen.path == "/v0/agents"]) == 5


async def test_more_entries_than_are_allowed_are_not_read() -> None:
    async with registry_standin(many(3)) as standin:
        assert await failure(standin, most_entries=2) == "registry.too_large"
        assert len((await reading(standin, most_entries=3)).entries) == 3


async def test_more_prompts_than_are_allowed_are_not_read() -> None:
    prompts = [Artifact("Prompt", f"prompt-{number}") for number in range(3)]
    async with registry_standin(Content([Published(name="greeter"), *prompts])) as standin:
        assert await failure(standin, most_entries=2) == "registry.too_large"


async def test_a_cursor_without_an_end_is_none(standin: Standin) -> None:
    standin.inject(faults.WrongType(at=("nextCursor",), value="x" * 5000))

    assert await failure(standin) == "registry.dialect"


WRONG = [
    pytest.param(dialect, called, id=f"{dialect} {called}") for dialect in DIALECTS for called in WRONG_TYPES[dialect]
]


@pytest.mark.parametrize(("dialect", "called"), WRONG)
async def test_a_value_of_the_wrong_type_costs_no_more_than_its_entry(dialect: Dialect, called: str) -> None:
    agents = [Published(name=f"agent-{number}", instructions="Greet.") for number in range(3)]
    async with registry_standin(Content(agents), dialect=dialect) as standin:
        standin.inject(WRONG_TYPES[dialect][called])
        if called in WHOLE_LISTING:
            assert await failure(standin) == "registry.dialect"
        else:
            read = await reading(standin)
            lost = 0 if called in HARMLESS else 1
            assert len(read.entries) == 3 - lost
            assert read.problems == ({"registry.unreadable_entry": 1} if lost else {})


async def test_numbers_that_no_hash_can_hold_cost_their_entry() -> None:
    async with registry_standin(many(3)) as standin:
        standin.inject(faults.WrongType(at=("items", 0, "spec", "size"), value=2**70))

        assert (await reading(standin)).problems == {"registry.unreadable_entry": 1}


@pytest.mark.parametrize("half", [b"\\ud800", "\ud800".encode(errors="surrogatepass")], ids=["escaped", "as it is"])
async def test_half_a_character_costs_its_entry(half: bytes) -> None:
    good, bad = (
        b'{"metadata": {"name": "%s"}, "spec": {"title": "%s"}}' % pair for pair in ((b"a", b""), (b"b", half))
    )
    page = b'{"items": [%s, %s]}' % (good, bad)
    async with registry_standin(many(2)) as standin:
        standin.inject(faults.Saying(raw=page, content_type="application/json"))
        read = await reading(standin)

    assert ([found.name for found in read.entries], read.problems) == (["a"], {"registry.unreadable_entry": 1})


async def test_the_version_that_a_spawn_would_take_is_the_first() -> None:
    tagged = [
        Published(name="with-latest", tag="latest", updated_at=MORNING),
        Published(name="with-latest", tag="v9", updated_at=NOON),
        Published(name="without", tag="v1", updated_at="2026-11-21T12:00:00Z"),
        Published(name="without", tag="v2", updated_at=NOON),
        Published(name="without", tag="v0", updated_at=MORNING),
        Published(name="at-once", tag="a", updated_at=NOON),
        Published(name="at-once", tag="b", updated_at=NOON),
    ]
    async with registry_standin(Content(tagged)) as standin:
        read = await reading(standin)

    found: dict[str, list[str]] = {}
    for one in read.entries:
        found.setdefault(one.name, []).append(one.tag)
    assert found == {"at-once": ["b", "a"], "with-latest": ["latest", "v9"], "without": ["v2", "v1", "v0"]}
    assert read.names == 3


async def test_a_later_date_alone_makes_no_other_entry() -> None:
    """So that it is neither looked through nor indexed again."""
    old, new = (Published(name="agent-0", tag=tag, updated_at=at) for tag, at in (("v1", MORNING), ("v2", NOON)))
    async with registry_standin(Content([old, new])) as standin:
        before = list((await reading(standin)).entries)
        standin.content.publish(replace(new, updated_at="2026-11-22T12:00:00Z"))
        after = list((await reading(standin)).entries)
        standin.content.publish(replace(old, updated_at="2026-11-23T12:00:00Z"))
        moved = list((await reading(standin)).entries)

    assert before == after == [*reversed(moved)]


async def test_all_tags_count_towards_the_most_that_is_read() -> None:
    async with registry_standin(Content(Published(name="busy", tag=f"v{number}") for number in range(50))) as standin:
        assert await failure(standin, most_entries=49) == "registry.too_large"


async def test_an_entry_that_moved_between_pages_is_taken_once_as_it_was_last(standin: Standin) -> None:
    moved = Published(name="agent-0000", description="moved", tag="latest", updated_at=NOON)

    def move(content: Content) -> None:
        """Another one comes before all, so that the last of the first page is the first of the second, too."""
        content.publish(moved, Published(name="agent-", updated_at=NOON))

    standin.inject(faults.Changing(change=move))
    read = await reading(standin)

    assert len(read.entries) == len({(found.name, found.tag) for found in read.entries})
    assert len(read.entries) >= 450


async def test_the_same_entry_twice_is_the_newer_one() -> None:
    old = Published(name="agent-0", description="old", updated_at=MORNING)

    def move(content: Content) -> None:
        content.publish(replace(old, description="new", updated_at=NOON))

    async with registry_standin(Content([old, *many(150).agents()])) as standin:
        standin.inject(faults.Changing(change=move), faults.WrongType(pages=(2,), at=("items", 0), value=again(NOON)))

        assert (await entries(standin))["agent-0"].description == "new"

        standin.content.publish(replace(old, updated_at=NOON))
        standin.inject(faults.WrongType(pages=(2,), at=("items", 0), value=again(MORNING)))
        assert (await entries(standin))["agent-0"].description == "old"


def again(moment: str) -> object:
    metadata = {"namespace": "default", "name": "agent-0", "tag": "latest", "updatedAt": moment}
    return {"metadata": metadata, "spec": {"description": "new"}}


@pytest.mark.parametrize(("moment", "said"), [(MORNING, "Greet people."), (NOON, "Greet nobody.")])
async def test_the_same_prompt_twice_is_the_newer_one(moment: str, said: str) -> None:
    greeter = Published(name="greeter", instructions="Greet people.", updated_at="2026-11-21T10:00:00Z")
    prompts = [Artifact("Prompt", f"prompt-{number:03}") for number in range(150)]
    metadata = {"name": "greeter-instructions", "tag": "latest", "updatedAt": moment}
    twice = {"metadata": metadata, "spec": {"content": "Greet nobody."}}
    async with registry_standin(Content([greeter, *prompts])) as standin:
        standin.inject(faults.WrongType(path="/v0/prompts", pages=(2,), at=("items", 0), value=twice))

        assert (await entries(standin))["greeter"].instructions == said


@pytest.mark.parametrize("path", ["/v0/skills", "/v0/mcpservers"])
async def test_what_only_helps_to_find_an_entry_may_be_away(path: str) -> None:
    async with registry_standin(load(SHIPPED)) as standin:
        standin.inject(faults.Failing(path=path))
        read = await reading(standin)

    assert read.problems == {f"registry.{Path(path).name}_unread": 1}
    assert read.names == len({published.name for published in load(SHIPPED).agents()})


async def test_without_prompts_for_now_nothing_is_read() -> None:
    async with registry_standin(load(SHIPPED)) as standin:
        standin.inject(faults.Failing(path="/v0/prompts"))

        assert await failure(standin) == "registry.server_error"


@pytest.mark.parametrize("status", [403, 404])
async def test_a_registry_that_shows_us_no_prompts_has_entries_without_them(status: int) -> None:
    content = Content([Published(name="greeter", instructions="Greet.")])
    async with registry_standin(content) as standin:
        standin.inject(
            faults.Failing(path="/v0/prompts*", status=status), faults.Failing(path="/v0/prompts/*", status=status)
        )
        read = await reading(standin)
        greeter = next(iter(read.entries))

        assert (greeter.missing_prompt, read.problems) == (True, {"registry.prompts_unread": 1})
        assert await entry(standin, greeter.handle) == greeter


async def test_an_unreadable_prompt_is_a_missing_one() -> None:
    content = Content([Published(name="greeter", instructions="Greet.")])
    async with registry_standin(content) as standin:
        standin.inject(faults.WrongType(path="/v0/prompts", at=("items", 0, "metadata", "name"), value=7))

        assert (await entries(standin))["greeter"].missing_prompt


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_one_entry_has_the_hash_that_it_has_in_the_listing(dialect: Dialect) -> None:
    async with registry_standin(load(SHIPPED), dialect=dialect) as standin:
        for listed in (await reading(standin)).entries:
            found = await entry(standin, listed.handle, dialect)

            assert found is not None
            assert found.handle == listed.handle
            assert found.instructions == listed.instructions


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_entry_that_is_gone_is_none(dialect: Dialect) -> None:
    async with registry_standin(load(SHIPPED), dialect=dialect) as standin:
        gone = Handle("acme", "default", "io.example/gone", "v1", "sha256:" + 64 * "0")

        assert await entry(standin, gone, dialect) is None


async def test_a_changed_prompt_is_a_changed_entry() -> None:
    before = Published(name="greeter", instructions="Greet people.")
    async with registry_standin(Content([before])) as standin:
        handle = (await entries(standin))["greeter"].handle
        standin.content.publish(replace(before, instructions="Greet nobody."))
        found = await entry(standin, handle)

    assert found is not None
    assert found.hash != handle.hash
    assert found.instructions == "Greet nobody."


async def test_an_agent_that_runs_is_known_with_its_name() -> None:
    content = Content([Published(name="greeter", instructions="Greet.", deployment=Deployment("kagent", "greeter-1"))])
    async with registry_standin(content, dialect="inventory") as standin:
        assert (await entries(standin))["greeter"].running == "kagent/greeter-1"


ONE = "/v0/agents/greeter/latest"
PROMPT = "/v0/prompts/greeter-instructions/latest"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.Failing(path=ONE), "registry.server_error"),
        (faults.Failing(path=ONE, status=403), "registry.denied"),
        (faults.Failing(path=PROMPT), "registry.server_error"),
        (faults.WrongType(path=ONE, at=("metadata", "name"), value="another"), "registry.dialect"),
        (faults.WrongType(path=ONE, at=("spec",), value=None), "registry.unreadable_entry"),
        (faults.WrongType(path=ONE, value=[]), "registry.unreadable_entry"),
        (faults.WrongType(path=PROMPT, value=[]), "registry.unreadable_entry"),
    ],
)
async def test_one_entry_that_can_not_be_read_is_named(fault: faults.Fault, code: str) -> None:
    async with registry_standin(Content([Published(name="greeter", instructions="Greet.")])) as standin:
        handle = (await entries(standin))["greeter"].handle
        standin.inject(fault)

        with pytest.raises(ReadingFailed) as failed:
            await entry(standin, handle)

    assert failed.value.code == code


async def test_one_entry_that_is_about_to_go_is_gone() -> None:
    async with registry_standin(Content([Published(name="greeter")])) as standin:
        handle = (await entries(standin))["greeter"].handle
        standin.inject(faults.WrongType(path=ONE, at=("metadata", "deletionTimestamp"), value=NOON))

        assert await entry(standin, handle) is None

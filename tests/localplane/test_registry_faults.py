import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from mcp_agentspawn.localplane.registry import Content, Dialect, Published, Standin, faults, registry_standin
from mcp_agentspawn.localplane.registry.wrong_types import WRONG_TYPES
from tests.localplane.waiting import until

NOON = "2026-11-21T12:00:00Z"


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="session")
async def standin() -> AsyncIterator[Standin]:
    content = Content(Published(name=f"agent-{number}", updated_at=NOON) for number in range(6))
    async with registry_standin(content) as running:
        yield running


async def read(http: aiohttp.ClientSession, standin: Standin, **query: str) -> Any:
    async with http.get(f"{standin.url}/v0/agents", params=query) as response:
        return await response.json(content_type=None)


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url, allow_redirects=False) as response:
        return response.status


async def cursors(http: aiohttp.ClientSession, standin: Standin, pages: int) -> list[str]:
    """What so many pages say where the next one is."""
    found: list[str] = []
    for _ in range(pages):
        query = {"cursor": found[-1]} if found else {}
        page = await read(http, standin, limit="2", **query)
        found.append(page.get("nextCursor") or page.get("metadata", {}).get("nextCursor", ""))
    return found


async def test_a_slow_answer_comes_when_it_is_released(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Slow())
    asked = asyncio.create_task(read(http, standin))
    await until(lambda: standin.held == 1)

    standin.release()

    assert len((await asked)["items"]) == 6
    assert standin.held == 0


async def test_a_slow_answer_may_come_by_itself(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Slow(seconds=0.01))

    assert len((await read(http, standin))["items"]) == 6


async def test_a_block_ends_although_somebody_still_waits(http: aiohttp.ClientSession) -> None:
    async with registry_standin() as standin:
        standin.inject(faults.Slow())
        asked = asyncio.create_task(read(http, standin))
        await until(lambda: standin.held == 1)

    assert await asked == {"items": []}


async def test_an_answer_may_come_in_drops(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Drip(pause_seconds=0.0001))

    assert len((await read(http, standin, limit="1"))["items"]) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_half_a_page_ends_with_the_connection(
    http: aiohttp.ClientSession, standin: Standin, *, chunked: bool
) -> None:
    standin.inject(faults.HalfAPage(chunked=chunked))

    with pytest.raises((aiohttp.ClientPayloadError, json.JSONDecodeError)):
        await read(http, standin)


async def test_a_huge_answer_has_no_length_and_ends_with_its_reader(
    http: aiohttp.ClientSession, standin: Standin
) -> None:
    standin.inject(faults.Huge())

    async with http.get(f"{standin.url}/v0/agents") as response:
        assert "Content-Length" not in response.headers
        await response.content.readexactly(1_000_000)
        response.close()

    await until(lambda: standin.requests[0].sent > 0)
    assert standin.requests[0].sent < 50_000_000


async def test_a_huge_answer_is_valid_to_the_end(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Huge(megabytes=3))

    page = await read(http, standin)

    assert len(page["padding"]) == 3_000_000
    assert len(page["items"]) == 6


async def test_a_small_packed_answer_becomes_a_huge_one(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.GzipBomb(megabytes=10))

    page = await read(http, standin)

    assert len(page["padding"]) == 10_000_000
    assert standin.requests[0].sent < 100_000


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
async def test_an_error_has_its_status(http: aiohttp.ClientSession, standin: Standin, code: int) -> None:
    standin.inject(faults.Failing(status=code, headers={"Retry-After": "7"}))

    async with http.get(f"{standin.url}/v0/agents") as response:
        assert response.status == code
        assert response.headers["Retry-After"] == "7"
        assert response.content_type == ("text/plain" if code == 401 else "application/problem+json")


async def test_a_page_of_a_proxy_comes_with_status_200(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Saying())

    async with http.get(f"{standin.url}/v0/agents") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_bytes_may_be_no_text_at_all(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Saying(raw=b'{"items":["\xff\xfe"]}', content_type="application/json"))

    with pytest.raises(UnicodeDecodeError):
        await read(http, standin)


async def test_a_redirect_on_the_host_leads_to_the_same_registry(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Redirect())

    assert len((await read(http, standin, limit="2"))["items"]) == 2
    assert [seen.path for seen in standin.requests] == ["/v0/agents", "/moved/v0/agents"]


async def test_a_redirect_off_the_host_leads_to_another_one(http: aiohttp.ClientSession, standin: Standin) -> None:
    async with registry_standin() as other:
        standin.inject(faults.Redirect(to=other.url, status=302))

        assert await read(http, standin, limit="2") == {"items": []}
    assert [seen.query for seen in other.requests] == [(("limit", "2"),)]


async def test_a_redirect_may_go_in_a_circle(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Redirect(to=""))

    with pytest.raises(aiohttp.TooManyRedirects):
        await read(http, standin)


@pytest.mark.parametrize("dialect", ["v0.4", "v0.3", "inventory"])
async def test_cursors_may_lead_in_circles_or_on_for_ever(
    http: aiohttp.ClientSession, standin: Standin, dialect: Dialect
) -> None:
    standin.dialect = dialect

    standin.inject(faults.SameCursor())
    assert len(set(await cursors(http, standin, 5))) == 1
    standin.inject(faults.AlternatingCursors())
    one, other, *more = await cursors(http, standin, 6)
    assert one != other
    assert more == [one, other] * 2
    standin.inject(faults.EndlessListing())
    assert len(set(await cursors(http, standin, 20))) == 20


async def test_an_endless_listing_has_other_entries_on_each_page(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.EndlessListing())
    first = await read(http, standin, limit="2")
    second = await read(http, standin, limit="2", cursor=first["nextCursor"])

    named = [item["metadata"]["name"] for page in (first, second) for item in page["items"]]
    assert named == ["agent-0-1", "agent-1-1", "agent-0-2", "agent-1-2"]


WRONG = [(dialect, called) for dialect, table in WRONG_TYPES.items() for called in table]


@pytest.mark.parametrize(("dialect", "called"), WRONG)
async def test_a_value_of_the_wrong_type_stands_where_it_is_meant_to(
    http: aiohttp.ClientSession, standin: Standin, dialect: Dialect, called: str
) -> None:
    standin.dialect = dialect
    fault = WRONG_TYPES[dialect][called]
    standin.inject(fault)

    held = await read(http, standin)

    for step in fault.at:
        held = held[step]
    assert held == fault.value


@pytest.mark.parametrize("called", faults.numbers())
async def test_numbers_may_be_none(http: aiohttp.ClientSession, standin: Standin, called: str) -> None:
    fault = faults.numbers()[called]
    standin.inject(fault)

    async with http.get(f"{standin.url}/v0/agents") as response:
        text = await response.text()

    assert text.startswith("{" + fault.member + ',"items":[')


async def test_lists_may_be_nested_deeper_than_readers_go(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.nested())

    with pytest.raises(RecursionError):
        await read(http, standin)


async def test_a_key_may_come_twice(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.DuplicateKeys(shadowed="evil"))

    async with http.get(f"{standin.url}/v0/agents") as response:
        assert '"name":"evil","name":"agent-0"' in await response.text()


async def test_content_changes_once_while_pages_are_read(http: aiohttp.ClientSession, standin: Standin) -> None:
    standin.inject(faults.Changing(pages=(1,), change=lambda content: content.withdraw("agent-2")))

    first = await read(http, standin, limit="2")
    second = await read(http, standin, limit="2", cursor=first["nextCursor"])
    await read(http, standin, limit="2")

    assert [item["metadata"]["name"] for item in second["items"]] == ["agent-3", "agent-4"]


async def test_a_fault_keeps_to_its_pages_its_path_and_its_times(http: aiohttp.ClientSession, standin: Standin) -> None:
    first = await read(http, standin, limit="2")
    listing, second = f"{standin.url}/v0/agents", f"{standin.url}/v0/agents?cursor={first['nextCursor']}"
    one = f"{standin.url}/v0/agents/agent-1"

    standin.inject(faults.Failing(pages=(2,)))
    assert [await status(http, url) for url in (listing, second, one)] == [200, 500, 200]
    standin.inject(faults.Failing(path="/v0/agents/*"))
    assert [await status(http, url) for url in (listing, second, one)] == [200, 200, 500]
    standin.inject(faults.Failing(times=2))
    assert [await status(http, listing) for _ in range(4)] == [500, 500, 200, 200]
    standin.inject(faults.Failing())
    standin.heal()
    assert await status(http, listing) == 200


async def test_a_block_ends_although_somebody_does_not_read_on() -> None:
    async with asyncio.timeout(10), registry_standin() as running:
        running.inject(faults.Huge())
        _, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
        writer.write(b"GET /v0/agents HTTP/1.1\r\nHost: registry\r\n\r\n")
        await until(lambda: bool(running.requests) and running.requests[0].sent > 0)

    assert running.requests[0].sent < 100_000_000
    writer.close()

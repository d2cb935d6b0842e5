from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
import pytest_asyncio
from mcp import Client
from mcp.server.lowlevel import Server

from mcp_agentspawn.localplane import ControlPlane, install, library
from mcp_agentspawn.localplane.inventory import discovered, manifests, offered
from mcp_agentspawn.localplane.tools import ToolServers, tool_servers

KAGENT = Path(__file__).parent.parent.parent / "dev" / "kagent-crds"
NAMESPACE = "inventory-test"
KINDS = {"ModelConfig": "modelconfigs", "RemoteMCPServer": "remotemcpservers"}
OUTSIDE = ["../tools.py", "/etc/passwd", "library:../tools", "library:", "", "file:///etc/passwd", "library:\x00"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[ToolServers]:
    async with tool_servers() as running:
        yield running


async def call(servers: ToolServers, server: str, tool: str, **arguments: Any) -> Any:
    async with Client(servers.urls[server]) as client:
        result = await client.call_tool(tool, arguments)
    assert not result.is_error
    return result.structured_content


async def is_refused(servers: ToolServers, server: str, tool: str, **arguments: Any) -> bool:
    async with Client(servers.urls[server]) as client:
        return bool((await client.call_tool(tool, arguments)).is_error)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_both_protocol_eras_are_served(servers: ToolServers, mode: Any) -> None:
    async with Client(servers.urls["web-search"], mode=mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"search", "fetch"}


async def test_what_a_search_finds_can_be_fetched(servers: ToolServers) -> None:
    hits = (await call(servers, "web-search", "search", query="compare-and-swap with resourceVersion"))["hits"]
    found = await call(servers, "web-search", "fetch", address=hits[0]["address"])

    assert hits[0]["address"] == "library:optimistic-concurrency"
    assert hits[0]["title"] == found["title"]
    assert hits[0]["excerpt"] in " ".join(found["text"].split())


async def test_a_search_for_nothing_known_finds_nothing(servers: ToolServers) -> None:
    assert await call(servers, "web-search", "search", query="zyzzyva ??") == {"hits": []}


@pytest.mark.parametrize("address", OUTSIDE)
async def test_nothing_outside_the_library_can_be_fetched(servers: ToolServers, address: str) -> None:
    assert await is_refused(servers, "web-search", "fetch", address=address)


@pytest.mark.parametrize("stream", OUTSIDE[:3])
async def test_a_stream_that_is_not_there_is_empty(servers: ToolServers, stream: str) -> None:
    assert (await call(servers, "log-store", "query_logs", stream=stream))["lines"] == []


async def test_logs_are_found_by_stream_text_and_time(servers: ToolServers) -> None:
    query = {"stream": "payments", "contains": "CERTIFICATE", "since": "2026-03-17T09:38:02Z"}
    lines = (await call(servers, "log-store", "query_logs", **query, until="2026-03-17T10:05:48Z"))["lines"]

    assert [line["time"] for line in lines] == ["2026-03-17T09:38:02Z"]


async def test_the_lines_of_all_streams_come_by_time_and_in_portions(servers: ToolServers) -> None:
    streams = (await call(servers, "log-store", "list_streams"))["streams"]
    some = await call(servers, "log-store", "query_logs", limit=7)
    every = await call(servers, "log-store", "query_logs", limit=100)

    assert (len(some["lines"]), some["truncated"], every["truncated"]) == (7, True, False)
    assert len(every["lines"]) == sum(stream["lines"] for stream in streams)
    assert every["lines"] == sorted(every["lines"], key=lambda line: line["time"])
    assert {line["stream"] for line in every["lines"]} == {stream["name"] for stream in streams}


@pytest.mark.parametrize(
    ("server", "tool", "arguments"),
    [
        ("web-search", "search", {"query": "x" * 501}),
        ("web-search", "search", {"query": "x", "limit": 11}),
        ("web-search", "search", {"query": "x", "limit": 0}),
        ("log-store", "query_logs", {"limit": 101}),
        ("log-store", "query_logs", {"contains": "x" * 501}),
    ],
)
async def test_questions_are_bounded(servers: ToolServers, server: str, tool: str, arguments: dict[str, Any]) -> None:
    assert await is_refused(servers, server, tool, **arguments)


def test_answers_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("# Long\n" + "word " * 10_000)
    found = library.documents(tmp_path)

    assert len(found["library:long"].text) == library.MOST_DOCUMENT_CHARACTERS
    assert len(library.find(found, "word", 99)[0].excerpt) == library.EXCERPT_CHARACTERS


def test_documents_and_logs_are_plain_and_in_order() -> None:
    titles = [document.title for document in library.documents().values()]
    times = [line.time for line in library.logs()]

    assert len(titles) == len(set(titles)) >= 12
    assert all(time.startswith("2026-03-17T") and time.endswith("Z") for time in times)


async def test_a_page_in_a_browser_can_not_call_them(servers: ToolServers) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream", "Origin": "http://example.com"}
    async with httpx2.AsyncClient(trust_env=False) as client:
        foreign = await client.post(servers.urls["web-search"], json=body, headers=headers)
        renamed = await client.post(servers.urls["web-search"], json=body, headers={"Host": "example.com"})

    assert (foreign.status_code, renamed.status_code) == (403, 421)


async def test_a_server_with_many_tools_is_asked_for_every_page() -> None:
    pages = {None: ("b", "2"), "2": ("a", "3"), "3": ("c", None)}

    async def page(_: object, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        name, following = pages[params.cursor if params else None]
        tool = types.Tool(name=name, input_schema={"type": "object"})
        return types.ListToolsResult(tools=[tool], next_cursor=following)

    assert [tool["name"] for tool in await offered(Server("paged", on_list_tools=page))] == ["a", "b", "c"]


async def test_they_end_with_their_block() -> None:
    async with tool_servers() as running:
        url = running.urls["log-store"]
        assert await discovered(url)

    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(url)


async def test_a_cluster_is_told_of_the_tools_that_the_servers_really_offer(servers: ToolServers) -> None:
    found = {item["metadata"]["name"]: item for item in await manifests(servers, NAMESPACE)}

    for name, url in servers.urls.items():
        assert found[name]["spec"]["url"] == url
        async with Client(url) as client:
            tools = {tool.name: tool.description for tool in (await client.list_tools()).tools}
        assert {tool["name"]: tool["description"] for tool in found[name]["status"]["discoveredTools"]} == tools


async def test_a_real_api_server_takes_the_manifests_and_their_status(
    servers: ToolServers, control_plane: ControlPlane
) -> None:
    await install(control_plane.admin, [KAGENT])
    async with control_plane.admin.session() as session:
        await session.post("/api/v1/namespaces", json={"metadata": {"name": NAMESPACE}})
        for manifest in await manifests(servers, NAMESPACE):
            path = f"/apis/kagent.dev/v1alpha2/namespaces/{NAMESPACE}/{KINDS[manifest['kind']]}"
            async with session.post(f"{path}?fieldValidation=Strict", json=manifest) as created:
                assert created.status == 201, await created.text()
                stored = await created.json()
            if "status" in manifest:
                wanted = stored | {"status": manifest["status"]}
                url = f"{path}/{manifest['metadata']['name']}/status?fieldValidation=Strict"
                async with session.put(url, json=wanted) as answer:
                    assert (await answer.json())["status"] == manifest["status"]
        async with session.delete(f"/api/v1/namespaces/{NAMESPACE}") as gone:
            assert gone.ok

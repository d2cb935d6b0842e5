import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from mcp_agentspawn.localplane.registry import Content, Deployment, Dialect, Published, Standin, load, registry_standin
from tests.localplane.registry_samples import NAMES, REPOSITORY, SAMPLES, sample, sample_content

NOON = "2026-11-21T12:00:00Z"
OTHERS = ["/v0/agents?latestOnly=maybe", "/v0/agents/x/v1/more", "/v0/nothing"]
BUNDLED = REPOSITORY / "dev" / "registry" / "agents.yaml"


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.mark.parametrize("name", NAMES)
async def test_every_recorded_answer_is_given_byte_for_byte(http: aiohttp.ClientSession, name: str) -> None:
    recorded = sample(name)
    method, target = recorded["request"].split(" ", 1)

    async with registry_standin(sample_content()) as standin, http.request(method, standin.url + target) as response:
        text = await response.text()

    assert response.status == recorded["status"]
    assert text == json.dumps(recorded["body"], ensure_ascii=False, separators=(",", ":")) + "\n"
    assert response.content_type == ("application/json" if response.status == 200 else "application/problem+json")


def test_no_recorded_answer_is_forgotten() -> None:
    sample("ping")

    assert {path.stem for path in SAMPLES.glob("*.json")} - {"apply"} == set(NAMES)


async def get(http: aiohttp.ClientSession, standin: Standin, path: str, **query: str) -> Any:
    async with http.get(standin.url + path, params=query) as response:
        return await response.json(content_type=None)


async def refusal(http: aiohttp.ClientSession, standin: Standin, path: str) -> tuple[int, str]:
    async with http.get(standin.url + path) as response:
        return response.status, (await response.json(content_type=None))["detail"]


async def all_pages(http: aiohttp.ClientSession, standin: Standin, **query: str) -> list[dict[str, Any]]:
    """Follow the cursors of either dialect to the end."""
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while not pages or cursor:
        pages.append(await get(http, standin, "/v0/agents", **query, **cursor))
        following = pages[-1].get("nextCursor") or pages[-1].get("metadata", {}).get("nextCursor")
        cursor = {"cursor": following} if following else {}
    return pages


def names(page: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in page["items"]]


def many(count: int) -> Content:
    return Content(Published(name=f"agent-{number:03}") for number in range(count))


async def test_pages_together_are_the_whole_listing_whatever_their_size(http: aiohttp.ClientSession) -> None:
    async with registry_standin(many(120)) as standin:
        by_default, by_sevens, at_once = [
            await all_pages(http, standin, **query) for query in ({}, {"limit": "7"}, {"limit": "9999"})
        ]

    whole = names(at_once[0])
    assert [len(page["items"]) for page in by_default] == [50, 50, 20]
    assert [name for page in by_default for name in names(page)] == whole
    assert [name for page in by_sevens for name in names(page)] == whole
    assert "nextCursor" not in at_once[0]


@pytest.mark.parametrize("limit", ["0", "-3"])
async def test_a_limit_below_one_is_the_default(http: aiohttp.ClientSession, limit: str) -> None:
    async with registry_standin(many(60)) as standin:
        assert len((await get(http, standin, "/v0/agents", limit=limit))["items"]) == 50


async def test_listings_keep_to_a_namespace_a_tag_and_labels(http: aiohttp.ClientSession) -> None:
    content = Content(
        [
            Published(name="a", labels={"team": "sre", "tier": "1"}),
            Published(name="a", tag="v1", labels={"team": "sre"}),
            Published(name="b", namespace="team-b", labels={"team": "docs"}),
        ]
    )
    async with registry_standin(content) as standin:

        async def found(**query: str) -> list[str]:
            return names(await get(http, standin, "/v0/agents", **query))

        assert await found() == ["a", "a"]
        assert await found(namespace="all") == ["a", "a", "b"]
        assert await found(namespace="team-b") == ["b"]
        assert await found(namespace="all", latestOnly="true") == ["a", "b"]
        assert await found(tag="v1", latestOnly="true") == ["a"]
        assert await found(labels="team=sre,tier=1") == ["a"]
        assert await found(search="nothing", semantic_search="true") == ["a", "a"]


async def test_an_entry_that_is_overwritten_in_place_comes_again_behind_its_own_cursor(
    http: aiohttp.ClientSession,
) -> None:
    async with registry_standin(many(2)) as standin:
        first = await get(http, standin, "/v0/agents", limit="1")
        standin.content.publish(Published(name="agent-000", updated_at="2026-11-22T00:00:00Z"))
        second = await get(http, standin, "/v0/agents", limit="1", cursor=first["nextCursor"])

    assert names(first) == names(second) == ["agent-000"]


async def test_what_is_asked_wrongly_is_refused_in_the_registrys_words(http: aiohttp.ClientSession) -> None:
    async with registry_standin() as standin:
        said = {
            path: await refusal(http, standin, path)
            for path in ["/v0/agents?labels=team", "/v0/agents?limit=many", "/v0/agents/x/v1", *OTHERS]
        }
        tags = await get(http, standin, "/v0/agents/nope/tags")

    assert said["/v0/agents?labels=team"] == (400, 'invalid labels selector: label "team" must be key=value')
    assert said["/v0/agents?limit=many"] == (422, "validation failed")
    assert said["/v0/agents/x/v1"] == (404, 'Agent "default"/"x"@"v1" not found')
    assert [said[path][0] for path in OTHERS] == [422, 404, 404]
    assert tags == {"items": []}


async def test_instructions_are_a_prompt_of_their_own_and_a_reference_to_it(http: aiohttp.ClientSession) -> None:
    entry = Published(
        name="writer", namespace="team-a", tag="v2", instructions="Write.", mcp_servers=[("fetch", "stable")]
    )
    async with registry_standin(Content([entry])) as standin:
        agent = await get(http, standin, "/v0/agents/writer/v2", namespace="team-a")
        reference = agent["spec"]["instructions"]
        prompt = await get(http, standin, f"/v0/prompts/{reference['name']}/{reference['tag']}", namespace="team-a")
        listed = await get(http, standin, "/v0/prompts", namespace="all")

    assert reference["kind"] == "Prompt"
    assert prompt["spec"]["content"] == "Write."
    assert listed["items"] == [prompt]
    assert agent["spec"]["mcpServers"] == [{"kind": "MCPServer", "name": "fetch", "tag": "stable"}]
    assert agent["spec"]["compatibleHarnesses"]
    assert "source" not in agent["spec"]


async def test_a_reference_may_lead_nowhere(http: aiohttp.ClientSession) -> None:
    async with registry_standin(Content([Published(name="writer", prompt=("gone", ""))])) as standin:
        agent = await get(http, standin, "/v0/agents/writer")

        assert agent["spec"]["instructions"] == {"kind": "Prompt", "name": "gone"}
        assert (await refusal(http, standin, "/v0/prompts/gone"))[0] == 404


async def test_before_0_4_agents_have_versions_and_pages_of_at_most_a_hundred(http: aiohttp.ClientSession) -> None:
    content = many(35)
    content.publish(Published(name="agent-000", tag="2.0.0", image="registry.example/a:2", updated_at=NOON))
    async with registry_standin(content, dialect="v0.3") as standin:
        pages = await all_pages(http, standin)
        latest = await get(http, standin, "/v0/agents/agent-000/versions/latest")
        versions = await get(http, standin, "/v0/agents/agent-000/versions")
        found = await get(http, standin, "/v0/agents", search="T-00", version="latest")
        too_many = await refusal(http, standin, "/v0/agents?limit=101")
        none = await refusal(http, standin, "/v0/agents?limit=0")

    assert [page["metadata"]["count"] for page in pages] == [30, 6]
    assert set(pages[0]) == set(pages[1]) == {"agents", "metadata"}
    assert latest["agent"]["version"] == "2.0.0"
    assert latest["_meta"]["io.modelcontextprotocol.registry/official"]["isLatest"] is True
    assert [item["agent"]["version"] for item in versions["agents"]] == ["2.0.0", "latest"]
    assert found["metadata"]["count"] == 10
    assert too_many == none == (422, "validation failed")


async def test_before_0_4_a_listing_may_begin_at_a_time(http: aiohttp.ClientSession) -> None:
    content = many(3)
    content.publish(Published(name="newer", updated_at="2026-11-22T00:00:00Z"))
    async with registry_standin(content, dialect="v0.3") as standin:
        page = await get(http, standin, "/v0/agents", updated_since=NOON)
        refused = await refusal(http, standin, "/v0/agents?updated_since=yesterday")

    assert [item["agent"]["name"] for item in page["agents"]] == ["newer"]
    assert refused[0] == 400


@pytest.mark.parametrize("dialect", ["v0.3", "inventory"])
async def test_what_older_dialects_have_not_they_refuse(http: aiohttp.ClientSession, dialect: Dialect) -> None:
    async with registry_standin(many(1), dialect=dialect) as standin:
        for path in ["agents/no", "agents/no/versions", "agents/agent-000/versions/v9", "agents/a/b/c/d", "runtimes"]:
            assert (await refusal(http, standin, f"/v0/{path}"))[0] == 404

        one = await get(http, standin, "/v0/agents/agent-000")
        (listed,) = (await get(http, standin, "/v0/agents/agent-000/versions"))["agents"]
        (found,) = (await get(http, standin, "/v0/agents", version="latest"))["agents"]

    assert one == listed == found


async def test_the_inventory_ignores_cursors_and_cuts_at_the_limit(http: aiohttp.ClientSession) -> None:
    async with registry_standin(many(120), dialect="inventory") as standin:
        pages = await all_pages(http, standin, limit="100")
        again = await get(http, standin, "/v0/agents", limit="100", cursor="anything")

    assert pages == [again]
    assert again["metadata"] == {"count": 100}


async def test_the_inventory_says_what_kagent_runs(http: aiohttp.ClientSession) -> None:
    entry = Published(
        name="helper",
        instructions="Help.",
        model="default-model-config",
        mcp_servers=[("fetch", "")],
        tool_names={"fetch": ["get"]},
        deployment=Deployment("kagent", "helper"),
    )
    async with registry_standin(Content([entry]), dialect="inventory") as standin:
        item = await get(http, standin, "/v0/agents/helper/versions/latest")

    assert item["agent"]["agentType"] == "Declarative"
    assert item["agent"]["systemMessage"] == "Help."
    assert item["agent"]["tools"] == [{"type": "McpServer", "name": "fetch", "toolNames": ["get"]}]
    assert item["_meta"]["deployment"] == {"namespace": "kagent", "serviceName": "helper", "ready": True}


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
async def test_a_registry_that_asks_for_a_token_turns_strangers_away_with_a_plain_word(
    http: aiohttp.ClientSession, header: dict[str, str]
) -> None:
    async with registry_standin(bearer="right") as standin:
        async with http.get(f"{standin.url}/v0/agents", headers=header) as response:
            refused = response.status, response.content_type, await response.text()
        async with http.get(f"{standin.url}/v0/agents?a=1", headers={"Authorization": "Bearer right"}) as response:
            assert response.status == 200

    assert refused == (401, "text/plain", "Unauthorized")
    assert [seen.bearer_shown for seen in standin.requests] == [False, True]
    assert standin.requests[1].query == (("a", "1"),)
    assert "Authorization" in standin.requests[1].header_names
    assert "right" not in repr(standin.requests)


async def test_a_wrong_address_is_answered_by_the_web_interface(http: aiohttp.ClientSession) -> None:
    async with registry_standin() as standin, http.get(f"{standin.url}/agents") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_only_reading_is_served(http: aiohttp.ClientSession) -> None:
    async with registry_standin() as standin, http.post(f"{standin.url}/v0/agents") as response:
        assert response.status == 405


async def test_a_slash_at_the_end_leads_to_the_address_without_it(http: aiohttp.ClientSession) -> None:
    async with registry_standin() as standin:
        assert await get(http, standin, "/v0/agents/") == {"items": []}

    assert [seen.path for seen in standin.requests] == ["/v0/agents/", "/v0/agents"]


async def test_the_bundled_entries_are_served_in_every_dialect(http: aiohttp.ClientSession) -> None:
    content = load(BUNDLED)
    async with registry_standin(content) as standin:
        (current,) = await all_pages(http, standin, namespace="all")
        standin.dialect = "v0.3"
        (legacy,) = await all_pages(http, standin)
        standin.dialect = "inventory"
        (inventory,) = await all_pages(http, standin)
        forms = {item["agent"]["name"]: item["agent"].get("agentType") for item in inventory["agents"]}

    assert len(current["items"]) == legacy["metadata"]["count"] == inventory["metadata"]["count"] == 12
    assert forms["web-researcher"] == "Declarative"
    assert forms["log-analyst"] == "BYO"
    assert forms["schema-reviewer"] is None
    for reference in (item["spec"].get("mcpServers", []) for item in current["items"]):
        assert all((one["name"], one["tag"]) == ("fetch", "stable") for one in reference)


def test_a_file_with_a_word_that_is_not_known_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text("agents: [{name: a, imagge: b}]\n")

    with pytest.raises(ValueError, match="imagge"):
        load(file)


async def test_nothing_is_left_when_the_block_ends() -> None:
    before = asyncio.all_tasks()
    async with registry_standin(many(3)) as standin:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(standin.url.rpartition(":")[2]))
        writer.write(b"GET /v0/agents HTTP/1.1\r\nHost: registry\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    assert (await reader.read()).endswith(b"]}\n")  # to the end of the connection
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(standin.url.rpartition(":")[2]))
    assert asyncio.all_tasks() == before

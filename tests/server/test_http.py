"""The HTTP face around the tools: methods, hosts, origins, sizes, probes, metrics, the end."""

import asyncio
import json

import httpx
import pytest

from mcp_agentspawn.server.health import Health
from mcp_agentspawn.server.http import metadata_url
from tests.localplane.waiting import until
from tests.server.edges import LEGACY, RunningEdge, a_call, message, post, serving


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS"])
async def test_only_post_is_served(edge: RunningEdge, method: str) -> None:
    async with httpx.AsyncClient() as http:
        response = await http.request(method, edge.url, headers=LEGACY | {"x-agentspawn-token": edge.token})

    assert response.status_code == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("agents.example.com", 200),
        ("agents.example.com:80", 421),
        ("evil.example.com", 421),
        ("127.0.0.1.evil.com", 421),
    ],
)
async def test_a_host_that_is_not_ours_is_misdirected(edge: RunningEdge, host: str, status: int) -> None:
    assert (await post(edge, message(), host=host)).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"), [("https://console.example.com", 200), ("https://evil.com", 403), ("null", 403)]
)
async def test_an_origin_must_be_allowed(origin: str, status: int) -> None:
    async with serving(allowed_origins=["https://console.example.com"]) as edge:
        assert (await post(edge, message(), origin=origin)).status_code == status


async def test_a_foreign_host_is_refused_before_its_credential_is_looked_at(edge: RunningEdge) -> None:
    response = await post(edge, message(), host="evil.example.com", x_agentspawn_token="wrong")

    assert response.status_code == 421


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_has_a_bound(edge: RunningEdge, declared: bool) -> None:
    body = json.dumps(a_call("list_templates", filler="x" * (256 * 1024))).encode()

    async def chunks() -> object:
        yield body

    async with httpx.AsyncClient() as http:
        headers = LEGACY | {"x-agentspawn-token": edge.token}
        response = await http.post(edge.url, content=body if declared else chunks(), headers=headers)  # type: ignore[arg-type] # an asynchronous generator

    assert response.status_code == 413


async def test_a_server_that_is_alive_says_so_to_anybody(edge: RunningEdge) -> None:
    async with httpx.AsyncClient() as http:
        response = await http.get(f"{edge.base}/healthz", headers={"host": "10.0.0.7:8000"})

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_ready_means_that_every_part_works() -> None:
    said = {"rules": "", "api_server": ""}

    async def rules() -> str:
        return said["rules"]

    async def api_server() -> str:
        if said["api_server"]:
            raise ConnectionError(said["api_server"])
        return ""

    async with serving(parts={"rules": rules, "api_server": api_server}) as edge, httpx.AsyncClient() as http:
        before = await http.get(f"{edge.base}/readyz")
        said |= {"rules": "not loaded", "api_server": "https://user:secret@10.0.0.1 refused"}
        edge.health._asked_at = float("-inf")
        after = await http.get(f"{edge.base}/readyz")
        edge.health.draining = True
        draining = await http.get(f"{edge.base}/readyz")

    assert (before.status_code, before.json()) == (200, {"status": "ready"})
    assert after.status_code == draining.status_code == 503
    assert after.json()["problems"] == {"rules": "not loaded", "api_server": "no answer (ConnectionError)"}
    assert draining.json()["problems"]["server"] == "draining"


async def test_many_probes_ask_each_part_once_a_second() -> None:
    asked: list[float] = []
    time = 100.0

    async def part() -> str:
        asked.append(time)
        await asyncio.sleep(0)
        return ""

    health = Health({"part": part}, lambda: time)
    await asyncio.gather(*(health.problems() for _ in range(50)))
    time += 1
    await health.problems()

    assert asked == [100, 101]


async def test_a_part_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_agentspawn.server.health.PART_ANSWERS_WITHIN_SECONDS", 0.01)

    async def part() -> str:
        await asyncio.Event().wait()
        return ""

    assert await Health({"part": part}).problems() == {"part": "no answer (TimeoutError)"}


async def test_metrics_are_there_for_prometheus(edge: RunningEdge) -> None:
    async with httpx.AsyncClient() as http:
        response = await http.get(f"{edge.base}/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text.startswith("calls ")


@pytest.mark.parametrize(
    ("public_url", "metadata"),
    [
        ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/.well-known/oauth-protected-resource/mcp"),
        ("https://a.example.com/spawn/mcp", "https://a.example.com/.well-known/oauth-protected-resource/spawn/mcp"),
    ],
)
def test_the_metadata_is_where_rfc_9728_puts_it(public_url: str, metadata: str) -> None:
    assert metadata_url(public_url) == metadata


async def test_a_server_that_ends_is_first_not_ready_and_serves_on() -> None:
    async with serving(drain_seconds=1.0) as edge, httpx.AsyncClient() as http:
        ending = asyncio.create_task(edge.serving.stop())

        async def draining() -> bool:
            return (await http.get(f"{edge.base}/readyz")).status_code == 503

        await until(draining)
        answer = await post(edge, a_call("list_templates"), x_agentspawn_token=edge.token)
        assert not ending.done()
        await ending

    assert answer.json()["result"]["structuredContent"]["outcome"] == "allowed"

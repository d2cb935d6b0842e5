"""The proxy itself: what it is told to break breaks, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.faults import proxy as faults
from tests.faults.proxy import FaultProxy


class Bench(NamedTuple):
    proxy: FaultProxy
    seen: list[str]
    client: aiohttp.ClientSession


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(f"{request.method} {request.raw_path} {request.headers.get('Impersonate-User', '')}".strip())
        if "watch" in request.query:
            return await _two_events(request)
        return web.Response(status=201, text=(await request.text())[::-1], headers={"X-Said": "so"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with (
        FaultProxy(f"http://127.0.0.1:{runner.addresses[0][1]}") as proxy,
        aiohttp.ClientSession(proxy.url) as client,
    ):
        yield Bench(proxy, seen, client)
    await runner.cleanup()


async def _two_events(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"one\n")
    await response.write(b"two\n")
    return response


async def _post(client: aiohttp.ClientSession, path: str = "/agents") -> tuple[int, str]:
    async with client.post(path, data="abc", headers={"Impersonate-User": "agentspawn:a:b"}) as response:
        return response.status, await response.text()


async def test_without_a_fault_everything_travels_as_it_came(bench: Bench) -> None:
    async with bench.client.post(
        "/agents?a=%2B", data="abc", headers={"Impersonate-User": "agentspawn:a:b"}
    ) as response:
        assert (response.status, await response.text(), response.headers["X-Said"]) == (201, "cba", "so")
    assert bench.seen == ["POST /agents?a=%2B agentspawn:a:b"]
    assert bench.proxy.forwarded == [("POST", "/agents?a=%2B")]


async def test_a_watch_is_streamed(bench: Bench) -> None:
    async with bench.client.get("/agents?watch=1") as response:
        assert [line async for line in response.content] == [b"one\n", b"two\n"]


async def test_a_held_request_comes_to_the_server_only_when_it_is_released(bench: Bench) -> None:
    fault = bench.proxy.on("POST", "/agents", faults.hold)
    call = asyncio.create_task(_post(bench.client))
    await fault.arrived()
    assert bench.seen == []
    fault.release()
    assert await call == (201, "cba")


async def test_a_dropped_request_never_comes_to_the_server(bench: Bench) -> None:
    fault = bench.proxy.on("POST", "/agents", faults.hold)
    call = asyncio.create_task(_post(bench.client))
    await fault.arrived()
    fault.drop()
    with pytest.raises(aiohttp.ClientError):
        await call
    assert bench.seen == []


async def test_a_held_request_can_still_be_released_when_its_client_is_gone(bench: Bench) -> None:
    fault = bench.proxy.on("POST", "/agents", faults.hold)
    call = asyncio.create_task(_post(bench.client))
    await fault.arrived()
    call.cancel()
    await asyncio.wait([call])
    fault.release()
    await fault.over()
    assert len(bench.seen) == 1


async def test_a_held_answer_is_given_after_the_server_has_acted(bench: Bench) -> None:
    fault = bench.proxy.on("POST", "/agents", faults.hold_answer)
    call = asyncio.create_task(_post(bench.client))
    await fault.forwarded()
    assert len(bench.seen) == 1
    assert not call.done()
    fault.release()
    assert await call == (201, "cba")


@pytest.mark.parametrize(("effect", "calls"), [(faults.cut_before, 0), (faults.cut_after, 1)])
async def test_a_cut_connection_is_an_error_for_the_client(bench: Bench, effect: faults.Effect, calls: int) -> None:
    bench.proxy.on("POST", "/agents", effect)
    with pytest.raises(aiohttp.ClientError):
        await _post(bench.client)
    assert len(bench.seen) == calls


async def test_a_gateways_timeout_comes_although_the_server_has_acted(bench: Bench) -> None:
    bench.proxy.on("POST", "/agents", faults.gateway_timeout)
    assert (await _post(bench.client))[0] == 504
    assert len(bench.seen) == 1


async def test_a_delayed_request_comes_to_the_server_later(bench: Bench) -> None:
    bench.proxy.on("POST", "/agents", faults.delay(0.05))
    started = asyncio.get_running_loop().time()
    assert await _post(bench.client) == (201, "cba")
    assert asyncio.get_running_loop().time() - started >= 0.05


async def test_a_fault_strikes_the_nth_match_once(bench: Bench) -> None:
    bench.proxy.on("POST", r"/agents(\?|$)", faults.gateway_timeout, nth=2)
    paths = ["/agents", "/proposals", "/agents", "/agents"]
    assert [(await _post(bench.client, path))[0] for path in paths] == [201, 201, 504, 201]


async def test_a_request_that_never_arrives_is_noticed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "ARRIVES_WITHIN_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        await bench.proxy.on("POST", "/agents", faults.hold).arrived()

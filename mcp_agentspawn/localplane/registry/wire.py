"""How answers go over the wire, the honest and the others."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

from aiohttp import web

from mcp_agentspawn.localplane.registry.answers import Answer
from mcp_agentspawn.localplane.registry.faults import Drip, Fault, GzipBomb, HalfAPage, Huge, padded

Pause = Callable[[float | None], Awaitable[None]]
Count = Callable[[int], None]


async def send(
    request: web.BaseRequest, answer: Answer, faults: Iterable[Fault], pause: Pause, count: Count
) -> web.StreamResponse:
    """Send an answer, in the way of the first fault that has one."""
    for fault in faults:
        match fault:
            case HalfAPage():
                return await _half(request, answer, chunked=fault.chunked, count=count)
            case Huge():
                return await _stream(request, answer, _chunks(padded(answer.body, fault.megabytes)), count)
            case GzipBomb():
                packed = _packed(padded(answer.body, fault.megabytes))
                return await _stream(request, answer, _chunks(packed), count, encoding="gzip")
            case Drip():
                return await _stream(request, answer, _drops(answer.body, fault.pause_seconds, pause), count)
    count(len(answer.body))
    return web.Response(body=answer.body, status=answer.status, headers=_headers(answer))


def _headers(answer: Answer) -> dict[str, str]:
    return {"Content-Type": answer.content_type, **answer.headers}


async def _half(request: web.BaseRequest, answer: Answer, *, chunked: bool, count: Count) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_headers(answer))
    if not chunked:
        response.content_length = len(answer.body)
    half = answer.body[: len(answer.body) // 2]
    await response.prepare(request)
    await response.write(half)
    count(len(half))
    if request.transport is not None:
        request.transport.close()
    return response


async def _stream(
    request: web.BaseRequest, answer: Answer, chunks: AsyncIterator[bytes], count: Count, encoding: str = ""
) -> web.StreamResponse:
    headers = _headers(answer) | ({"Content-Encoding": encoding} if encoding else {})
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in chunks:
            await response.write(chunk)
            count(len(chunk))
        await response.write_eof()
    except ConnectionError:  # who reads it has had enough
        pass
    return response


async def _chunks(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _drops(body: bytes, pause_seconds: float, pause: Pause) -> AsyncIterator[bytes]:
    for position in range(len(body)):
        yield body[position : position + 1]
        await pause(pause_seconds)


def _packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()

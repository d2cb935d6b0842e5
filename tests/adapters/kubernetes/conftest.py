"""An API server that only writes down, and a transport to it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from mcp_agentspawn.adapters.kubernetes.transport import Transport
from tests.adapters.kubernetes.fake_api import FakeApi, fake_api, transport_to


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with fake_api() as api:
        yield api


@pytest_asyncio.fixture
async def transport(api: FakeApi) -> AsyncIterator[Transport]:
    async with transport_to(api) as transport:
        yield transport

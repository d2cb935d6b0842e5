import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from mcp_agentspawn.localplane.registry import Standin, registry_standin
from tests.localplane.registry_samples import NAMES, SAMPLES, sample, sample_content

NOON = "2026-11-21T12:00:00Z"


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def get(http: aiohttp.ClientSession, standin: Standin, path: str, **query: str) -> Any:
    async with http.get(standin.url + path, params=query) as response:
        return await response.json(content_type=None)


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

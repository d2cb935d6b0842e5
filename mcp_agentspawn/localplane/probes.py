"""How a component shows that it works."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from mcp_agentspawn.localplane.connection import Connection
from mcp_agentspawn.localplane.processes import Component

POLL_SECONDS = 0.05
ANSWER_SECONDS = 5.0

Probe = Callable[[aiohttp.ClientSession], Awaitable[bool]]


async def wait_until_ready(component: Component, connection: Connection, probe: Probe, timeout_seconds: float) -> None:
    """Ask until the probe says yes; ControlPlaneFailed when the component dies or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    async with connection.session(ANSWER_SECONDS) as session:
        while not await _answers_yes(probe, session):
            component.check()
            if time.monotonic() > deadline:
                raise component.failure(f"was not ready within {timeout_seconds:g} seconds")
            await asyncio.sleep(POLL_SECONDS)


async def etcd_is_healthy(session: aiohttp.ClientSession) -> bool:
    """Whether etcd can serve reads and writes."""
    return await _is_ok(session, "/health")


async def api_server_is_ready(session: aiohttp.ClientSession) -> bool:
    """Whether the API server has finished its start, its built-in roles included."""
    return await _is_ok(session, "/readyz")


async def controllers_work(session: aiohttp.ClientSession) -> bool:
    """Whether the controllers have done the first things that everybody relies on."""
    first = (
        "/api/v1/namespaces/default/serviceaccounts/default",
        "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
    )
    for path in first:
        if not await _is_ok(session, path):
            return False
    async with session.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/edit") as response:
        return response.ok and bool((await response.json()).get("rules"))


async def _answers_yes(probe: Probe, session: aiohttp.ClientSession) -> bool:
    try:
        return await probe(session)
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _is_ok(session: aiohttp.ClientSession, path: str) -> bool:
    async with session.get(path) as response:
        return response.ok

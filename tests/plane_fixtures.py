"""One real control plane for the whole test session; a test that asks for it never starts its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.localplane import Binaries, ControlPlane, find_or_build

KINDS = Path(__file__).parents[1] / "dev" / "kagent-crds"
PEOPLE = {
    "admin": ["system:masters"],
    "alice": [],
    "bob": [],
    "editor": [],
    "operator": ["operators"],
}
"""Users with a bearer token in every test session; rights come from the RBAC that a test applies."""


@pytest.fixture(scope="session")
def control_plane_binaries() -> Binaries:
    return find_or_build()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(control_plane_binaries: Binaries) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(control_plane_binaries, users=PEOPLE, kinds=[KINDS]) as plane:
        yield plane

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_agentspawn.adapters.audit_log import AuditLog, opened
from tests.builders import FixedClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit-agentspawn-0.jsonl"


@pytest_asyncio.fixture
async def audit(path: Path) -> AsyncIterator[AuditLog]:
    async with opened(path, "agentspawn-0", FixedClock()) as audit:
        yield audit

"""`agentspawn search` on a real API server: what RBAC does not grant is not found."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.dev_fixtures import REPOSITORY, DevServer

AGENTSPAWN = Path(sys.executable).with_name("agentspawn")


async def searched(kubeconfig: Path, root: str) -> tuple[int | None, dict[str, Any], bytes]:
    process = await asyncio.create_subprocess_exec(
        AGENTSPAWN,
        *("search", "research", "--source", "template", "--json", "--root", root, "--kubeconfig", str(kubeconfig)),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, json.loads(output or "{}"), errors


async def test_a_root_finds_the_templates_that_rbac_grants_it(dev_server: DevServer) -> None:
    code, found, _ = await searched(dev_server.kubeconfig, f"agents/orchestrator@{dev_server.namespace}")

    assert code == 0
    assert {hit["handle"]: hit["spawnable"] for hit in found["hits"]}["researcher"] is True


async def test_another_root_under_the_same_policy_finds_none_of_them(dev_server: DevServer) -> None:
    code, found, _ = await searched(dev_server.kubeconfig, f"agents/nobody@{dev_server.namespace}")

    assert (code, found["hits"]) == (0, [])


async def test_somebody_who_may_not_ask_is_told_so(dev_server: DevServer) -> None:
    code, found, errors = await searched(dev_server.kubeconfigs["bob"], f"agents/orchestrator@{dev_server.namespace}")

    assert (code, found) == (1, {})
    assert b"forbidden." in errors

"""`agentspawn explain` on a real API server, as the operators there are."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_agentspawn.core.model import Root
from tests.attacks.orchestrators import Orchestrator
from tests.dev_fixtures import REPOSITORY, DevServer

AGENTSPAWN = Path(sys.executable).with_name("agentspawn")
QUESTION = "What does explain say?"
REQUEST = ("--template", "researcher", "--purpose", "Explain", "--parameter", f"question={QUESTION}")


async def explained(kubeconfig: Path, *arguments: str) -> tuple[int | None, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        AGENTSPAWN,
        *("explain", "--json", "--root", "agents/orchestrator", "--kubeconfig", str(kubeconfig), *arguments),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    said: dict[str, Any] = json.loads(output or "{}")
    return process.returncode, said


def verdicts(said: dict[str, Any]) -> dict[str, str]:
    return {guard["guard"]: guard["verdict"] for guard in said["guards"]}


async def proposals(server: DevServer) -> int:
    ours = ("agentspawn.dev", "v1alpha1", server.system_namespace, "subagentproposals")
    return len(server.objects().list_namespaced_custom_object(*ours)["items"])


async def test_an_administrator_hears_every_guard_and_leaves_nothing(dev_server: DevServer) -> None:
    before = await proposals(dev_server), len(dev_server.agents()), dev_server.audit_file.read_bytes()
    code, said = await explained(dev_server.kubeconfig, *REQUEST)

    assert (code, said["outcome"]) == (0, "allowed")
    assert set(verdicts(said).values()) == {"allow"}
    assert (await proposals(dev_server), len(dev_server.agents()), dev_server.audit_file.read_bytes()) == before


async def test_an_administrator_is_told_what_an_apply_would_be_told(dev_server: DevServer) -> None:
    root = Root("agents", "orchestrator", dev_server.namespace)
    caller = Orchestrator(root, dev_server.mcp_url, dev_server.token("orchestrator"))
    made = await caller.propose("Explain", parameters=[{"name": "question", "value": QUESTION}])
    code, said = await explained(dev_server.kubeconfig, made["proposal"], "--manifest")

    assert (code, said["step"], said["outcome"], said["changed"]) == (0, "apply", "allowed", [])
    assert said["manifest"] == made["manifest"]
    assert (await explained(dev_server.kubeconfig, *REQUEST))[1]["known"] == made["proposal"]
    await caller.retire(made["proposal"])


async def test_guards_that_somebody_may_not_ask_stay_unanswered(dev_server: DevServer) -> None:
    code, said = await explained(dev_server.kubeconfigs["bob"], *REQUEST)

    unanswered = [guard for guard in said["guards"] if guard["verdict"] == "unanswered"]
    assert (code, said["outcome"]) == (3, "unanswered")
    assert {"template", "crd", "access"} <= set(said["unanswered"])
    assert {guard["cause"] for guard in unanswered} == {"forbidden"}
    assert {guard["detail"].partition(": ")[0] for guard in unanswered} == {"you may not ask"}


@pytest.mark.parametrize("account", ["orchestrator", "stranger"])
async def test_a_proposal_that_is_not_there_is_a_finding(dev_server: DevServer, account: str) -> None:
    assert (await explained(dev_server.kubeconfig, "--root", f"agents/{account}", "sub-researcher-none"))[0] == 1

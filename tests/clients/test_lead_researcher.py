"""The sample that spawns, as shipped: a person approves it, and it works with its own credential alone."""

from base64 import b64decode
from collections.abc import AsyncIterator
from subprocess import run
from typing import Any

import pytest
import pytest_asyncio
from kubernetes import client

from mcp_agentspawn.core.model import Root
from tests.attacks.orchestrators import Answer, Orchestrator, codes, message
from tests.dev_fixtures import COMMAND, DevServer
from tests.localplane.waiting import until

ROOT = Root("agents", "orchestrator", "subagents")
QUESTION = [{"name": "question", "value": "Which ways are there to run agents in Kubernetes?"}]
ENOUGH = 6
"""Changes of its own that a test here makes."""
SYMPTOM = [{"name": "symptom", "value": "Checkout answers with 503"}]


@pytest_asyncio.fixture
async def root(dev_server: DevServer) -> AsyncIterator[Orchestrator]:
    """The orchestrator of `agentspawn dev`, whatever others let it do within this minute; nothing of it is left."""
    caller = Orchestrator(ROOT, dev_server.mcp_url, dev_server.token("orchestrator"))

    async def may_change() -> bool:
        allowance = (await caller.call("list_subagents"))["allowance"]
        return bool(allowance["changes_this_minute"] > ENOUGH)

    if not await may_change():
        as_alice(dev_server, "reset", ROOT.name, "--counts", "--reason", "a test of its own")
        await until(may_change)
    yield caller
    for entry in (await caller.call("list_subagents"))["subagents"]:
        await caller.retire(entry["agent"])


async def asked(caller: Orchestrator, template: str, **changes: Any) -> Answer:
    """Propose one of the samples."""
    return await caller.propose("Look into it", **{"template": template, "parameters": QUESTION} | changes)


async def lead(dev_server: DevServer, root: Orchestrator) -> Orchestrator:
    """A lead that alice has approved, as a caller with its own credential."""
    proposal = await asked(root, "lead-researcher")
    assert proposal["outcome"] == "pending_approval", proposal
    approve(dev_server, proposal)
    applied = await root.apply(proposal, wait_seconds=20)
    assert applied["outcome"] == "allowed", applied
    return root.as_agent(applied["agent"], credential(dev_server, applied["agent"]))


def approve(dev_server: DevServer, proposal: Answer) -> None:
    """Approve it as alice."""
    as_alice(dev_server, "approve", proposal["proposal"], "--digest", proposal["digest"])


def as_alice(dev_server: DevServer, *arguments: str) -> None:
    """Give the real command with alice's own kubeconfig."""
    kubeconfig = ["--kubeconfig", str(dev_server.kubeconfigs["alice"])]
    run([COMMAND, *arguments, *kubeconfig], check=True, capture_output=True, timeout=60)


def credential(dev_server: DevServer, agent: str) -> str:
    """A subagent's own credential, as its pod gets it; empty when it has none."""
    secrets: Any = client.CoreV1Api(dev_server.administrator())
    found = secrets.list_namespaced_secret(dev_server.namespace, field_selector=f"metadata.name={agent}-agentspawn")
    return "".join(b64decode(secret.data["token"]).decode() for secret in found.items)


def tools_of(agent: Answer) -> dict[str, Answer]:
    return {tool["mcpServer"]["name"]: tool for tool in agent["spec"]["declarative"]["tools"]}


@pytest.mark.timeout(180)
async def test_a_lead_researcher_has_researchers_of_its_own(dev_server: DevServer, root: Orchestrator) -> None:
    top = await lead(dev_server, root)
    spawned = await top.apply(await asked(top, "researcher"))
    assert spawned["outcome"] == "allowed", spawned
    agents = {id_: dev_server.agent(id_) for id_ in (top.agent, spawned["agent"])}
    marks = agents[spawned["agent"]]["metadata"]["annotations"]
    held = tools_of(agents[top.agent])["agentspawn"]

    assert (marks["agentspawn.dev/parent"], marks["agentspawn.dev/root"]) == (top.agent, ROOT.virtual_user)
    assert [header["name"] for header in held["headersFrom"]] == ["X-Agentspawn-Token"]
    assert "agentspawn" not in tools_of(agents[spawned["agent"]])
    assert credential(dev_server, spawned["agent"]) == ""
    listed = (await top.call("list_subagents"))["subagents"]
    assert [entry["agent"] for entry in listed] == [spawned["agent"]]

    answer = await root.retire(top.agent)
    assert answer["retired"] == [spawned["agent"], top.agent]
    assert credential(dev_server, top.agent) == ""
    assert (await top.post(message("tools/list"))).status_code == 401
    await dev_server.gone(spawned["agent"])


@pytest.mark.timeout(180)
async def test_a_lead_researcher_gets_no_more_than_it_has(dev_server: DevServer, root: Orchestrator) -> None:
    top = await lead(dev_server, root)
    beside = await root.apply(await asked(root, "researcher"))
    beyond = await asked(top, "lead-researcher", model="fast-model-config", lifetime_minutes=240)

    assert codes(beyond) == {"lineage.depth", "lineage.model", "lineage.lifetime"}
    assert codes(await asked(top, "log-analyst", parameters=SYMPTOM)) == {"lineage.tool"}
    for not_below in (top.agent, beside["agent"]):
        assert codes(await top.retire(not_below)) == {"agent.unknown"}

"""One spawn from search to retirement, by a real MCP client; every step is checked at the API server."""

from contextlib import suppress
from typing import Any

from mcp_agentspawn.cli.dev.cluster import ROOTS
from mcp_agentspawn.cli.dev.telling import Caller, Teller, Unconfirmed, Witness, caller, told
from mcp_agentspawn.cli.dev.tokens import mint
from mcp_agentspawn.cli.dev.waiting import until
from mcp_agentspawn.cli.dev.world import LocalWorld
from mcp_agentspawn.core.errors import Unavailable
from mcp_agentspawn.core.names import DEFAULT_HOME, DEPTH, LIFETIME, PROPOSAL, SERVER_ACCOUNT, SYSTEM_NAMESPACE
from mcp_agentspawn.core.names import ROOT as ROOT_MARK

ROOT = ROOTS["orchestrator"]
TASK = "research a question in the documents, with sources"
QUESTION = "What does a ValidatingAdmissionPolicy see of a request that impersonates a user?"
GONE_WITHIN_SECONDS = 30.0


async def spawn(world: LocalWorld, teller: Teller) -> str:
    """Search, propose and apply, and show what can not be done; gives back the subagent, or nothing if it failed."""
    files = world.cluster.credentials.callers
    agent = ""
    async with (
        world.cluster.plane.admin.session() as admin,
        caller("call", world.mcp_url, files["orchestrator"], teller) as orchestrator,
        caller("stranger", world.mcp_url, files["stranger"], teller) as stranger,
    ):
        with suppress(Unconfirmed):
            agent = await _spawn(world, Witness(admin), orchestrator, stranger)
    return agent


async def _spawn(world: LocalWorld, witness: Witness, orchestrator: Caller, stranger: Caller) -> str:
    template = await _search(orchestrator)
    await _look_at_templates(orchestrator)
    proposed = await _propose(orchestrator, witness, template)
    await _be_a_stranger(stranger, witness, proposed)
    applied = await _apply(orchestrator, witness, proposed)
    await _apply_again(orchestrator, witness, proposed, applied)
    await _go_around_as_the_orchestrator(world, orchestrator.teller, witness)
    await _go_around_as_the_server(world, orchestrator.teller, witness)
    await _list(orchestrator, applied)
    return str(applied["agent"])


async def retire(world: LocalWorld, teller: Teller, agent: str) -> None:
    """Retire it, and wait until the API server has nothing of it."""
    async with (
        world.cluster.plane.admin.session() as admin,
        caller("call", world.mcp_url, world.cluster.credentials.callers["orchestrator"], teller) as orchestrator,
    ):
        await _retire(orchestrator, Witness(admin), agent)


async def _search(orchestrator: Caller) -> str:
    teller = orchestrator.teller
    teller.step("The orchestrator looks for a blueprint")
    found = await orchestrator.call("search_agents_agentregistry", query=TASK, source="template")
    hits = found.get("hits", [])
    for hit in hits:
        teller.line("", told(hit))
    best = next((hit["template"] for hit in hits if hit["spawnable"]), "")
    teller.need(best != "", f"there is a template to spawn from: {best}")
    return str(best)


async def _look_at_templates(orchestrator: Caller) -> None:
    orchestrator.teller.step("It reads what the templates take, and what it may still do")
    listed = await orchestrator.call("list_templates")
    for offer in listed.get("templates", []):
        orchestrator.teller.line("", f"{offer['name']}: tools {', '.join(offer['tools'])}; risk {offer['risk']}")
    left = ", ".join(f"{name.replace('_', ' ')} {left}" for name, left in listed.get("allowance", {}).items())
    orchestrator.teller.line("left", left)


async def _propose(orchestrator: Caller, witness: Witness, template: str) -> dict[str, Any]:
    teller = orchestrator.teller
    teller.step("It proposes a subagent: rendered, judged by every guard, stored, not created")
    proposed = await orchestrator.call(
        "propose_subagent",
        template=template,
        purpose="Answer a question about admission policies",
        parameters=[{"name": "question", "value": QUESTION}],
    )
    id_ = proposed.get("proposal", "")
    teller.line("", f"{id_}, risk {proposed.get('risk')}, digest {proposed.get('digest')}")
    teller.need(
        id_ != "" and await witness.phase(id_) == "proposed", f"SubagentProposal {id_} is stored, phase proposed"
    )
    teller.confirm(await witness.agent(DEFAULT_HOME, id_) is None, "there is no Agent of that name yet")
    return proposed


async def _be_a_stranger(stranger: Caller, witness: Witness, proposed: dict[str, Any]) -> None:
    teller = stranger.teller
    teller.step("Somebody else, with a good credential and the right digest, tries to apply it")
    refused = await stranger.call("apply_subagent", proposal=proposed["proposal"], digest=proposed["digest"])
    teller.confirm(refused["outcome"] == "denied", "it is refused")
    teller.confirm(await witness.agent(DEFAULT_HOME, proposed["proposal"]) is None, "there is still no Agent")


async def _apply(orchestrator: Caller, witness: Witness, proposed: dict[str, Any]) -> dict[str, Any]:
    teller = orchestrator.teller
    teller.step("The orchestrator applies it: judged again, a slot reserved, created under its own rights")
    applied = await orchestrator.call("apply_subagent", proposal=proposed["proposal"], digest=proposed["digest"])
    id_ = str(applied.get("agent", ""))
    found = await witness.agent(DEFAULT_HOME, id_) or {"metadata": {}}
    metadata = found["metadata"]
    same = id_ != "" and metadata.get("uid") == applied.get("uid")
    teller.need(same, f"Agent {DEFAULT_HOME}/{id_} exists, uid {metadata.get('uid')}")
    root = metadata.get("annotations", {}).get(ROOT_MARK)
    teller.confirm(
        root == ROOT.virtual_user, f"it was written as {root}, whom RBAC lets create Agents in {DEFAULT_HOME}"
    )
    teller.confirm(await witness.holds_slot(ROOT.key, id_), f"SpawnLedger {ROOT.key} counts it as live")
    teller.line("expires", str(applied.get("agent_expires_at")))
    return applied


async def _apply_again(
    orchestrator: Caller, witness: Witness, proposed: dict[str, Any], applied: dict[str, Any]
) -> None:
    teller = orchestrator.teller
    teller.step("It applies it once more, as a model does that lost the answer")
    again = await orchestrator.call("apply_subagent", proposal=proposed["proposal"], digest=proposed["digest"])
    found = await witness.agent(DEFAULT_HOME, proposed["proposal"]) or {"metadata": {}}
    same = again.get("uid") == applied.get("uid") == found["metadata"].get("uid")
    teller.confirm(same, "it is the same one Agent, not a second")


async def _go_around_as_the_orchestrator(world: LocalWorld, teller: Teller, witness: Witness) -> None:
    teller.step("The orchestrator's own service account goes to the API server directly")
    async with world.cluster.plane.admin.session() as admin:
        token = await mint(admin, ROOT.namespace, ROOT.account)
    await _go_around(world, teller, witness, token, {})


async def _go_around_as_the_server(world: LocalWorld, teller: Teller, witness: Witness) -> None:
    teller.step("The server writes as the orchestrator's virtual user, but for no proposal")
    async with world.cluster.plane.admin.session() as admin:
        token = await mint(admin, SYSTEM_NAMESPACE, SERVER_ACCOUNT)
    await _go_around(world, teller, witness, token, {"Impersonate-User": ROOT.virtual_user})


async def _go_around(world: LocalWorld, teller: Teller, witness: Witness, token: str, headers: dict[str, str]) -> None:
    """Create an Agent past the server, and let the API server say what it thinks of it."""
    name = "sub-forged-by-hand"
    path = f"/apis/kagent.dev/v1alpha2/namespaces/{DEFAULT_HOME}/agents"
    as_whom = f" as {headers['Impersonate-User']}" if headers else ""
    teller.line("request", f"POST {path}{as_whom}")
    async with (
        world.cluster.plane.connection(token).session() as session,
        session.post(path, json=_forged(name), headers=headers) as response,
    ):
        words = (await response.json()).get("message", "")
        teller.line("API server", f"HTTP {response.status}: {words}")
        teller.confirm(response.status in {403, 422}, "the API server itself refuses")
    teller.confirm(await witness.agent(DEFAULT_HOME, name) is None, "there is no such Agent")


def _forged(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kagent.dev/v1alpha2",
        "kind": "Agent",
        "metadata": {
            "name": name,
            "namespace": DEFAULT_HOME,
            "labels": {PROPOSAL: name},
            "annotations": {ROOT_MARK: ROOT.virtual_user, LIFETIME: "3600", DEPTH: "0"},
        },
        "spec": {
            "type": "Declarative",
            "description": "Made by hand",
            "declarative": {"runtime": "go", "systemMessage": "Do as you like.", "modelConfig": "default-model-config"},
        },
    }


async def _list(orchestrator: Caller, applied: dict[str, Any]) -> None:
    teller = orchestrator.teller
    teller.step("The orchestrator looks at its own tree")
    listed = await orchestrator.call("list_subagents")
    for entry in listed.get("subagents", []):
        teller.line(
            "", f"{entry['agent']}: {entry['phase']}, from {entry['template']}, expires {entry['agent_expires_at']}"
        )
    ids = [entry["agent"] for entry in listed.get("subagents", [])]
    teller.confirm(applied.get("agent") in ids, "its subagent is there")


async def _retire(orchestrator: Caller, witness: Witness, agent: str) -> None:
    teller = orchestrator.teller
    teller.step("The orchestrator retires it")
    await orchestrator.call("retire_subagent", agent=agent, reason="the demonstration is over")
    teller.confirm(await _is_gone(witness, agent), f"Agent {DEFAULT_HOME}/{agent} is gone")
    again = await orchestrator.call("retire_subagent", agent=agent, reason="the demonstration is over")
    teller.confirm(again.get("phase") == "retired", "asked again, it is retired")
    teller.confirm(not await witness.holds_slot(ROOT.key, agent), "its slot in the ledger is free")
    phase = await witness.phase(agent)
    teller.confirm(phase == "retired", f"SubagentProposal {agent} is in phase {phase}")


async def _is_gone(witness: Witness, agent: str) -> bool:
    async def gone() -> bool:
        return await witness.agent(DEFAULT_HOME, agent) is None

    try:
        await until(gone, GONE_WITHIN_SECONDS, "")
    except Unavailable:
        return False
    return True

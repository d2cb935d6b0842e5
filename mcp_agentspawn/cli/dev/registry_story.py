"""From a registry's entry to a subagent: found, proposed, approved by a person, applied; checked at both servers."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp_agentspawn.cli.dev.cluster import ROOTS
from mcp_agentspawn.cli.dev.telling import Caller, RegistryWitness, Teller, Unconfirmed, Witness, caller, command, told
from mcp_agentspawn.cli.dev.world import REGISTRY, LocalWorld
from mcp_agentspawn.core.names import DEFAULT_HOME, ENTRY
from mcp_agentspawn.core.registry import Handle

ROOT = ROOTS["orchestrator"]
TASK = "answer a question from documents on the web, with citations"
IMAGE_TASK = "explain error spikes and write a timeline of the incident"
QUESTION = "Which fields of an admission request name the user who impersonates another one?"
PERSON = "alice"
UNSHOWN = f"""a rule of registry.see in policies/ that shows registry {REGISTRY}, as policies/default.yaml comes with"""


async def hire(world: LocalWorld, teller: Teller) -> str:
    """Make a subagent of what a registry offers; gives back the subagent, or nothing if it failed."""
    token_file = world.cluster.credentials.callers["orchestrator"]
    agent = ""
    async with (
        world.cluster.plane.admin.session() as admin,
        caller("call", world.mcp_url, token_file, teller) as orchestrator,
    ):
        with suppress(Unconfirmed):
            agent = await _hire(world, Witness(admin), RegistryWitness(world.registry_url), orchestrator)
    return agent


async def _hire(world: LocalWorld, witness: Witness, registry: RegistryWitness, orchestrator: Caller) -> str:
    hit = await _search(orchestrator, registry, world.registry_url)
    await _search_for_an_image(orchestrator, registry)
    proposed = await _propose(orchestrator, witness, hit)
    await _apply_before_anybody_approved(orchestrator, witness, proposed)
    await _approve(orchestrator.teller, witness, proposed, world.cluster.people[PERSON])
    return await _apply(orchestrator, witness, registry, proposed, Handle.read(hit["handle"]))


async def _search(orchestrator: Caller, registry: RegistryWitness, url: str) -> Mapping[str, Any]:
    teller = orchestrator.teller
    teller.step(f"The orchestrator searches registry {REGISTRY}, which here is a stand-in for agentregistry at {url}")
    hits = await _hits(orchestrator, TASK)
    best = next((hit for hit in hits if hit["spawnable"]), None)
    teller.need(best is not None, "there is an entry to spawn from")
    await _confirm_served(teller, registry, best or {})
    return best or {}


async def _search_for_an_image(orchestrator: Caller, registry: RegistryWitness) -> None:
    teller = orchestrator.teller
    teller.step("It finds an image, too, and why it may not have it: images are let in by deploy/byo and a policy")
    hits = await _hits(orchestrator, IMAGE_TASK)
    refused = {reason["code"]: hit for hit in reversed(hits) for reason in hit["blocked_by"]}
    image = refused.get("registry.image_not_allowed")
    teller.need(image is not None and not image["spawnable"], "an image is found and is not spawnable")
    served = await _confirm_served(teller, registry, image or {})
    teller.confirm("image" in served.get("source", {}), f"it is {served.get('source', {}).get('image')}")


async def _hits(orchestrator: Caller, task: str) -> Sequence[Mapping[str, Any]]:
    found = await orchestrator.call("search_agents_agentregistry", query=task, source=REGISTRY)
    if REGISTRY not in [state["registry"] for state in found.get("registries", [])]:
        orchestrator.teller.missing(f"{UNSHOWN}, for {ROOT.name}")
    for state in found.get("registries", []):
        orchestrator.teller.line("registry", f"{state['registry']}: {state['freshness']}, as of {state['as_of']}")
    hits: Sequence[Mapping[str, Any]] = found.get("hits", [])
    for hit in hits:
        orchestrator.teller.line("", told(hit))
    return hits


async def _confirm_served(teller: Teller, registry: RegistryWitness, hit: Mapping[str, Any]) -> dict[str, Any]:
    handle = Handle.read(hit["handle"])
    served = await _spec(registry, "agents", handle)
    same = (served.get("title"), served.get("description")) == (hit["name"], hit["description"])
    teller.confirm(same, f"the registry itself serves {hit['handle'].partition('#')[0]} with these words")
    return served


async def _spec(registry: RegistryWitness, kind: str, handle: Handle | None, name: str = "") -> dict[str, Any]:
    return await registry.spec(kind, handle.namespace, name or handle.name, handle.tag) if handle else {}


async def _propose(orchestrator: Caller, witness: Witness, hit: Mapping[str, Any]) -> dict[str, Any]:
    teller = orchestrator.teller
    teller.step(
        "It proposes that entry by its handle; the registry is read anew, and nothing but this very text counts"
    )
    proposed = await orchestrator.call(
        "propose_subagent",
        template=hit["template"],
        registry_entry=hit["handle"],
        purpose="Answer a question about admission requests",
        parameters=[{"name": "task", "value": QUESTION}],
    )
    id_ = proposed.get("proposal", "")
    teller.line("", f"{id_}, risk {proposed.get('risk')}, digest {proposed.get('digest')}")
    stored = id_ != "" and await witness.phase(id_) == "proposed"
    teller.need(stored, f"SubagentProposal {id_} is stored, phase proposed")
    return proposed


async def _apply_before_anybody_approved(orchestrator: Caller, witness: Witness, proposed: Mapping[str, Any]) -> None:
    orchestrator.teller.step("It applies it before anybody has approved it")
    waits = await _applied(orchestrator, proposed)
    orchestrator.teller.confirm(waits.get("outcome") == "pending_approval", "it waits for a person")
    there = await witness.agent(DEFAULT_HOME, proposed["proposal"])
    orchestrator.teller.confirm(there is None, "there is no Agent of that name yet")


async def _approve(teller: Teller, witness: Witness, proposed: Mapping[str, Any], kubeconfig: Path) -> None:
    teller.step(f"A person, {PERSON}, approves these very bytes with a kubeconfig of her own")
    await command(teller, kubeconfig, "approve", proposed["proposal"], "--digest", proposed["digest"])
    deciders = await witness.approved_by(proposed["proposal"])
    teller.need(deciders == [PERSON], f"a SubagentApproval in the name of {', '.join(deciders)} is stored")


async def _apply(
    orchestrator: Caller,
    witness: Witness,
    registry: RegistryWitness,
    proposed: Mapping[str, Any],
    handle: Handle | None,
) -> str:
    teller = orchestrator.teller
    teller.step("The orchestrator applies it: the registry is read once more, and the entry is still the same")
    id_ = str((await _applied(orchestrator, proposed)).get("agent", ""))
    agent = await witness.agent(DEFAULT_HOME, id_) or {"metadata": {}}
    teller.need(id_ != "" and "uid" in agent["metadata"], f"Agent {DEFAULT_HOME}/{id_} exists")
    named = agent["metadata"].get("annotations", {}).get(ENTRY)
    teller.confirm(named == str(handle), f"it says what it is made of: {named}")
    prompt = await _prompt(registry, handle)
    message = agent["spec"]["declarative"]["systemMessage"]
    teller.confirm(prompt != "" and prompt in message, "the registry's prompt stands in its message, fenced as data")
    return id_


async def _applied(orchestrator: Caller, proposed: Mapping[str, Any]) -> dict[str, Any]:
    return await orchestrator.call("apply_subagent", proposal=proposed["proposal"], digest=proposed["digest"])


async def _prompt(registry: RegistryWitness, handle: Handle | None) -> str:
    """What the entry's reference leads to."""
    reference = (await _spec(registry, "agents", handle)).get("instructions", {})
    prompt = await _spec(registry, "prompts", handle, reference.get("name", ""))
    return str(prompt.get("content", "")).strip()

"""Does what a proposal says agree with the bytes that its digest is over? All but those is the server's word alone."""

import json
from collections.abc import Iterator, Mapping, Sequence

from mcp_agentspawn.adapters.kagent import KagentAgent
from mcp_agentspawn.core.digest import canonical, grant_document, request_digest
from mcp_agentspawn.core.errors import Refused
from mcp_agentspawn.core.model import AgentDescription, Caller, Grant, Proposal, Root
from mcp_agentspawn.core.names import SPAWN_SERVER, SPAWN_TOOLS
from mcp_agentspawn.core.render import grant_of, render
from mcp_agentspawn.core.template import Template

KIND = KagentAgent()


def caller_of(proposal: Proposal) -> Caller:
    """Who asked."""
    return Caller(Root.named(proposal.root, proposal.home), proposal.parent)


def disagreement(proposal: Proposal, template: Template | None) -> str:
    """In what a proposal contradicts itself, or the template; `""` when it does not.

    `template` is the very version that was rendered; where it is `None`, only what the bytes say themselves is looked
    at. The bytes have the proposal's digest and are canonical.
    """
    try:
        agent = KIND.read(json.loads(proposal.manifest))
        unlike = [label for label, said in _said(proposal, agent).items() if any(each != said[0] for each in said)]
        if unlike:
            return f"its request, its manifest and what it may hold do not agree: {', '.join(unlike)}"
        against = list(_against(template, proposal)) if template else []
    except (Refused, ValueError):
        return "nobody asks for such an agent in this way"
    return f"the template at hand does not make this of its request: {', '.join(against)}" if against else ""


def _said(proposal: Proposal, agent: AgentDescription) -> Mapping[str, Sequence[object]]:
    """What is said more than once, in the manifest and beside it; each time the same, if nobody lies."""
    request, grant, lineage, caller = proposal.request, proposal.grant, agent.lineage, caller_of(proposal)
    recomputed = request_digest(caller, request, proposal.template_hash)
    narrowing = {name: value for name, value in request.parameters.items() if name in grant.parameters}
    return {
        "name": (agent.id, proposal.id),
        "root": (lineage.root, caller.root),
        "parent": (lineage.parent, proposal.parent),
        "template": (lineage.template, request.template),
        "registry entry": (lineage.entry, request.entry),
        "tools": (_held(agent), sorted(request.tools), sorted(grant.tools)),
        "tools that ask first": (_asking_first(agent), sorted(grant.ask_first)),
        "model": (_named(agent.model), _named(request.model), grant.models),
        "lifetime": (lineage.lifetime, request.lifetime, grant.lifetime),
        "depth": (lineage.depth, grant.depth),
        "tools for spawning": (_for_spawning(agent), [*SPAWN_TOOLS] if grant.depth else []),
        "parameters": (canonical(narrowing), canonical(dict(grant.parameters))),
        "digest of the request": (lineage.request_digest, proposal.request_digest, recomputed),
    }


def _named(model: str) -> tuple[str, ...]:
    """None for an image, which has no model here."""
    return (model,) if model else ()


def _held(agent: AgentDescription) -> list[str]:
    others = [selection for selection in agent.tools if selection.server != SPAWN_SERVER]
    return sorted(f"{selection.server}/{tool}" for selection in others for tool in selection.tools)


def _asking_first(agent: AgentDescription) -> list[str]:
    return sorted(f"{selection.server}/{tool}" for selection in agent.tools for tool in selection.ask_first)


def _for_spawning(agent: AgentDescription) -> list[str]:
    return [tool for selection in agent.tools if selection.server == SPAWN_SERVER for tool in selection.tools]


def _against(template: Template, proposal: Proposal) -> Iterator[str]:
    request = proposal.request
    if _rendered(proposal, template) != proposal.manifest:
        yield "another manifest"
    if _text(grant_of(request, template)) != _text(proposal.grant):
        yield "another grant"
    for tool in request.tools:
        server, _, name = tool.partition("/")
        if server not in template.tools or name not in template.tools[server].allow:
            yield f"it does not allow {tool}"
    if bool(request.entry) != bool(template.takes):
        yield "it stands on its own" if request.entry else "it is filled by a registry entry, and there is none"
    if request.model not in (template.models or ("",)):
        yield f"it does not allow {request.model}"
    if request.lifetime > template.lifetime.most:
        yield "it does not allow such a lifetime"
    if not template.validator.is_valid(dict(request.parameters)):
        yield "it does not allow these values"


def _rendered(proposal: Proposal, template: Template) -> str:
    agent = render(proposal.id, caller_of(proposal), proposal.request, template, proposal.request_digest)
    return canonical(KIND.manifest(agent))


def _text(grant: Grant) -> str:
    return canonical(grant_document(grant))

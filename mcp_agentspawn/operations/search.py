"""Find who can do a task: among the templates that the caller may use, and in the registries that it may see."""

import base64
import json
import math
from collections.abc import Mapping, Sequence

from mcp_agentspawn.core.digest import digest_of
from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.core.moments import to_the_second
from mcp_agentspawn.core.outcomes import NOTHING, Outcomes
from mcp_agentspawn.core.registry import TEMPLATE_SOURCE, UNREADABLE_ENTRY, Place, Query, Standing, View
from mcp_agentspawn.core.verdict import Reason
from mcp_agentspawn.operations.answers import Hit, Hits, Refusal, RegistryState
from mcp_agentspawn.operations.browse import usable_templates
from mcp_agentspawn.operations.hits import Looking, hits_of
from mcp_agentspawn.operations.refusing import NO_POLICY, refuse
from mcp_agentspawn.operations.services import Services

CURSOR = Reason("search.cursor", "This cursor was not given by the last page of this search.", "cursor")
UNKNOWN = "registry.unknown"
"""The problem of a registry that the policy names and this server does not know."""
NO_AGE = -1


async def search(
    services: Services, caller: Caller, query: str, limit: int, cursor: str, source: str, labels: Sequence[str]
) -> Hits | Refusal:
    """Rank what the caller can find against the words of a task; without a query, everything by name."""
    rules = services.rules.current()
    policy = rules.policy_for(caller.root)
    if policy is None:
        return await refuse(services, caller, "search_agents_agentregistry", (NO_POLICY,))
    asked = digest_of([caller.root.name, caller.agent, query, source, sorted(labels)])
    after = _read(cursor, asked)
    if cursor and after is None:
        return await refuse(services, caller, "search_agents_agentregistry", (CURSOR,))
    usable = {template.name: template for template in await usable_templates(services, caller, policy)}
    view = policy.view(rules.templates)
    wanted = Query(query, limit, frozenset(usable), source, tuple(labels), after)
    page = await services.registries.find(view, wanted)
    looking = Looking(services, caller, policy, usable, services.facts(), await _outcomes(services, caller))
    hits = await hits_of(looking, page.findings)
    states = _states(services, view)
    return Hits(
        hits=hits,
        next_cursor=_written(page.findings[-1].place, asked) if page.more else "",
        registries=states,
        next_step=_next_step(hits, view, source, states),
    )


async def _outcomes(services: Services, caller: Caller) -> Mapping[str, Outcomes]:
    """How the caller's subagents have done; where that can not be read, it weighs nothing, and all is found."""
    try:
        return (await services.ledgers.look(caller.root.name)).outcomes
    except Upstream:
        return NOTHING


def _next_step(hits: Sequence[Hit], view: View, source: str, states: Sequence[RegistryState]) -> str:
    if not hits:
        return _elsewhere(view, source, states)
    first = next((hit for hit in hits if hit.spawnable), None)
    if first is None:
        return "None of these can be spawned for you: read blocked_by, or try other words."
    if first.source == "template":
        return f"Call propose_subagent with template {first.template}; list_templates shows its parameters."
    return f"Call propose_subagent with template {first.template} and the hit's handle as registry_entry."


def _elsewhere(view: View, source: str, states: Sequence[RegistryState]) -> str:
    """What to do where nothing was found."""
    sources = [TEMPLATE_SOURCE, *sorted(view.registries)]
    if source and source not in sources:
        return f"There is no such source for you: leave it out, or take one of {', '.join(sources)}."
    away = [state.registry for state in states if state.freshness == "away"]
    return f"Try other words, or later: nothing is known of {', '.join(away)} now." if away else "Try other words."


def _states(services: Services, view: View) -> tuple[RegistryState, ...]:
    """How current each registry is of which the caller can find anything; one that is not there is away for good."""
    known = {standing.registry: standing for standing in services.registries.standings()}
    names = sorted(view.registries)
    return tuple(_state(services, view, known.get(name, Standing(name, "away", None, (UNKNOWN,)))) for name in names)


def _state(services: Services, view: View, standing: Standing) -> RegistryState:
    as_of, whole = standing.as_of, view.is_whole(standing.registry)
    return RegistryState(
        registry=standing.registry,
        freshness=standing.freshness,
        as_of=to_the_second(as_of) if as_of else "",
        age_seconds=int((services.clock.now() - as_of).total_seconds()) if as_of else NO_AGE,
        problems=tuple(code for code in standing.problems if whole or code != UNREADABLE_ENTRY),
    )


def _written(place: Place, asked: str) -> str:
    """A cursor: where the page ends, and which search it is of."""
    parts = [asked, place.suspected, place.routed, place.score, place.key]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _read(cursor: str, asked: str) -> Place | None:
    """Where the page before ended; `None` for what is no cursor of this search."""
    try:
        search_of, *place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        suspected, routed, score, key = place
        key.encode()
        found = Place(bool(suspected), bool(routed), float(score), key)
        return found if search_of == asked and math.isfinite(found.score) else None
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return None

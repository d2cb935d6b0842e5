"""What registries hold, and what becomes of it under each policy that shows it."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mcp_agentspawn.adapters.registry.client import Client
from mcp_agentspawn.adapters.registry.endpoint import Endpoint
from mcp_agentspawn.adapters.registry.failures import ReadingFailed
from mcp_agentspawn.adapters.registry.reading import Reading, read_all
from mcp_agentspawn.adapters.registry.weighing import weighed
from mcp_agentspawn.cli.roots import root_under
from mcp_agentspawn.cli.unmatched import Path, unmatched
from mcp_agentspawn.composing import in_memory
from mcp_agentspawn.core.model import Caller, Root
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.registry import Finding, Place, RegistryEntry
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Hit
from mcp_agentspawn.operations.browse import usable_templates
from mcp_agentspawn.operations.hits import Looking, hit_of
from mcp_agentspawn.operations.services import Rules

NOBODY = Root("agents", "nobody", DEFAULT_HOME)
NOWHERE = Place(suspected=False, routed=False, score=0.0, key="")


@dataclass(frozen=True, slots=True)
class Survey:
    """A registry that was read once, in so many seconds; it has a `reading`, or the `failure` that there was."""

    endpoint: Endpoint
    seconds: float
    reading: Reading | None = None
    failure: ReadingFailed | None = None

    @property
    def whole(self) -> bool:
        """Whether all of it could be read."""
        return self.reading is not None and self.reading.complete and not self.reading.problems


@dataclass(frozen=True, slots=True)
class Worth:
    """What callers under a policy find in a registry: how many entries, and how many of them they could spawn.

    `blocked` are the others, by the code of each reason that stands in the way; `flagged` are those that are found
    last, by the content rules that what they say of themselves falls under. Entries are named by their handles, by
    which `entries` has them. `unknown_servers` are the tool servers of found entries that the policy does not know,
    with how many entries have them; `unmatched` is what its rules name and the registry does not have.
    """

    policy: str
    found: int
    spawnable: int
    blocked: Mapping[str, Sequence[str]]
    flagged: Mapping[str, Sequence[str]]
    entries: Mapping[str, RegistryEntry]
    unknown_servers: Mapping[str, int]
    unmatched: Sequence[tuple[Path, str]]


async def surveyed(endpoint: Endpoint) -> Survey:
    """Read a registry now, as the server does."""
    begun = time.perf_counter()
    try:
        async with Client(endpoint) as client:
            reading = await read_all(client)
    except ReadingFailed as failure:
        return Survey(endpoint, time.perf_counter() - begun, failure=failure)
    return Survey(endpoint, time.perf_counter() - begun, reading)


def showing(rules: Rules, registry: str) -> Mapping[str, Policy]:
    """The policies that show anything of a registry, by name."""
    policies = sorted(rules.policies.items())
    return {name: one for name, one in policies if any(rule.registry == registry for rule in one.registry.see)}


async def worth(rules: Rules, name: str, registry: str, entries: Collection[RegistryEntry]) -> Worth:
    """What these entries of a registry are worth under a policy, where all that the templates name is there."""
    policy = rules.policies[name]
    looking, seen = await _looking(rules, policy), _seen(policy, entries)
    hits = [await hit_of(looking, Finding(NOWHERE, (), entry=weighed(entry))) for entry in seen]
    return Worth(
        name,
        found=len(hits),
        spawnable=sum(hit.spawnable for hit in hits),
        blocked=_by((reason.code, hit) for hit in hits for reason in hit.blocked_by),
        flagged=_by((flag, hit) for hit in hits for flag in hit.flags),
        entries={str(entry.handle): entry for entry in seen},
        unknown_servers=_unknown_servers(policy, seen),
        unmatched=tuple(unmatched(policy, registry, entries)),
    )


def _unknown_servers(policy: Policy, entries: Iterable[RegistryEntry]) -> Mapping[str, int]:
    """Those that most entries have first."""
    servers = (server for entry in entries for server in dict.fromkeys(entry.tool_servers))
    return dict(Counter(server for server in servers if not policy.registry.tools.get(server)).most_common())


def _seen(policy: Policy, entries: Iterable[RegistryEntry]) -> Collection[RegistryEntry]:
    """Of each entry the first tag that callers see."""
    seen: dict[tuple[str, str], RegistryEntry] = {}
    for entry in filter(policy.registry.sees, entries):
        seen.setdefault((entry.namespace, entry.name), entry)
    return seen.values()


def _by(pairs: Iterable[tuple[str, Hit]]) -> Mapping[str, Sequence[str]]:
    """The handles of hits by what they have, each once."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for word, hit in pairs:
        found[word][hit.handle] = None
    return {word: tuple(handles) for word, handles in sorted(found.items())}


async def _looking(rules: Rules, policy: Policy) -> Looking:
    caller = Caller(root_under(policy) or NOBODY)
    _, services = in_memory(rules, caller.root)
    usable = await usable_templates(services, caller, policy)
    return Looking(services, caller, policy, {template.name: template for template in usable}, services.facts())

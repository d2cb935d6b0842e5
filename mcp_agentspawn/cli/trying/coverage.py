"""Which keys of the policies no case was decided by."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcp_agentspawn.cli.policy_lines import Key, key_behind, keys_of, line_behind
from mcp_agentspawn.cli.rule_folders import RuleFolders
from mcp_agentspawn.cli.trying.played import Played
from mcp_agentspawn.cli.trying.stage import Stage
from mcp_agentspawn.core.guard import Guard
from mcp_agentspawn.core.risk import PEOPLE
from mcp_agentspawn.core.template import MOST_LIFETIME
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.guards.approval import MOST_AFTER_TASKS
from mcp_agentspawn.operations.services import Rules

WAIT: Key = ("approval", "wait")
LONG_LIFE: Key = ("approval", "long_life")
AFTER_TASKS: Key = ("approval", "after_tasks")
RECORD: tuple[Key, ...] = (AFTER_TASKS, ("approval", "least_score"))
"""What is said of those who have a record."""
IGNORE: Key = ("content", "ignore")
SEEING: tuple[Key, ...] = (("registry", "tools"), ("registry", "images"))
"""What is said of entries that are seen."""
WITHOUT: Mapping[Key, Any] = {LONG_LIFE: MOST_LIFETIME, AFTER_TASKS: MOST_AFTER_TASKS, IGNORE: ()}
"""Keys that no reason code names, and the value that undoes each: one decides where that changes an answer."""
NEVER: frozenset[Key] = frozenset({("crd",)})
"""In the world of a case, whatever templates make fits."""


async def undecided(played: Sequence[Played], read: RuleFolders) -> list[str]:
    """A line for each key that a case can reach and none was decided by."""
    found: list[str] = []
    for name in read.policies.values:
        here = [one for one in played if one.policies == (name,)]
        beyond = NEVER | set(_idle(name, read.rules))
        decided = _named(here) | {key for key in WITHOUT if key not in beyond and await _decides(key, here, read.rules)}
        lines = [line_behind(read.policies, name, ".".join(key)) for key in _keys() if key not in beyond]
        found += [f"no case was decided by {line}" for line in lines if line and key_behind(line.key) not in decided]
    return list(dict.fromkeys(found))


def _named(played: Sequence[Played]) -> set[Key]:
    """The keys that answers name by their codes."""
    named = {key_behind(code) for one in played for code in one.got.codes}
    return named | ({WAIT} if any(_waited(one) for one in played) else set())


def _waited(one: Played) -> bool:
    """Whether its time was over; nobody waits for people where the risk asks none."""
    return "proposal.expired" in one.got.codes and one.got.risk is not None and PEOPLE[one.got.risk] > 0


def _idle(name: str, rules: Rules) -> Iterator[Key]:
    """Keys whose value can make no difference to any case."""
    policy = rules.policies[name]
    if not policy.content.ignore:
        yield IGNORE
    if not policy.registry.see:
        yield from SEEING
    if not policy.approval.least_score:
        yield from RECORD
    lives = [rules.templates[known].lifetime.most for known in policy.template.allow if known in rules.templates]
    if policy.approval.at_least == "high" or all(most <= policy.approval.long_life for most in lives):
        yield LONG_LIFE


async def _decides(key: Key, played: Sequence[Played], rules: Rules) -> bool:
    """Whether some case is answered otherwise without it."""
    without = Rules(rules.templates, {name: _without(key, policy) for name, policy in rules.policies.items()})
    for one in played:
        if await Stage(without, one.case).play() != one.got:
            return True
    return False


def _without(key: Key, policy: Policy) -> Policy:
    section, field = key
    changed = getattr(policy, section).model_copy(update={field: WITHOUT[key]})
    return policy.model_copy(update={section: changed})


def _keys() -> Iterator[Key]:
    """Every key of every guard; the guard itself where it has none."""
    for name in Policy.model_fields:
        if isinstance(getattr(Policy(), name), Guard):
            keys: list[Key] = [(name, key) for key in keys_of(name)]
            yield from keys or [(name,)]

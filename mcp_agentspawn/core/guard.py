"""How guards are asked, and how what they say becomes one decision.

A guard that can not answer refuses: one that raises or takes too long is a denial with code `<guard>.unanswered`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from mcp_agentspawn.core.facts import Facts
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import AgentDescription, Caller, Grant, Manifest, Proposal, Request
from mcp_agentspawn.core.registry import RegistryEntry
from mcp_agentspawn.core.strict import Strict
from mcp_agentspawn.core.template import Template
from mcp_agentspawn.core.verdict import Allow, Decision, Deny, Finding, Reason, Verdict

ANSWER_WITHIN_SECONDS = 6.0

Step = Literal["propose", "apply"]
Question = Callable[[], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is judged before it is rendered. `template` is `None` when there is none of that name today.

    `entry` is the registry entry that it is made of, as it is now; `None` when none was asked for.
    """

    caller: Caller
    request: Request
    template: Template | None
    repeated: tuple[str, ...] = ()
    """Names of parameters that were given more than once."""
    entry: RegistryEntry | None = None
    overridden: tuple[str, ...] = ()
    """Names of parameters that were given although only a registry entry fills them."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is judged once it is rendered: `agent` is read back from the very `manifest` that will be created.

    `proposal` is what was stored of it; `None` while it is being proposed.
    """

    caller: Caller
    request: Request
    template: Template
    id: str
    agent: AgentDescription
    manifest: Manifest
    grant: Grant
    proposal: Proposal | None = None


class Guard(Strict):
    """One rule: its section of the policy and its judgement."""

    steps: ClassVar[frozenset[Step]] = frozenset({"propose", "apply"})


class RequestGuard(Guard):
    """Judges what was asked, before anything is rendered."""

    async def check(self, asked: Asked, facts: Facts) -> Verdict:
        """Say whether this may be rendered."""
        raise NotImplementedError


class ManifestGuard(Guard):
    """Judges what would be created."""

    async def check(self, rendered: Rendered, facts: Facts) -> Verdict:
        """Say whether this may be created."""
        raise NotImplementedError


def _said(most: object) -> object:
    if most is None:
        raise ValueError("leave it out, or say how many; nothing is no number")
    return most


SharedCeiling = Annotated[int | None, BeforeValidator(_said), Field(ge=0, le=10_000)]
"""A ceiling that is another one's where it is left out (`None`); in a file it can not be null."""


class LedgerGuard(Guard):
    """Judges what a root holds and has used; asked once while looking, and again inside the compare-and-swap.

    `shares` says of ceilings that may be left out which other one they are then, and how many times.
    """

    shares: ClassVar[Mapping[str, tuple[str, int]]] = {}

    def judge(self, step: Step, caller: Caller, ledger: Ledger, now: datetime) -> Verdict:
        """Say whether the ledger has room for this step."""
        raise NotImplementedError

    def ceiling(self, name: str) -> int:
        """The most that is allowed under this name."""
        if (most := getattr(self, name)) is None:
            other, times = self.shares[name]
            return int(times * getattr(self, other))
        return int(most)

    def passed(self, held: Mapping[str, int]) -> Sequence[str]:
        """The names of the ceilings that are reached; one that was left out is not named beside the other."""
        reached = [name for name, count in held.items() if count >= self.ceiling(name)]
        return [name for name in reached if getattr(self, name) is not None or self.shares[name][0] not in reached]

    async def look(self, step: Step, caller: Caller, facts: Facts) -> Verdict:
        """Judge the ledger as last seen, but never refuse because of an old copy."""
        verdict = self.judge(step, caller, await facts.ledger(caller), facts.now)
        if isinstance(verdict, Allow):
            return verdict
        return self.judge(step, caller, await facts.ledger(caller, fresh=True), facts.now)


def held_of_tree(caller: Caller, by_caller: Mapping[str, int], share_of_root: int) -> int:
    """How much of a tree's ceiling counts as held for this caller: its subagents leave the root its own share."""
    held = sum(by_caller.values())
    return held if not caller.agent else held - by_caller.get("", 0) + share_of_root


async def decide(questions: Mapping[str, Question], *, everyone: bool = False) -> Decision:
    """Ask the guards in order. The first refusal ends the questioning, unless `everyone` is to be heard."""
    findings: list[Finding] = []
    for guard, question in questions.items():
        findings.append(await _answer(guard, question))
        if isinstance(findings[-1].verdict, Deny) and not everyone:
            break
    return Decision(tuple(findings))


async def _answer(guard: str, question: Question) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            return Finding(guard, await question())
    except Exception as error:  # noqa: BLE001 - whatever went wrong, a guard without an answer refuses
        reason = Reason(f"{guard}.unanswered", "This rule could not be checked, so it refuses. Try again later.")
        return Finding(guard, Deny((reason,)), f"{type(error).__name__}: {error}"[:300], error)


def verdict_of(reasons: list[Reason]) -> Verdict:
    """Deny for the reasons there are; allow when there are none."""
    return Deny(tuple(reasons)) if reasons else Allow()

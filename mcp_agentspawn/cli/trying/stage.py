"""One case, played in a world of its own: set up what is given, then let the real operations answer."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from mcp_agentspawn.adapters.memory import MemoryRegistries, MemoryWorld
from mcp_agentspawn.cli.trying.cases import Absent, Case, Given, Held, Wanted
from mcp_agentspawn.composing import in_memory
from mcp_agentspawn.core.ledger import Change, Ledger, Live, Open, Used
from mcp_agentspawn.core.model import Approval, Caller, Risk, Root, Scalar
from mcp_agentspawn.core.names import DEFAULT_HOME
from mcp_agentspawn.core.outcomes import Outcomes, keys_of
from mcp_agentspawn.core.request import Ask
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze
from mcp_agentspawn.operations.answers import Answer, Applied, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.services import PROPOSAL_LIFETIME, Rules

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
PEOPLE = ("person-1", "person-2")
ANOTHER = "sub-another"


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered; `before` says where it ended when the step in question was not reached."""

    outcome: str
    codes: frozenset[str] = frozenset()
    risk: Risk | None = None
    before: str = ""

    def __str__(self) -> str:
        why = f": {', '.join(sorted(self.codes))}" if self.codes else ""
        risk = f", risk {self.risk}" if self.risk else ""
        return f"{self.outcome}{why}{risk}{f' ({self.before})' if self.before else ''}"


@dataclass
class StageClock:
    """A clock that stands still until it is moved."""

    time: datetime = BEGIN

    def now(self) -> datetime:
        """See `core.ports.Clock.now`."""
        return self.time


class Stage:
    """A world of its own for one case, with everything there that the templates name."""

    def __init__(self, rules: Rules, case: Case) -> None:
        self.case = case
        self.clock = StageClock()
        self.root = Root.named(case.caller, DEFAULT_HOME)
        self.world, services = in_memory(rules, self.root, self.clock)
        self.services = replace(services, registries=_registries(case))

    async def play(self) -> Said:
        """Play the case to its end."""
        caller = Caller(self.root)
        await self._remember()
        if self.case.given.parent is not None:
            parent = await self._spawn(self.case.given.parent)
            if isinstance(parent, Said):
                return parent
            caller = Caller(self.root, parent)
        if self.case.step == "propose":
            await self._arrange(caller)
            return _said(await propose(self.services, caller, _ask(self.case.request)))
        made = await propose(self.services, caller, _ask(self.case.request))
        if not isinstance(made, Proposed):
            return replace(_said(made), before="already when it was proposed")
        await self._decide(made, self.case.given)
        self.clock.time += timedelta(minutes=self.case.given.minutes_later)
        await self._arrange(caller)
        answer = await apply(self.services, caller, made.proposal, made.digest)
        await self.services.later.settle()
        return replace(_said(answer), risk=made.risk)

    async def _remember(self) -> None:
        """Put on record what is given to be there."""
        wanted, given = _ask(self.case.request), self.case.given.record
        outcomes = Outcomes(given.tasks, given.succeeded, quarantines=given.quarantines)
        keys = keys_of(wanted.template, wanted.registry_entry) if outcomes.counted else ()
        await self.world.ledgers.change(self.root.name, lambda ledger: (ledger.counted(keys, lambda _: outcomes), None))

    async def _spawn(self, wanted: Wanted) -> str | Said:
        """A subagent of this request, whoever must approve it; what was said when there is none."""
        made = await propose(self.services, Caller(self.root), _ask(wanted))
        if not isinstance(made, Proposed):
            return replace(_said(made), before="already when the parent was proposed")
        await self._decide(made, Given(approvals=PEOPLE))
        answer = await apply(self.services, Caller(self.root), made.proposal, made.digest)
        await self.services.later.settle()
        if not isinstance(answer, Applied):
            return replace(_said(answer), before="already when the parent was applied")
        return answer.agent

    async def _decide(self, made: Proposed, given: Given) -> None:
        """Have the people decide who are given."""
        stored = await self.world.proposals.get(made.proposal)
        uid = stored.uid if stored else ""
        said: list[tuple[Literal["approve", "deny"], str]] = [("approve", person) for person in given.approvals]
        said += [("deny", person) for person in given.denials]
        for number, (decision, person) in enumerate(said):  # one person may say the same twice, and counts once
            name = f"{made.proposal}.{number}"
            await self.world.approvals.create(Approval(name, made.proposal, uid, made.digest, decision, person))

    async def _arrange(self, caller: Caller) -> None:
        """Make it so that the rest of what is given holds now."""
        given, world, now = self.case.given, self.world, self.clock.now()
        await world.ledgers.change(self.root.name, lambda ledger: (_filled(ledger, caller, given, now), None))
        await world.switchboard.set(Freeze(EVERYWHERE, frozen=given.frozen))
        if "use" not in given.rights:
            world.access.granted.clear()
        if "create" not in given.rights:
            world.agents.may_write.clear()
        _take_away(world, given.absent)


def _registries(case: Case) -> MemoryRegistries:
    """Registries that hold what the case asks for, and nothing else."""
    asked = [wanted for wanted in (case.request, case.given.parent) if wanted is not None]
    held = MemoryRegistries()
    held.entries += [wanted.registry_entry.entry for wanted in asked if wanted.registry_entry is not None]
    return held


def _take_away(world: MemoryWorld, absent: Absent) -> None:
    world.inventory.models_in[DEFAULT_HOME] -= set(absent.models)
    for tool in absent.tools:
        server, _, name = tool.partition("/")
        world.inventory.tools_in[DEFAULT_HOME].get(server, set()).discard(name)


def _filled(ledger: Ledger, caller: Caller, given: Given, now: datetime) -> Ledger:
    """The ledger with what is given beside what it holds; how it came to that counts as no change."""
    filled = _with(replace(ledger, changes=()), given, caller.agent, now)
    return _with(filled, given.elsewhere, ANOTHER, now)


def _with(ledger: Ledger, held: Held, parent: str, now: datetime) -> Ledger:
    ids = [f"sub-of-{parent or 'root'}-{number}" for number in range(max(held.live, held.spawned_today))]
    until = now + PROPOSAL_LIFETIME
    opened = {f"open-{parent}-{n}": Open(f"sub-open-{parent or 'root'}-{n}", until, parent) for n in range(held.open)}
    return replace(
        ledger,
        open={**ledger.open, **opened},
        live={**ledger.live, **{id_: Live(now, id_, id_, parent) for id_ in ids[: held.live]}},
        used={**ledger.used, **{id_: Used(now, parent) for id_ in ids}},
        changes=(*ledger.changes, *(Change(now, parent) for _ in range(held.changes_this_minute))),
    )


def _ask(wanted: Wanted) -> Ask:
    """The arguments as a caller sends them: every value as text."""
    return Ask(
        template=wanted.template,
        purpose=wanted.purpose,
        parameters=tuple((name, _text(value)) for name, value in wanted.parameters.items()),
        tools=wanted.tools,
        model=wanted.model,
        lifetime_minutes=wanted.lifetime_minutes,
        registry_entry=str(wanted.registry_entry.entry.handle) if wanted.registry_entry else "",
    )


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(answer: Answer) -> Said:
    risk = answer.risk if isinstance(answer, Proposed) else None
    return Said(answer.outcome, frozenset(reason.code for reason in answer.reasons), risk)

"""Any order of calls, with any of their steps refused, lost, late, paused or the last one of its process.

Whatever happened: once the world is well again, repair makes it right. SOAK=1 tries many more.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mcp_agentspawn.core.digest import proposal_digest
from mcp_agentspawn.core.errors import Upstream
from mcp_agentspawn.core.expiry import ABANDONED_AFTER
from mcp_agentspawn.core.ledger import Ledger
from mcp_agentspawn.core.model import FINAL_PHASES, Caller, Subagent
from mcp_agentspawn.core.switches import EVERYWHERE, Freeze
from mcp_agentspawn.operations.answers import Answer, Proposed
from mcp_agentspawn.operations.apply import apply
from mcp_agentspawn.operations.propose import propose
from mcp_agentspawn.operations.repair import repair
from mcp_agentspawn.operations.retire import retire
from mcp_agentspawn.operations.services import PROPOSAL_LIFETIME
from tests.builders import CALLER, ROOT, ask, policy, template
from tests.operations.faulty_ports import FAULTS, Killed, Process, Script, Where
from tests.operations.trees import approved, grove, under

T = TypeVar("T")
Handle = tuple[Caller, Proposed]

LIMIT = 2
QUESTIONS = 3
PASSES = 10
KINDS = ("researcher", "researcher", "lead")
MOST_CALLS = 24
MOST_CHANGES = 5
SOAK = bool(os.environ.get("SOAK"))
EXAMPLES, STEPS = (3_000, 20) if SOAK else (100, 12)
pytestmark = pytest.mark.timeout(3600 if SOAK else 120)
WAITS = (timedelta(seconds=30), PROPOSAL_LIFETIME, timedelta(hours=25))

servers = st.sampled_from([0, 1])
VERBS = ("propose", "spawn", "spawn", "child", "apply", "apply", "retire", "retire", "repair", "repair")
verbs = st.sampled_from(VERBS)
moves = st.sampled_from(["resume", "arrive", "kill", "repair", "wait", "rules", "freeze", "rights"])
numbers = st.sampled_from(range(QUESTIONS))
CHANGES: list[Where] = [("change", number) for number in range(MOST_CHANGES)]
CALLS: list[Where] = [("call", number) for number in range(MOST_CALLS)]
places = st.sampled_from(4 * CHANGES + CALLS)
scripts: st.SearchStrategy[Script] = st.dictionaries(places, st.sampled_from(FAULTS), max_size=2)


def limits(live: int) -> dict[str, Any]:
    return {
        "rate": {"changes_per_minute": 1000},
        "quota": {
            "open_proposals": 10,
            "live_per_parent": live,
            "live_per_root": 10,
            "spawned_per_root_per_day": 1000,
        },
    }


class Twin(RuleBasedStateMachine):
    """Two servers on one memory world, and what must be so at every moment and in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.escaped: list[BaseException] = []
        self.loop.set_exception_handler(lambda _loop, context: self._note(context.get("exception")))
        self.ended: dict[str, str] = {}
        self.proposals: list[Handle] = []

    @initialize()
    def begin(self) -> None:
        self.bench = grove(**limits(LIMIT))
        names = count(1)
        self.base = replace(self.bench.services, suffix=lambda: f"{next(names):010d}".replace("0", "a"))
        self.servers = [Process(self.base), Process(self.base)]

    @rule(server=servers, verb=verbs, number=numbers, script=scripts)
    def call(self, server: int, verb: str, number: int, script: Script) -> None:
        """One call of a server, in which the faults of the script happen."""
        known = self.proposals[-1 - number % len(self.proposals)] if self.proposals else None
        if verb == "repair":
            self._pass(1.1 * ABANDONED_AFTER)
            self._do(server, repair, script)
        elif verb == "propose" or known is None:
            self._propose(server, CALLER, number, script)
        elif verb in {"spawn", "child"}:
            made = self._propose(server, self._parent() if verb == "child" else CALLER, number, {})
            self._apply(server, made or known, script)
        elif verb == "apply":
            self._apply(server, known, script)
        else:
            self._retire(server, known, script)

    @rule(server=servers, what=moves, number=numbers)
    def move(self, server: int, what: str, number: int) -> None:
        """Something happens that is nobody's call."""
        process = self.servers[server]
        match what:
            case "resume":
                self._run(process.resume())
            case "kill":
                self._run(process.kill())
            case "arrive":
                self._arrive(process)
            case "repair":
                self._do(1 - server, repair, {})
            case "wait":
                self._pass(WAITS[number])
            case "rights":
                self._let_write(allowed=number != 1)
            case "freeze":
                self._run(self.bench.world.switchboard.set(Freeze(EVERYWHERE, frozen=number == 1)))
            case _:
                self._set_rules(number, live=number)

    @invariant()
    def no_more_places_are_taken_than_the_limit(self) -> None:
        ledger = self._ledger()
        assert all(held <= LIMIT for held in Counter(live.parent for live in ledger.live.values()).values())
        assert set(ledger.live) <= set(ledger.used)

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        stored = {proposal.id: proposal.phase for proposal in self._run(self.bench.world.proposals.all())}
        assert {id_: stored.get(id_, phase) for id_, phase in self.ended.items()} == self.ended
        self.ended |= {id_: phase for id_, phase in stored.items() if phase in FINAL_PHASES}

    @invariant()
    def nothing_but_failures_of_the_world_escapes(self) -> None:
        assert self.escaped == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "servers"):
                self._heal()
                self._everything_agrees()
                self._every_place_is_to_be_had()
                self.nothing_but_failures_of_the_world_escapes()
        finally:
            self.loop.close()

    def _heal(self) -> None:
        """No fault any more, what was on its way has arrived, and repair runs until it finds nothing to do."""
        self._settle()
        self._let_write(allowed=True)
        self._pass(1.1 * ABANDONED_AFTER)
        self.servers = [Process(self.base)]
        self._repair_all()

    def _repair_all(self) -> None:
        for _ in range(PASSES):
            if not self._do(0, repair, {}):
                return
        raise AssertionError("repair never comes to an end")

    def _everything_agrees(self) -> None:
        world, ledger = self.bench.world, self._ledger()
        agents = self._agents()
        assert set(ledger.live) == {agent.id for agent in agents}
        for agent in agents:
            proposal = self._run(world.proposals.get(agent.id))
            assert proposal is not None
            assert (proposal.phase, proposal.agent_uid) == ("starting", agent.uid)
            assert agent.request_digest == proposal.request_digest
            assert agent.manifest == json.loads(proposal.manifest)
            assert proposal_digest(proposal.manifest, proposal.grant) == proposal.digest
        hashes = {id_: sha256(token.encode()).hexdigest() for (_, id_), token in world.keyring.tokens.items()}
        spawning = {agent.id for agent in agents if agent.depth}
        assert spawning <= set(hashes)
        assert all(hashes[id_] in ledger.live[id_].credentials for id_ in spawning)
        self._goes_with_its_proposal(set(hashes) - spawning)

    def _goes_with_its_proposal(self, left: set[str]) -> None:
        """A credential that came after its proposal was given up opens nothing, and is removed as that is forgotten."""
        stored = [self._run(self.bench.world.proposals.get(id_)) for id_ in left]
        assert all(proposal is not None and proposal.phase in FINAL_PHASES for proposal in stored)

    def _every_place_is_to_be_had(self) -> None:
        for agent in self._agents():
            self._do(0, lambda on, id_=agent.id: retire(on, CALLER, id_), {})
        assert self._agents() == []
        self._goes_with_its_proposal({id_ for _, id_ in self.bench.world.keyring.tokens})
        self.bench.clock.time += timedelta(days=2)
        self._repair_all()
        assert self.bench.world.keyring.tokens == {}
        self._set_rules(0, LIMIT)
        self._run(self.bench.world.switchboard.set(Freeze(EVERYWHERE, frozen=False)))
        outcomes = [self._spawned(number).outcome for number in range(LIMIT + 1)]
        assert outcomes == ["allowed"] * LIMIT + ["denied"]

    def _spawned(self, number: int) -> Answer:
        made = self._propose(0, CALLER, QUESTIONS + number, {})
        assert made is not None
        answer = self._apply(0, made, {})
        assert answer is not None
        return answer

    def _propose(self, server: int, caller: Caller, number: int, script: Script) -> Handle | None:
        wanted = ask(template=KINDS[number % len(KINDS)], purpose=f"Question {number}")
        answer = self._do(server, lambda on: propose(on, caller, wanted), script)
        if not isinstance(answer, Proposed):
            return None
        self.proposals.append((caller, answer))
        return self.proposals[-1]

    def _apply(self, server: int, known: Handle, script: Script) -> Answer | None:
        """Apply it, once a person has approved of it."""
        caller, made = known
        if self._run(self.bench.world.proposals.get(made.proposal)):
            self._run(_unheard(approved(self.bench, made)))
        answer: Answer | None = self._do(server, lambda on: apply(on, caller, made.proposal, made.digest), script)
        return answer

    def _retire(self, server: int, known: Handle, script: Script) -> None:
        caller, made = known
        self._do(server, lambda on: retire(on, caller, made.proposal), script)

    def _parent(self) -> Caller:
        """A subagent that may spawn; the root when there is none."""
        parents = [agent.id for agent in self._agents() if agent.depth]
        return under(parents[-1] if parents else "")

    def _let_write(self, *, allowed: bool) -> None:
        """Give the root's virtual user its rights, or take them away."""
        writers = self.bench.world.agents.may_write
        writers.add(ROOT) if allowed else writers.discard(ROOT)

    def _pass(self, time: timedelta) -> None:
        self.bench.clock.time += time

    def _settle(self) -> None:
        """Everything that stands still goes on, and everything that was sent arrives."""
        for process in self.servers:
            self._run(process.resume())
            self._arrive(process)

    def _arrive(self, process: Process) -> None:
        """What it sent long ago comes to the API server now."""
        late, process.late = process.late, []
        for change in late:
            self._run(_unheard(change()))

    def _set_rules(self, version: int, live: int) -> None:
        self.bench.rules.templates["researcher"] = template(description=f"Version {version // 2}", depth=0)
        rules = {"template": {"allow": ["researcher", "lead"]}, "lineage": {"most_depth": 2}}
        self.bench.rules.policies["default"] = policy(**rules, **limits(live))

    def _do(self, server: int, work: Any, script: Script) -> Any:
        """Run it on one of the servers; one that has ended is started again first."""
        if not self.servers[server].alive:
            late = self.servers[server].late
            self.servers[server] = Process(self.base)
            self.servers[server].late = late
        process = self.servers[server]
        return self._run(process.do(work(process.services), script))

    def _run(self, work: Coroutine[None, None, T]) -> T:
        return self.loop.run_until_complete(work)

    def _ledger(self) -> Ledger:
        return self._run(self.bench.world.ledgers.look(ROOT.name))

    def _agents(self) -> list[Subagent]:
        return list(self._run(self.bench.world.agents.of_root(ROOT)))

    def _note(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, Killed):
            self.escaped.append(error)


async def _unheard(change: Coroutine[None, None, object]) -> None:
    """A change whose sender does not hear of it, whatever the API server says."""
    with suppress(Upstream):
        await change


class OrderlyTwin(Twin):
    """The same, but nothing stands still or is on its way for longer than requests may, nor across a retirement.

    Then there is never an Agent too many, not for an instant, nor one without a place, nor a second one of a proposal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uids: dict[str, str] = {}

    def _goes_with_its_proposal(self, left: set[str]) -> None:
        assert left == set()

    @invariant()
    def every_agent_has_its_place_and_is_the_only_one_of_its_proposal(self) -> None:
        agents = {agent.id: agent.uid for agent in self._agents()}
        assert set(agents) <= set(self._ledger().live)
        assert {id_: self.uids.get(id_, uid) for id_, uid in agents.items()} == agents
        self.uids |= agents

    def _pass(self, time: timedelta) -> None:
        self._settle()
        super()._pass(time)

    def _retire(self, server: int, known: Handle, script: Script) -> None:
        self._settle()
        super()._retire(server, known, script)
        self._settle()


TestTwinUnderFaults, TestOrderlyTwinUnderFaults = Twin.TestCase, OrderlyTwin.TestCase
TestTwinUnderFaults.settings = TestOrderlyTwinUnderFaults.settings = settings(
    max_examples=EXAMPLES, derandomize=not SOAK, stateful_step_count=STEPS, suppress_health_check=[HealthCheck.too_slow]
)

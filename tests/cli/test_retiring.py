"""People remove the tree of a root, in their own name, and are told what is gone and what is left."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcp_agentspawn.cli import retiring
from mcp_agentspawn.core.errors import Conflict, Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.model import Proposal, Root, Subagent
from tests.builders import NOON
from tests.cli.office import ELSEWHERE, Desk, Office, left, office, stopping_root, without_a_listing


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "LOOK_EVERY_SECONDS", 0)
    monkeypatch.setattr(retiring, "FREEZES_WITHIN_SECONDS", 0)
    monkeypatch.setattr(retiring, "GONE_WITHIN_SECONDS", 2)


def test_a_tree_is_frozen_and_removed_in_ones_own_name() -> None:
    at_work = office()
    spawned = [at_work.spawn()]

    result = at_work.run("retire-tree", "agents/orchestrator", "--reason", "It went mad")

    assert result.exit_code == 0
    assert result.output.splitlines() == ["Frozen: agents/orchestrator", *(f"Gone: {id_}" for id_ in spawned)]
    assert left(at_work) == []
    assert stopping_root(at_work) is not None


def test_a_tree_is_frozen_without_a_list_of_what_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    at_work.spawn()
    without_a_listing(monkeypatch, at_work)

    result = at_work.run("retire-tree", "agents/orchestrator", "--reason", "It went mad")

    monkeypatch.undo()
    assert (result.exit_code, left(at_work), stopping_root(at_work) is None) == (0, [], False)


def test_a_tree_may_be_removed_and_stay_open() -> None:
    at_work = office()
    at_work.spawn()

    assert at_work.run("retire-tree", "agents/orchestrator", "--keep-open").exit_code == 0
    assert (left(at_work), stopping_root(at_work)) == ([], None)


def test_a_root_without_subagents_is_fine_and_said() -> None:
    at_work = office()
    at_work.propose()

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert result.exit_code == 0
    assert result.output.startswith("agents/orchestrator has no subagents in subagents.\n")


def test_whoever_removes_a_tree_is_told_which_proposals_can_bring_it_back() -> None:
    at_work = office()
    at_work.run("deny", at_work.propose(purpose="Denied").id)
    for purpose in ("One", "Two"):
        at_work.propose(purpose=purpose)

    said = [
        at_work.run("retire-tree", "agents/orchestrator", *options).stdout.splitlines()[-1]
        for options in (["--keep-open"], ["--reason", "x"])
    ]

    assert said == [
        "Open proposals that remain: 2; they can be applied.",
        "Open proposals that remain: 2; they can be applied once unfrozen.",
    ]


def test_a_tree_that_was_frozen_before_says_which_reason_is_replaced() -> None:
    at_work = office()
    at_work.run("freeze", "--root", "agents/orchestrator", "--reason", "one")

    assert "instead of | one (by alice)" in at_work.run("retire-tree", "agents/orchestrator", "--reason", "two").output


def spawned_elsewhere(at_work: Office) -> str:
    """An agent that stands in another namespace than the usual one, and a proposal that says so."""
    proposal = at_work.propose(purpose="Elsewhere")
    at_work.tamper(proposal, home=ELSEWHERE.home)
    at_work.world.agents.put(ELSEWHERE.home, json.loads(proposal.manifest))
    return proposal.id


def test_a_tree_is_found_in_every_namespace_that_its_proposals_are_for() -> None:
    at_work = office()
    spawned = [spawned_elsewhere(at_work), at_work.spawn()]

    result = at_work.run("retire-tree", "agents/orchestrator", "--reason", "It went mad")

    assert (result.exit_code, left(at_work), left(at_work, ELSEWHERE)) == (0, [], [])
    assert all(f"Gone: {id_}" in result.output for id_ in spawned)


def counting_proposals(monkeypatch: pytest.MonkeyPatch, at_work: Office, failing: Collection[int] = ()) -> list[str]:
    """Write down of whom proposals are listed; these times, by number, nobody answers."""
    asked: list[str] = []
    listed = at_work.world.proposals.of_root

    async def of_root(root: Root) -> Sequence[Proposal]:
        asked.append(root.name)
        if len(asked) in failing:
            raise Unavailable("no answer")
        return await listed(root)

    monkeypatch.setattr(at_work.world.proposals, "of_root", of_root)
    return asked


@pytest.mark.parametrize("failing", [1, 2])
def test_a_tree_is_removed_where_it_is_known_to_be_before_its_proposals_can_be_listed(
    monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    at_work = office()
    spawned_elsewhere(at_work)
    at_work.spawn()
    counting_proposals(monkeypatch, at_work, {failing})

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, left(at_work), left(at_work, ELSEWHERE)) == (0, [], [])


def test_proposals_that_can_not_be_listed_keep_nothing_standing_and_are_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "GONE_WITHIN_SECONDS", 0.05)
    at_work = office()
    agent = at_work.spawn()
    counting_proposals(monkeypatch, at_work, range(100_000))

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, result.stdout, left(at_work)) == (1, f"Gone: {agent}\n", [])
    assert "no answer" in result.stderr


@pytest.mark.parametrize(("options", "times"), [((), 2), (("--namespace", "subagents"), 1)])
def test_proposals_are_listed_before_and_after_and_not_more_often(
    monkeypatch: pytest.MonkeyPatch, options: Sequence[str], times: int
) -> None:
    at_work = office()
    at_work.spawn()
    asked = counting_proposals(monkeypatch, at_work)

    assert at_work.run("retire-tree", "agents/orchestrator", "--reason", "x", *options).exit_code == 0
    assert asked == ["agents/orchestrator"] * times


def test_a_tree_that_is_gone_is_fine_although_nobody_can_say_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    agent = at_work.spawn()
    at_work.propose(purpose="Another")
    without_a_listing(monkeypatch, at_work)

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, result.stdout) == (0, f"Gone: {agent}\n")
    assert "1 may be open still" in result.stderr


def test_whoever_names_the_wrong_namespace_is_told_where_else_to_look() -> None:
    at_work = office()
    agent = spawned_elsewhere(at_work)

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open", "--namespace", "subagents")

    assert (result.exit_code, left(at_work, ELSEWHERE)) == (1, [agent])
    assert "Not looked into: team-b-subagents" in result.stderr


def test_a_root_that_nobody_knows_is_frozen_all_the_same_and_is_1() -> None:
    at_work = office()
    agent = at_work.spawn()

    frozen = at_work.run("retire-tree", "agents/orchestrater", "--reason", "Mistyped")
    open_ = at_work.run("retire-tree", "agents/orchestrater", "--keep-open")

    assert (frozen.exit_code, open_.exit_code, left(at_work)) == (1, 1, [agent])
    assert stopping_root(at_work, Root("agents", "orchestrater", "subagents")) is not None
    assert all("agents/orchestrater is unknown" in result.stderr for result in (frozen, open_))
    assert ["is frozen all the same" in result.stderr for result in (frozen, open_)] == [True, False]


def test_a_root_that_has_a_ledger_and_nothing_else_is_known_by_that_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = office()
    proposal = at_work.propose()
    asyncio.run(at_work.world.proposals.delete(proposal))
    monkeypatch.setattr(at_work.world.ledgers, "roots", None)

    assert at_work.run("freeze", "--root", "agents/orchestrator", "--reason", "x").stderr == ""
    assert at_work.run("retire-tree", "agents/orchestrator", "--keep-open").exit_code == 0


@dataclass
class Stubborn:
    """Agents of which some do not go."""

    standing: dict[str, Exception | None]
    deleting: frozenset[str] = frozenset()

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        return [self._agent(id_, root) for id_ in self.standing]

    async def expire(self, home: str, id_: str, uid: str) -> bool:
        said = self.standing[id_]
        if isinstance(said, Conflict | UnknownOutcome | Unavailable):
            self.standing[id_] = None
        if said:
            raise said
        del self.standing[id_]
        return True

    def _agent(self, id_: str, root: Root) -> Subagent:
        deleting = id_ in self.deleting
        lifetime = NOON - NOON
        return Subagent(id_, "uid", root.home, root.virtual_user, "", "", "", lifetime, NOON, deleting=deleting)


def with_agents(monkeypatch: pytest.MonkeyPatch, agents: Any) -> Office:
    def desk(*parts: Any) -> Desk:
        made = Desk(*parts)
        made.agents = agents
        return made

    monkeypatch.setattr("tests.cli.office.Desk", desk)
    return office()


def test_a_refusal_for_one_hides_nothing_of_the_others_and_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Refused("forbidden.policy", "not \x1b yours")
    at_work = with_agents(monkeypatch, Stubborn({"sub-a": None, "sub-b": refused, "sub-c": Conflict("another")}))

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["Gone: sub-a", "Gone: sub-c"]
    assert result.stderr.splitlines() == [r"Not gone: sub-b: forbidden.policy: not \u{1b} yours"]


def test_one_without_an_answer_hides_nothing_of_the_others_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lost, none = UnknownOutcome("perhaps"), Unavailable("no answer")
    at_work = with_agents(monkeypatch, Stubborn({"sub-a": lost, "sub-b": none, "sub-c": None}))

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["Gone: sub-a", "Gone: sub-b", "Gone: sub-c"]


@dataclass
class Flickering(Stubborn):
    """Some looks, by number, get another answer."""

    answers: Mapping[int, Exception] = field(default_factory=dict)
    looks: int = 0

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        self.looks += 1
        if self.looks in self.answers:
            raise self.answers[self.looks]
        return await super().of_root(root)


@pytest.mark.parametrize("look", [1, 2, 3])
def test_a_look_without_an_answer_is_no_end_and_no_proof(monkeypatch: pytest.MonkeyPatch, look: int) -> None:
    agents = Flickering({"sub-a": None, "sub-b": Conflict("another")}, answers={look: Unavailable("no answer")})

    result = with_agents(monkeypatch, agents).run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, result.stdout.splitlines()) == (0, ["Gone: sub-a", "Gone: sub-b"])


@pytest.mark.parametrize("answer", [Unavailable("nobody there"), Refused("forbidden.rbac", "no longer yours")])
def test_nothing_is_gone_because_nobody_could_look(monkeypatch: pytest.MonkeyPatch, answer: Exception) -> None:
    monkeypatch.setattr(retiring, "GONE_WITHIN_SECONDS", 0.05)
    agents = Flickering({"sub-a": UnknownOutcome("perhaps")}, answers=dict.fromkeys(range(2, 100_000), answer))

    result = with_agents(monkeypatch, agents).run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Not gone: sub-a: ")
    assert str(answer) in result.stderr


def test_one_that_does_not_go_is_waited_for_so_long_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "GONE_WITHIN_SECONDS", 0.05)
    at_work = with_agents(monkeypatch, Stubborn({"sub-a": None}, deleting=frozenset({"sub-a"})))

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert result.exit_code == 1
    assert result.stderr.startswith("Not gone: sub-a: ")


@dataclass
class Closed(Stubborn):
    """One namespace is closed to this person."""

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        if root.home == "subagents":
            raise Refused("forbidden.rbac", "not yours")
        return await super().of_root(root)


def test_a_namespace_that_is_closed_to_a_person_hides_nothing_of_the_others_and_is_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agents = Closed({"sub-a": None})
    at_work = with_agents(monkeypatch, agents)
    at_work.tamper(at_work.propose(), home=ELSEWHERE.home)

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, result.stdout.splitlines()[0], agents.standing) == (1, "Gone: sub-a", {})
    assert result.stderr.startswith("forbidden.rbac: not yours")


@dataclass
class Slow(Stubborn):
    """Nobody gets an answer in time."""

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        await asyncio.Event().wait()
        return await super().of_root(root)


def test_a_tree_that_was_not_looked_at_in_time_is_not_taken_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "GONE_WITHIN_SECONDS", 0.05)
    at_work = with_agents(monkeypatch, Slow({"sub-a": None}))
    at_work.propose()

    result = at_work.run("retire-tree", "agents/orchestrator", "--keep-open")

    assert (result.exit_code, "subagents" in result.stdout) == (1, False)


@dataclass
class Late(Stubborn):
    """One agent was on its way when spawning was frozen."""

    looks: int = 0

    async def of_root(self, root: Root) -> Sequence[Subagent]:
        self.looks += 1
        if self.looks == 3:
            self.standing["sub-late"] = None
        return await super().of_root(root)


def test_one_that_was_on_its_way_when_the_root_was_frozen_goes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "FREEZES_WITHIN_SECONDS", 0.2)
    monkeypatch.setattr(retiring, "LOOK_EVERY_SECONDS", 0.001)
    agents = Late({})

    result = with_agents(monkeypatch, agents).run("retire-tree", "agents/orchestrator", "--reason", "x")

    assert (result.exit_code, "Gone: sub-late" in result.output, agents.standing) == (0, True, {})

"""What is due about an agent that stands: its handshake, its crashes, its one task, its quarantine, its line."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from mcp_agentspawn.core.clearing import MOST_ENDED_TASKS, TASK_KEPT_FOR, answered, spent_tasks
from mcp_agentspawn.core.delegation import ENDED, Task, TaskAnswer, TaskState
from mcp_agentspawn.core.expiry import KEPT_FOR, QUARANTINE_KEPT_FOR, Action, Seen, generation, may_spawn, plan
from mcp_agentspawn.core.ledger import Ledger, Live, Used
from mcp_agentspawn.core.model import Crashing, Grant, Phase, Proposal, Request, Step, Subagent
from tests.builders import NOON, ROOT, task

LIFE = timedelta(hours=20)
SECOND = timedelta(seconds=1)
REQUEST = Request("researcher", "Find out", {}, (), "default-model-config", LIFE)
AGENT = Subagent("sub-a", "uid-a", ROOT.home, ROOT.virtual_user, "", "researcher", "r", LIFE, NOON)
STORED = Proposal(
    "sub-a", ROOT.name, "", ROOT.home, REQUEST, "t", "r", "d", "low", NOON + LIFE, "{}", Grant((), (), LIFE)
)
TASK = task(agent="sub-a")


def seen(agent: Subagent = AGENT, *, phase: Phase = "starting", single_task: bool = False, **more: object) -> Seen:
    """A world of one agent, in which everything agrees but what a test says."""
    stored = replace(STORED, phase=phase, grant=replace(STORED.grant, single_task=single_task), created_at=NOON)
    return of([agent], [stored], **more)


def of(agents: list[Subagent], proposals: list[Proposal], **more: object) -> Seen:
    live = {agent.id: Live(NOON, "nonce", "sha256:r", agent.parent) for agent in agents}
    ledger = Ledger(ROOT.name, live=live, used={id_: Used(NOON) for id_ in live})
    found, asked = {agent.id: agent for agent in agents}, {proposal.id: proposal for proposal in proposals}
    return replace(Seen(found, asked, ledger), **more)  # type: ignore[arg-type]  # a test's own


def due(world: Seen, after: timedelta = timedelta(0)) -> list[Action]:
    return list(plan(NOON + after, world))


def about(verb: str, reason: str = "") -> list[Action]:
    return [Action(verb, "sub-a", uid="uid-a", reason=reason)]  # type: ignore[arg-type]  # a test names it


def test_an_agent_that_has_started_is_greeted_until_it_is_ready() -> None:
    assert due(seen(replace(AGENT, ready=True))) == about("greet")
    assert due(seen(AGENT)) == []
    assert due(seen(replace(AGENT, ready=True), phase="ready")) == []
    assert due(seen(AGENT, phase="ready")) == []


def test_an_agent_that_is_not_marked_yet_is_marked_before_it_is_greeted() -> None:
    assert due(seen(replace(AGENT, ready=True), phase="proposed")) == about("mark")


@pytest.mark.parametrize("phase", ["proposed", "starting", "ready"])
def test_an_agent_that_differs_from_what_was_approved_goes_into_quarantine(phase: Phase) -> None:
    world = seen(replace(AGENT, fingerprint="sha256:other", ready=True), phase=phase)
    known = {"sub-a": replace(world.proposals["sub-a"], fingerprint="sha256:approved")}

    assert due(replace(world, proposals=known)) == about("quarantine", "drift")


@pytest.mark.parametrize(
    ("stands", "approved"), [("", "sha256:a"), ("sha256:a", ""), ("", ""), ("sha256:a", "sha256:a")]
)
def test_an_agent_of_which_nothing_else_is_known_has_not_differed(stands: str, approved: str) -> None:
    world = seen(replace(AGENT, fingerprint=stands))

    assert due(replace(world, proposals={"sub-a": replace(world.proposals["sub-a"], fingerprint=approved)})) == []


def test_crashes_are_told_from_the_third_on_and_the_fifth_is_one_too_many() -> None:
    said = {crashes: due(seen(crashes={"sub-a": crashes})) for crashes in (2, 3, 4, 5, 6)}

    assert said == {
        2: [],
        3: about("alert", "crashes-3"),
        4: about("alert", "crashes-4"),
        5: about("quarantine", "crashes"),
        6: about("quarantine", "crashes"),
    }


def test_people_are_told_of_each_crash_once_and_then_it_is_greeted_all_the_same() -> None:
    world = seen(replace(AGENT, ready=True), crashes={"sub-a": 3})
    told = {"sub-a": replace(world.proposals["sub-a"], crashing=Crashing(3, NOON))}

    assert due(world) == about("alert", "crashes-3")
    assert due(replace(world, proposals=told)) == about("greet")
    assert due(replace(world, proposals=told, crashes={"sub-a": 4})) == about("alert", "crashes-4")
    assert due(replace(world, proposals=told, crashes={"sub-a": 2})) == about("greet")


@pytest.mark.parametrize(
    ("told", "crashes", "follows"),
    [
        (1, 2, []),
        (2, 3, about("alert", "crashes-3")),
        (3, 3, []),
        (4, 3, []),  # another pod, which has crashed less often so far
        (3, 4, about("alert", "crashes-4")),
        (4, 5, about("quarantine", "crashes")),
        (5, 5, about("quarantine", "crashes")),
        (7, 0, []),
    ],
)
def test_what_follows_of_crashes_is_what_people_were_not_told_of_yet(
    told: int, crashes: int, follows: list[Action]
) -> None:
    world = seen(phase="ready", crashes={"sub-a": crashes} if crashes else {})

    assert due(with_changed(world, stored={"crashing": Crashing(told, NOON)})) == follows


def with_changed(world: Seen, agent: Mapping[str, object] = {}, stored: Mapping[str, object] = {}) -> Seen:
    """The same, but for this of the one agent and its proposal."""
    agents = {"sub-a": replace(world.agents["sub-a"], **agent)}  # type: ignore[arg-type]  # a test's own
    proposals = {"sub-a": replace(world.proposals["sub-a"], **stored)}  # type: ignore[arg-type]  # the same
    return replace(world, agents=agents, proposals=proposals)


def test_of_all_that_is_due_of_an_agent_what_weighs_most_is_done() -> None:
    """Each line adds a cause to those before, and outweighs them."""
    world = seen(replace(AGENT, ready=True))
    assert due(world) == about("greet")
    world = with_changed(world, stored={"phase": "proposed"})
    assert due(world) == about("mark")
    world = replace(world, crashes={"sub-a": 3})
    assert due(world) == about("alert", "crashes-3")
    world = replace(world, crashes={"sub-a": 5})
    assert due(world) == about("quarantine", "crashes")
    world = with_changed(world, agent={"fingerprint": "sha256:other"}, stored={"fingerprint": "sha256:approved"})
    assert due(world) == about("quarantine", "drift")
    world = with_changed(world, stored={"phase": "retiring"})
    assert due(world) == about("finish")
    world = with_changed(world, agent={"parent": "sub-gone"})
    assert due(world) == about("orphan")
    world = with_changed(world, stored={"phase": "quarantined"})
    assert due(world) == about("cordon")
    world = with_changed(world, agent={"lifetime": timedelta(0)})
    assert due(world) == about("expire")
    world = replace(world, ledger=replace(world.ledger, live={}))
    assert due(world) == about("remove")
    assert due(with_changed(world, agent={"deleting": True})) == []


def test_nothing_is_told_of_an_agent_that_is_leaving_or_gone() -> None:
    assert due(seen(replace(AGENT, deleting=True), crashes={"sub-a": 4})) == []
    assert [action.verb for action in due(replace(seen(), agents={}, crashes={"sub-a": 4}))] == ["release"]


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_agent_for_one_task_goes_when_that_has_ended(state: TaskState) -> None:
    assert due(seen(phase="ready", single_task=True, tasks=[replace(TASK, state=state)])) == about("finish")
    assert due(seen(phase="ready", tasks=[replace(TASK, state=state)])) == []


@pytest.mark.parametrize(
    "task",
    [
        replace(TASK, state="working"),
        replace(TASK, state="input_required"),
        replace(TASK, state="completed", agent="sub-b"),
        replace(TASK, state="completed", agent_uid="uid-before"),
    ],
)
def test_an_agent_for_one_task_stays_until_that_very_one_has_ended(task: Task) -> None:
    assert due(seen(phase="ready", single_task=True, tasks=[task])) == []


def test_an_agent_that_is_retiring_goes() -> None:
    assert due(seen(phase="retiring")) == about("finish")


def quarantined(at: timedelta | None = timedelta(0), **more: object) -> Seen:
    world = seen(phase="quarantined", **more)  # type: ignore[arg-type]  # a test's own
    steps = (Step("starting", NOON), Step("quarantined", NOON + at, "drift")) if at is not None else ()
    return replace(world, proposals={"sub-a": replace(world.proposals["sub-a"], history=steps)})


def test_one_in_quarantine_is_cut_off_unless_it_is() -> None:
    assert due(quarantined()) == about("cordon")
    assert due(quarantined(cordoned={})) == about("cordon")
    assert due(quarantined(cordoned={"sub-a": "uid-before"})) == about("cordon")
    assert due(quarantined(cordoned={"sub-a": "uid-a"})) == []


def test_one_in_quarantine_is_neither_greeted_nor_put_there_again_nor_done() -> None:
    world = quarantined(
        cordoned={"sub-a": "uid-a"}, crashes={"sub-a": 7}, single_task=True, tasks=[replace(TASK, state="failed")]
    )

    assert due(replace(world, agents={"sub-a": replace(AGENT, ready=True)})) == []


def test_evidence_is_kept_for_a_day_or_to_its_own_end() -> None:
    long = replace(AGENT, lifetime=timedelta(days=3))
    kept = replace(quarantined(timedelta(hours=1)), agents={"sub-a": long}, cordoned={"sub-a": "uid-a"})
    end = timedelta(hours=1) + QUARANTINE_KEPT_FOR

    assert due(kept, end - SECOND) == []
    assert due(kept, end) == about("expire")
    assert due(quarantined(cordoned={"sub-a": "uid-a"}), LIFE - SECOND) == []
    assert due(quarantined(cordoned={"sub-a": "uid-a"}), LIFE) == about("expire")


def test_evidence_whose_history_is_lost_is_kept_for_a_day_from_its_creation() -> None:
    long = replace(AGENT, lifetime=timedelta(days=3))
    kept = replace(quarantined(None), agents={"sub-a": long}, cordoned={"sub-a": "uid-a"})

    assert due(kept, QUARANTINE_KEPT_FOR - SECOND) == []
    assert due(kept, QUARANTINE_KEPT_FOR) == about("expire")


TOP = replace(AGENT, id="sub-t", uid="uid-t", depth=2)
LEAD = replace(AGENT, id="sub-l", uid="uid-l", parent="sub-t", depth=1)
LEAF = replace(AGENT, parent="sub-l")
FAMILY = (TOP, LEAD, LEAF)


def line(*agents: Subagent, phases: dict[str, Phase] | None = None) -> Seen:
    stored = [
        replace(STORED, id=one.id, parent=one.parent, phase=(phases or {}).get(one.id, "ready")) for one in FAMILY
    ]
    return of(list(agents), stored, cordoned={one.id: one.uid for one in FAMILY})


def orphans(world: Seen) -> set[str]:
    return {action.id for action in due(world) if action.verb == "orphan"}


def test_a_line_that_stands_is_left_alone() -> None:
    for order in permutations(FAMILY):
        assert due(line(*order)) == []


@pytest.mark.parametrize("phase", ["quarantined", "retiring"])
def test_what_is_below_one_that_spawns_no_more_is_due_with_it_down_to_the_last(phase: Phase) -> None:
    for order in permutations(FAMILY):
        assert orphans(line(*order, phases={"sub-t": phase})) == {"sub-l", "sub-a"}
        assert orphans(line(*order, phases={"sub-l": phase})) == {"sub-a"}
        assert orphans(line(*order, phases={"sub-a": phase})) == set()


def test_what_is_below_one_that_is_gone_or_leaving_is_due_at_once() -> None:
    assert orphans(line(LEAD, LEAF)) == {"sub-l", "sub-a"}
    assert orphans(line(replace(TOP, deleting=True), LEAD, LEAF)) == {"sub-l", "sub-a"}
    assert orphans(line(replace(TOP, lifetime=timedelta(0)), LEAD, LEAF)) == {"sub-l", "sub-a"}


def test_evidence_stays_although_its_tree_is_gone() -> None:
    assert orphans(line(LEAF, phases={"sub-a": "quarantined"})) == set()


def test_a_line_that_is_too_long_or_goes_in_a_circle_ends_nowhere() -> None:
    circle = line(replace(TOP, parent="sub-a"), LEAD, LEAF)

    assert orphans(circle) == {"sub-t", "sub-l", "sub-a"}
    assert [generation(circle, one.id) for one in FAMILY] == [3, 3, 3]


def test_a_generation_is_how_many_are_above() -> None:
    assert [generation(line(*FAMILY), id_) for id_ in ("sub-t", "sub-l", "sub-a", "sub-none")] == [0, 1, 2, 0]


def test_an_open_proposal_of_a_parent_in_quarantine_lapses() -> None:
    world = line(TOP, LEAD, phases={"sub-l": "quarantined", "sub-a": "proposed"})

    assert Action("lapse", "sub-a") in due(world)
    assert Action("lapse", "sub-a") not in due(line(TOP, LEAD, phases={"sub-a": "proposed"}))


def test_one_whose_proposal_was_not_seen_may_have_children() -> None:
    assert may_spawn(NOON, AGENT, None)
    assert not may_spawn(NOON, None, None)


def ended(number: int, after: timedelta, agent: str = "sub-a") -> Task:
    return replace(TASK, id=f"task-{number:02d}", state="completed", ended_at=NOON + after, agent=agent)


def test_a_task_is_kept_for_an_hour_after_its_end() -> None:
    task = ended(1, timedelta(0))

    assert spent_tasks(NOON + TASK_KEPT_FOR - SECOND, [task]) == []
    assert spent_tasks(NOON + TASK_KEPT_FOR, [task, replace(TASK, id="task-open")]) == [task]
    assert due(seen(phase="ready", tasks=[task]), TASK_KEPT_FOR) == [Action("drop", "task-01")]


def test_of_an_agent_that_ended_many_tasks_the_oldest_go_sooner() -> None:
    tasks = [ended(number, timedelta(seconds=number)) for number in range(MOST_ENDED_TASKS + 2)]
    others = [ended(90 + number, timedelta(0), "sub-b") for number in range(3)]

    assert spent_tasks(NOON + timedelta(minutes=1), [*reversed(tasks), *others]) == tasks[:2]


def test_an_answer_of_a_person_leaves_a_day_after_its_task() -> None:
    answer = TaskAnswer("task-1.alice", "task-1", "uid", "sha256:d", "approve", "alice", decided_at=NOON)

    assert answered(NOON + KEPT_FOR, [answer], {"task-1"}) == []
    assert answered(NOON + KEPT_FOR - SECOND, [answer, replace(answer, decided_at=None)], ()) == []
    assert answered(NOON + KEPT_FOR, [answer], ()) == [answer]


def test_tasks_are_gone_through_as_often_however_many_subagents_there_are() -> None:
    class Counted(list[Task]):
        times = 0

        def __iter__(self) -> Iterator[Task]:
            Counted.times += 1
            return super().__iter__()

    one = seen(phase="ready", single_task=True)
    agents = {f"a{number}": replace(AGENT, id=f"a{number}") for number in range(50)}
    proposals = {id_: replace(one.proposals[AGENT.id], id=id_) for id_ in agents}
    ledger = Ledger(ROOT.name, live=dict.fromkeys(agents, one.ledger.live[AGENT.id]))
    plan(NOON, replace(one, agents=agents, proposals=proposals, ledger=ledger, tasks=Counted([TASK])))

    assert Counted.times <= 3

"""Until the moment that is named, time alone makes nothing due."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_agentspawn.core.due import next_due
from mcp_agentspawn.core.expiry import QUARANTINE_KEPT_FOR, Seen, plan
from mcp_agentspawn.core.ledger import Ledger, Live, Open, Used
from mcp_agentspawn.core.model import Grant, Phase, Proposal, Request, Step, Subagent
from tests.builders import NOON, ROOT, task

HOUR = timedelta(hours=1)
IDS = ("sub-a", "sub-b", "sub-c")
PHASES: tuple[Phase, ...] = ("proposed", "starting", "ready", "quarantined", "retiring", "retired", "lapsed")
REQUEST = Request("researcher", "Find out", {}, (), "default-model-config", HOUR)
moments = st.integers(-50 * 60, 60).map(lambda minutes: NOON + timedelta(minutes=minutes))
lives = st.integers(0, 70 * 60).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def worlds(draw: st.DrawFn) -> Seen:
    """Any agents, proposals, places and tasks of three ids, whether or not they go together."""
    some = st.lists(st.sampled_from(IDS), unique=True)
    parents = st.sampled_from(("", *IDS))
    agents = {
        id_: Subagent(id_, "uid", ROOT.home, ROOT.virtual_user, draw(parents), "t", "r", draw(lives), draw(moments))
        for id_ in draw(some)
    }
    proposals = {id_: draw(_proposals(id_, draw(parents))) for id_ in draw(some)}
    ledger = Ledger(
        ROOT.name,
        open={f"sha256:{id_}": Open(id_, draw(moments)) for id_ in draw(some)},
        live={id_: Live(draw(moments), "n", "sha256:r") for id_ in draw(some)},
        used={id_: Used(draw(moments)) for id_ in draw(some)},
    )
    tasks = [
        task(id=f"task-{id_}", agent=id_, agent_uid="uid", state="completed", ended_at=draw(moments))
        for id_ in draw(some)
    ]
    cordoned = dict.fromkeys(draw(some), "uid")
    return Seen(agents, proposals, ledger, tasks, cordoned=cordoned)


@st.composite
def _proposals(draw: st.DrawFn, id_: str, parent: str) -> Proposal:
    history = (Step("quarantined", draw(moments), "drift"),) if draw(st.booleans()) else ()
    made = draw(st.none() | moments)
    grant = Grant((), (), HOUR, single_task=draw(st.booleans()))
    asked = Proposal(
        id_, ROOT.name, parent, ROOT.home, REQUEST, "t", "r", "d", "low", draw(moments), "{}", grant, created_at=made
    )
    return replace(asked, phase=draw(st.sampled_from(PHASES)), history=history)


@settings(max_examples=300)
@given(worlds(), st.floats(0, 1, exclude_max=True))
def test_nothing_new_is_due_before_the_moment_that_is_named(world: Seen, share: float) -> None:
    now = replace(world, ledger=world.ledger.pruned(NOON))
    due = next_due(NOON, now)
    until = due or NOON + timedelta(days=400)
    then = min(NOON + (until - NOON) * share, until - timedelta(microseconds=1))

    assert plan(then, replace(now, ledger=world.ledger.pruned(then))) == plan(NOON, now)


def test_the_moment_is_the_very_next_one() -> None:
    agent = Subagent("sub-a", "uid", ROOT.home, ROOT.virtual_user, "", "t", "r", HOUR, NOON)
    later = replace(agent, id="sub-b", lifetime=2 * HOUR)
    live = {id_: Live(NOON - HOUR, "n", "sha256:r") for id_ in ("sub-a", "sub-b")}
    world = Seen({"sub-a": agent, "sub-b": later}, {}, Ledger(ROOT.name, live=live))

    assert next_due(NOON, world) == NOON + HOUR
    assert next_due(NOON + HOUR, world) == NOON + 2 * HOUR
    assert next_due(NOON + 2 * HOUR, world) is None
    assert next_due(NOON, Seen({}, {}, Ledger(ROOT.name))) is None


def test_evidence_is_due_a_day_after_it_was_put_there() -> None:
    agent = Subagent("sub-a", "uid", ROOT.home, ROOT.virtual_user, "", "t", "r", 100 * HOUR, NOON - HOUR)
    stored = Proposal("sub-a", ROOT.name, "", ROOT.home, REQUEST, "t", "r", "d", "low", NOON, "{}", Grant((), (), HOUR))
    kept = replace(stored, phase="quarantined", history=(Step("quarantined", NOON, "drift"),))
    world = Seen({"sub-a": agent}, {"sub-a": kept}, Ledger(ROOT.name))

    assert next_due(NOON, world) == NOON + QUARANTINE_KEPT_FOR
    lost = replace(world, proposals={"sub-a": replace(kept, history=())})
    assert next_due(NOON, lost) == NOON - HOUR + QUARANTINE_KEPT_FOR


def test_an_open_proposal_and_a_spawn_that_counts_are_due_when_they_count_no_more() -> None:
    stored = Proposal(
        "sub-a", ROOT.name, "", ROOT.home, REQUEST, "t", "r", "d", "low", NOON + 3 * HOUR, "{}", Grant((), (), HOUR)
    )
    asked = replace(stored, created_at=NOON - HOUR)
    opened = Ledger(ROOT.name, open={"sha256:r": Open("sub-a", NOON + 2 * HOUR)})
    used = Ledger(ROOT.name, used={"sub-a": Used(NOON - 23 * HOUR)})

    assert next_due(NOON, Seen({}, {"sub-a": asked}, opened)) == NOON + 2 * HOUR
    assert next_due(NOON, Seen({}, {"sub-a": replace(asked, phase="lapsed")}, used)) == NOON + HOUR

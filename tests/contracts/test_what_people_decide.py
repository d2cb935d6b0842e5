"""Decisions on proposals and answers to tool approvals: found by what they are about at once, and never changed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from mcp_agentspawn.core.delegation import TaskAnswer
from mcp_agentspawn.core.errors import Conflict
from mcp_agentspawn.core.model import Approval
from tests.contracts.stages import Stage, fresh


class Kind(NamedTuple):
    """One kind of decision: its port, its type, what it is about, and its word for no."""

    port: str
    type: Callable[..., Any]
    about: str
    no: str


KINDS = {
    "proposals": Kind("approvals", Approval, "proposal", "deny"),
    "tasks": Kind("task_answers", TaskAnswer, "task", "reject"),
}


@dataclass(frozen=True)
class Desk:
    """One kind of decision: the ports of the person who decides, and of two servers that see it."""

    kind: Kind
    decider: str
    person: Any
    world: Any
    replica: Any

    def id(self) -> str:
        """Of something that nobody has decided on."""
        return f"task-{uuid4().hex}" if self.kind.about == "task" else fresh()

    def said(self, about: str = "", suffix: str = "a", uid: str = "uid-1", **changes: Any) -> Any:
        """A decision that is not stored yet."""
        about = about or self.id()
        made = self.kind.type(
            **{self.kind.about: about, f"{self.kind.about}_uid": uid},
            name=f"{about}.{suffix}",
            digest="sha256:1",
            decision="approve",
            decider=self.decider,
            reason="Ünïcode “why” 🔎",
        )
        return replace(made, **changes)

    def about(self, decision: Any) -> str:
        return str(getattr(decision, self.kind.about))


@pytest.fixture(params=KINDS)
def desk(stage: Stage, request: pytest.FixtureRequest) -> Desk:
    kind = KINDS[request.param]
    ports = [getattr(world, kind.port) for world in (stage.person, stage.world, stage.replica)]
    return Desk(kind, stage.person_name, *ports)


async def test_a_decision_is_stored_as_it_was_made_at_the_moment_of_its_storing(desk: Desk) -> None:
    made = desk.said()

    stored = await desk.person.create(made)

    assert stored.decided_at is not None
    assert abs(datetime.now(UTC) - stored.decided_at) < timedelta(seconds=60)
    assert replace(stored, decided_at=None) == made
    assert await desk.world.of(desk.about(made)) == [stored]
    assert await desk.replica.of(desk.about(made)) == [stored]


async def test_a_reason_may_be_empty_and_a_decision_may_be_no(desk: Desk) -> None:
    await desk.person.create(desk.said(id_ := desk.id(), decision=desk.kind.no, reason=""))

    (found,) = await desk.world.of(id_)
    assert (found.decision, found.reason) == (desk.kind.no, "")


async def test_decisions_are_found_for_what_they_are_about_only(desk: Desk) -> None:
    mine, other = desk.id(), desk.id()
    longer = f"{mine}-b" if desk.kind.about == "proposal" else desk.id()  # no task's id is the beginning of another
    for id_ in (mine, longer, other):
        await desk.person.create(desk.said(id_))

    assert [desk.about(found) for found in await desk.world.of(mine)] == [mine]
    assert await desk.world.of(desk.id()) == []
    assert {mine, longer, other} <= {desk.about(found) for found in await desk.world.all()}


async def test_all_decisions_are_found_whatever_was_seen_when_they_were_made(desk: Desk) -> None:
    id_ = desk.id()
    for suffix, changes in {"a": {}, "b": {"digest": "sha256:other"}, "c": {"uid": "of a namesake"}}.items():
        await desk.person.create(desk.said(id_, suffix, **changes))

    assert {found.name for found in await desk.world.of(id_)} == {f"{id_}.{suffix}" for suffix in "abc"}


@pytest.mark.parametrize("odd", ["", "..", "a,spec.decider=b", "a\n", "a=b", "A B", "!", "x" * 500])
async def test_what_can_be_no_id_has_no_decisions(desk: Desk, odd: str) -> None:
    await desk.person.create(desk.said())

    assert await desk.world.of(odd) == []


async def test_a_name_is_taken_once(desk: Desk) -> None:
    stored = await desk.person.create(desk.said(id_ := desk.id()))

    with pytest.raises(Conflict):
        await desk.person.create(desk.said(id_, decision=desk.kind.no))

    assert await desk.world.of(id_) == [stored]


async def test_of_two_at_the_same_moment_one_is_stored(desk: Desk) -> None:
    made = desk.said()

    said = await asyncio.gather(*(desk.person.create(made) for _ in range(2)), return_exceptions=True)

    assert {type(answer) for answer in said} == {Conflict, desk.kind.type}


async def test_what_is_removed_is_gone_and_stays_gone(desk: Desk) -> None:
    by_person = await desk.person.create(desk.said())
    by_server = await desk.person.create(desk.said())

    for _ in range(2):
        await desk.person.delete(by_person)
        await desk.world.delete(by_server)

    assert await desk.world.of(desk.about(by_person)) == []
    assert await desk.world.of(desk.about(by_server)) == []

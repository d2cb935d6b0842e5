"""Freezes and resets: what a person switches, every server sees."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mcp_agentspawn.core.errors import Conflict
from mcp_agentspawn.core.model import Root
from mcp_agentspawn.core.switches import Freeze, Reset, freeze_name
from tests.contracts.stages import Stage, World, fresh
from tests.localplane.waiting import until


def freeze(stage: Stage, **changes: str) -> Freeze:
    """Of a namespace, or of what is said, that no other test has anything in."""
    where = changes or {"namespace": fresh("nowhere")}
    return Freeze(freeze_name(**where), frozen=True, reason="A fire", by=stage.person_name, **where)


def reset(stage: Stage, root: str, suffix: str = "a", *, counts: bool = True, account: str = "") -> Reset:
    return Reset(f"{root.replace('/', '.')}.{suffix}", root, counts, account, "Too busy", stage.person_name)


async def frozen(world: World, name: str) -> list[bool]:
    """What the freezes of this name say."""
    return [freeze.frozen for freeze in (await world.switchboard.current(fresh=True)).freezes if freeze.name == name]


async def test_the_switch_for_everywhere_is_there_and_open(stage: Stage) -> None:
    switches = await stage.world.switchboard.current()

    assert switches.whole
    assert switches.stopping(stage.root) is None


async def test_a_freeze_is_stored_as_it_was_made(stage: Stage) -> None:
    of_namespace, of_root = freeze(stage), freeze(stage, root=f"agents/{fresh('frozen')}")

    await stage.person.switchboard.set(of_namespace)
    await stage.person.switchboard.set(of_root)

    switches = await stage.world.switchboard.current(fresh=True)
    assert {of_namespace, of_root} <= set(switches.freezes)
    assert switches.stopping(Root(of_namespace.namespace, "any", "subagents")) == of_namespace
    assert switches.stopping(Root("agents", of_root.root.partition("/")[2], "subagents")) == of_root


async def test_a_freeze_is_seen_by_who_has_just_looked_and_does_not_insist(stage: Stage) -> None:
    await stage.replica.switchboard.current()
    made = freeze(stage)
    await stage.person.switchboard.set(made)

    async def seen() -> bool:
        return made in (await stage.replica.switchboard.current()).freezes

    await until(seen)


async def test_a_freeze_is_switched_off_and_on_again(stage: Stage) -> None:
    made = freeze(stage)

    for on in (True, False, True, True):
        await stage.person.switchboard.set(replace(made, frozen=on))
        assert await frozen(stage.world, made.name) == [on]


async def test_whoever_switches_is_given_what_was_replaced(stage: Stage) -> None:
    made = freeze(stage)
    ended, again = replace(made, frozen=False, reason="Out"), replace(made, reason="A flood")

    assert [await stage.person.switchboard.set(each) for each in (made, ended, again)] == [None, made, ended]


async def test_of_many_who_switch_at_the_same_moment_all_are_done_and_one_is_last(stage: Stage) -> None:
    made = freeze(stage)
    all_made = [replace(made, reason=str(n)) for n in range(3)]

    replaced = await asyncio.gather(*map(stage.person.switchboard.set, all_made))

    assert await frozen(stage.world, made.name) == [True]
    (last,) = [each for each in all_made if each not in replaced]
    assert last in (await stage.world.switchboard.current(fresh=True)).freezes


async def test_a_reset_is_stored_as_it_was_made_at_the_moment_of_its_storing(stage: Stage) -> None:
    root = f"agents/{fresh('reset')}"
    made = reset(stage, root, account="some-uid")

    stored = await stage.person.switchboard.reset(made)

    assert stored.at is not None
    assert abs(datetime.now(UTC) - stored.at) < timedelta(seconds=60)
    assert replace(stored, at=None) == made
    switches = await stage.replica.switchboard.current(fresh=True)
    assert stored in switches.resets
    assert switches.counts_since(root) == stored.at
    assert switches.accepts(root, "some-uid")


async def test_a_reset_for_an_account_leaves_the_counts(stage: Stage) -> None:
    root = f"agents/{fresh('reset')}"

    await stage.person.switchboard.reset(reset(stage, root, counts=False, account="some-uid"))

    switches = await stage.world.switchboard.current(fresh=True)
    assert switches.counts_since(root) is None
    assert not switches.accepts(root, "")


async def test_a_name_of_a_reset_is_taken_once(stage: Stage) -> None:
    made = reset(stage, f"agents/{fresh('reset')}")
    stored = await stage.person.switchboard.reset(made)

    with pytest.raises(Conflict):
        await stage.person.switchboard.reset(replace(made, account="another-uid"))

    assert stored in (await stage.world.switchboard.current(fresh=True)).resets


async def test_a_reset_that_was_cleared_away_is_gone_and_stays_gone(stage: Stage) -> None:
    root = f"agents/{fresh('reset')}"
    first, second = [await stage.person.switchboard.reset(reset(stage, root, suffix)) for suffix in "ab"]

    for _ in range(2):
        await stage.world.switchboard.forget(first)

    assert [found for found in (await stage.world.switchboard.current(fresh=True)).resets if found.root == root] == [
        second
    ]

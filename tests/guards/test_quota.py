import pytest
from pydantic import ValidationError

from mcp_agentspawn.core.ledger import Ledger, Open
from mcp_agentspawn.core.model import Caller
from mcp_agentspawn.guards.quota import Quota
from tests.builders import CALLER, NOON, ROOT
from tests.guards.cases import codes, ledger

NESTED = Caller(ROOT, "sub-a")
GUARD = Quota(open_proposals=2, live_per_parent=3, live_per_root=4, spawned_per_root_per_day=5)


@pytest.mark.parametrize(("opened", "expected"), [(0, []), (1, []), (2, ["quota.open_proposals"])])
def test_a_proposal_takes_an_open_place(opened: int, expected: list[str]) -> None:
    assert codes(GUARD.judge("propose", CALLER, ledger(opened=opened, live=9, used=9), NOON)) == expected


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (ledger(opened=9, live=2, used=4), []),
        (ledger(live=3), ["quota.live_per_parent"]),
        (ledger(live=4, parent="sub-b"), ["quota.live_per_root"]),
        (ledger(live=3, parent="sub-b"), []),
        (ledger(used=5), ["quota.spawned_per_root_per_day"]),
        (ledger(live=4, used=5), ["quota.live_per_parent", "quota.live_per_root", "quota.spawned_per_root_per_day"]),
    ],
)
def test_an_apply_takes_a_live_place_and_a_daily_one(held: Ledger, expected: list[str]) -> None:
    assert codes(GUARD.judge("apply", CALLER, held, NOON)) == expected


def test_zero_allows_none() -> None:
    none = Quota(open_proposals=0, live_per_parent=0, live_per_root=0, spawned_per_root_per_day=0)

    assert codes(none.judge("propose", CALLER, ledger(), NOON)) == ["quota.open_proposals"]
    assert len(codes(none.judge("apply", CALLER, ledger(), NOON))) == 3


@pytest.mark.parametrize("name", ["open_per_root", "spawned_per_parent_per_day"])
def test_a_ceiling_may_be_left_out_and_can_not_be_nothing(name: str) -> None:
    assert getattr(Quota(), name) is None
    with pytest.raises(ValidationError):
        Quota.model_validate({name: None})


def opened(*parents: str) -> Ledger:
    waiting = {f"sha256:{n}": Open(f"sub-o{n}", NOON, parent) for n, parent in enumerate(parents)}
    return Ledger(ROOT.name, open=waiting)


def test_a_ceiling_that_is_left_out_is_the_one_that_it_shares() -> None:
    assert codes(GUARD.judge("propose", NESTED, opened("sub-b"), NOON)) == []
    assert codes(GUARD.judge("propose", NESTED, opened("sub-b", "sub-b"), NOON)) == ["quota.open_per_root"]
    assert codes(GUARD.judge("apply", NESTED, ledger(used=5), NOON)) == ["quota.spawned_per_root_per_day"]


def test_subagents_leave_the_root_its_own_share_of_open_proposals() -> None:
    wide = Quota(open_proposals=2, open_per_root=3)

    assert codes(wide.judge("propose", Caller(ROOT, "sub-b"), opened("sub-a"), NOON)) == ["quota.open_per_root"]
    assert codes(wide.judge("propose", CALLER, opened("sub-a"), NOON)) == []
    assert codes(wide.judge("propose", CALLER, opened("sub-a", "", ""), NOON)) == [
        "quota.open_proposals",
        "quota.open_per_root",
    ]


def test_each_parent_has_ceilings_of_its_own_within_those_of_the_tree() -> None:
    wide = Quota(spawned_per_parent_per_day=2, spawned_per_root_per_day=3)

    assert codes(wide.judge("apply", NESTED, ledger(used=2), NOON)) == []
    assert codes(wide.judge("apply", CALLER, ledger(used=2), NOON)) == ["quota.spawned_per_parent_per_day"]

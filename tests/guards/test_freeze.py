import pytest

from mcp_agentspawn.core.switches import EVERYWHERE, Freeze, Switches
from mcp_agentspawn.guards.freeze import FreezeGuard
from tests.guards.cases import FixedFacts, asked, codes

OPEN = Freeze(EVERYWHERE, frozen=False)


async def judge(*freezes: Freeze) -> list[str]:
    return codes(await FreezeGuard().check(asked(), FixedFacts(switched=Switches(freezes))))


async def test_nothing_is_stopped_while_nothing_is_frozen() -> None:
    assert await judge(OPEN, Freeze("root.agents.orchestrator", frozen=False, root="agents/orchestrator")) == []


@pytest.mark.parametrize(
    "freeze",
    [
        Freeze(EVERYWHERE, frozen=True),
        Freeze("namespace.subagents", frozen=True, namespace="subagents"),
        Freeze("namespace.agents", frozen=True, namespace="agents"),
        Freeze("root.agents.orchestrator", frozen=True, root="agents/orchestrator"),
    ],
)
async def test_a_freeze_that_holds_for_the_root_stops_it(freeze: Freeze) -> None:
    assert await judge(OPEN, freeze) == ["freeze.frozen"]


@pytest.mark.parametrize(
    "freeze",
    [
        Freeze("namespace.other", frozen=True, namespace="other"),
        Freeze("root.agents.other", frozen=True, root="agents/other"),
        Freeze("root.other.orchestrator", frozen=True, root="other/orchestrator"),
    ],
)
async def test_a_freeze_of_others_stops_nobody_else(freeze: Freeze) -> None:
    assert await judge(OPEN, freeze) == []


async def test_without_the_switch_for_everywhere_nothing_is_spawned() -> None:
    assert await judge() == ["freeze.missing"]
    assert await judge(Freeze("namespace.other", frozen=False, namespace="other")) == ["freeze.missing"]

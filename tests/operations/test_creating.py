"""The credential of a subagent with depth left: when it is made, and that a broken attempt loses none."""

from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Refused, Unavailable
from mcp_agentspawn.core.ledger import Live
from mcp_agentspawn.core.names import SPAWN_TOOLS, credential_secret
from mcp_agentspawn.guards import Policy
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.creating import new_case
from mcp_agentspawn.operations.propose import propose
from tests.builders import CALLER, ROOT, Bench, ask, bench, template
from tests.operations.doubles import failing
from tests.operations.trees import approved, proposed, tried

FULL = Refused("forbidden.quota", "exceeded quota: agentspawn")


def spawning() -> Bench:
    setup = bench(lineage={"most_depth": 1})
    setup.rules.templates["researcher"] = template(depth=1)
    setup.world.inventory.tools_in["subagents"]["agentspawn"] = set(SPAWN_TOOLS)
    return setup


async def agreed(setup: Bench) -> Proposed:
    made = await proposed(setup)
    await approved(setup, made)
    return made


async def held(setup: Bench, made: Proposed) -> Live:
    return (await setup.world.ledgers.look(ROOT.name)).live[made.proposal]


async def test_an_agent_with_depth_left_has_a_credential_of_which_the_ledger_holds_the_hash() -> None:
    setup = spawning()
    made = await agreed(setup)
    assert isinstance(await tried(setup, made), Applied)
    token = setup.world.keyring.tokens["subagents", made.proposal]

    assert token.startswith(f"agentspawn/agents/orchestrator/{made.proposal}/")
    assert (await held(setup, made)).credentials == (sha256(token.encode()).hexdigest(),)
    assert token not in repr(setup.audit.records)


def test_an_attempt_does_not_show_the_credential_it_holds() -> None:
    setup = bench()
    proposal: Any = SimpleNamespace(id="sub-a", grant=SimpleNamespace(depth=1))
    case = new_case(setup.services, CALLER, Policy(), proposal, setup.clock.now(), None)

    assert case.token
    assert case.token not in repr(case)


async def test_its_spawn_tools_come_with_the_header_that_carries_the_credential() -> None:
    made = await agreed(spawning())
    tool: dict[str, Any] = made.manifest["spec"]["declarative"]["tools"][-1]

    assert tool["mcpServer"]["name"] == "agentspawn"
    assert tool["mcpServer"]["toolNames"] == list(SPAWN_TOOLS)
    secret = {"type": "Secret", "name": credential_secret(made.proposal), "key": "token"}
    assert tool["headersFrom"] == [{"name": "X-Agentspawn-Token", "valueFrom": secret}]


async def test_an_agent_without_depth_left_has_none() -> None:
    setup = bench()
    made = await propose(setup.services, CALLER, ask())
    assert isinstance(made, Proposed)
    assert isinstance(await tried(setup, made), Applied)

    assert setup.world.keyring.tokens == {}
    assert (await held(setup, made)).credentials == ()
    assert "headersFrom" not in repr(made.manifest)


async def test_whichever_attempt_stored_the_credential_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = spawning()
    made = await agreed(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(Unavailable("away")))
        with pytest.raises(Unavailable):
            await tried(setup, made)
    first = setup.world.keyring.tokens["subagents", made.proposal]
    assert isinstance(await tried(setup, made), Applied)

    assert setup.world.keyring.tokens["subagents", made.proposal] == first
    assert sha256(first.encode()).hexdigest() in (await held(setup, made)).credentials


async def test_what_the_cluster_refuses_leaves_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = spawning()
    made = await agreed(setup)
    monkeypatch.setattr(setup.world.agents, "create", failing(FULL))
    answer = await tried(setup, made)

    assert [reason.code for reason in answer.reasons] == ["access.forbidden.quota"]
    assert setup.world.keyring.tokens == {}
    assert (await setup.world.ledgers.look(ROOT.name)).live == {}


async def test_without_a_credential_no_agent_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = spawning()
    made = await agreed(setup)
    monkeypatch.setattr(setup.world.keyring, "put", failing(Refused("forbidden.rbac", "no")))
    answer = await tried(setup, made)

    assert [reason.code for reason in answer.reasons] == ["access.forbidden.rbac"]
    assert await setup.world.agents.get("subagents", made.proposal) is None


async def test_a_place_that_can_not_be_given_back_now_hides_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = spawning()
    made = await agreed(setup)
    monkeypatch.setattr(setup.world.keyring, "put", failing(Refused("forbidden.rbac", "no")))
    monkeypatch.setattr(setup.world.keyring, "remove", failing(Refused("forbidden.rbac", "no")))
    answer = await tried(setup, made)

    assert [reason.code for reason in answer.reasons] == ["access.forbidden.rbac"]
    assert ("apply.outcome", "denied") in setup.audit.events()
    assert setup.services.later.wanted.is_set()
    assert set((await setup.world.ledgers.look(ROOT.name)).live) == {made.proposal}

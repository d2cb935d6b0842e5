"""A subagent's own credential: whose it is, how long it is good, and what a crash around it leaves."""

from dataclasses import replace
from typing import Any

import pytest

from mcp_agentspawn.core.errors import Refused, Unavailable, UnknownOutcome
from mcp_agentspawn.core.expiry import ABANDONED_AFTER, KEPT_FOR
from mcp_agentspawn.core.model import Caller, Phase
from mcp_agentspawn.operations.answers import Applied, Proposed
from mcp_agentspawn.operations.creating import MOST_CREDENTIALS
from mcp_agentspawn.operations.credentials import caller_of
from tests.builders import ROOT, Bench
from tests.operations.doubles import failing
from tests.operations.trees import (
    HOME,
    agent_of,
    approved,
    deleted_by_hand,
    grove,
    held,
    line,
    proposed,
    repaired,
    retired,
    spawned,
    standing,
    token_of,
    tried,
    under,
)

CRASH = OSError("killed")


async def known(setup: Bench, token: str) -> Caller | None:
    return await caller_of(setup.services, token)


async def ready(setup: Bench) -> Proposed:
    """A proposal of an agent with depth left that a person has approved."""
    made = await proposed(setup, "lead")
    await approved(setup, made)
    return made


async def crashed(setup: Bench, made: Proposed) -> None:
    with pytest.raises(OSError, match="killed"):
        await tried(setup, made)
    await setup.services.later.settle()


async def test_a_subagent_with_depth_left_is_known_by_its_own_credential() -> None:
    setup = grove()
    director, lead, _ = await line(setup)

    assert await known(setup, token_of(setup, director)) == under(director)
    assert await known(setup, token_of(setup, lead)) == under(lead)
    assert token_of(setup, director) != token_of(setup, lead)


async def test_one_without_depth_left_has_no_credential() -> None:
    setup = grove()
    agent = await spawned(setup)

    assert setup.world.keyring.tokens == {}
    assert (await setup.world.ledgers.look(ROOT.name)).live[agent].credentials == ()


async def test_only_the_hash_of_a_credential_is_kept() -> None:
    setup = grove()
    token = token_of(setup, await spawned(setup, "lead"))
    secret = token.rpartition("/")[2]

    assert secret not in repr(await setup.world.ledgers.look(ROOT.name))
    assert secret not in repr(await setup.world.proposals.all())
    assert secret not in repr(setup.audit.records)
    assert secret not in repr(await setup.world.agents.of_root(ROOT))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token + "\n",
        lambda token: token + "/",
        lambda token: token.upper(),
        lambda token: token.replace("agents/orchestrator", "agents/other"),
        lambda token: token.replace("agents/orchestrator", "agents/nobody"),
        lambda token: token.replace("agentspawn/", "agentspawn//"),
        lambda token: token.replace("agentspawn/", ""),
        lambda token: token.rpartition("/")[0] + "/",
        lambda token: token.replace("sub-lead", "sub-nothing"),
        lambda token: token.replace("sub-lead", "../sub-lead"),
        lambda _: "agentspawn/",
        lambda _: "agentspawn/" * 1000,
        lambda _: "",
    ],
)
async def test_what_is_not_the_whole_credential_is_nobodys(change: Any) -> None:
    setup = grove()
    token = token_of(setup, await spawned(setup, "lead"))
    wrong = change(token)

    assert wrong != token
    assert await known(setup, wrong) is None


async def test_a_credential_is_not_anothers() -> None:
    setup = grove()
    first, second = await spawned(setup, "lead"), await spawned(setup, "lead", purpose="Another")

    assert await known(setup, token_of(setup, first).replace(first, second)) is None


async def test_a_retired_subagents_credential_is_nobodys_and_so_are_those_below_it() -> None:
    setup = grove()
    director, lead, _ = await line(setup)
    tokens = token_of(setup, director), token_of(setup, lead)
    await retired(setup, director)

    assert [await known(setup, token) for token in tokens] == [None, None]
    assert setup.world.keyring.tokens == {}


@pytest.mark.parametrize("phase", ["retiring", "quarantined", "retired", "lapsed"])
async def test_the_credential_of_one_on_its_way_out_is_nobodys_although_its_agent_stands(phase: Phase) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    token, stored = token_of(setup, lead), await setup.world.proposals.get(lead)
    assert stored is not None
    setup.world.proposals._stored[lead] = replace(stored, phase=phase)

    assert await known(setup, token) is None
    assert await standing(setup) == {lead}


async def test_an_expired_subagents_credential_is_nobodys_although_its_agent_stands() -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    token = token_of(setup, lead)
    setup.clock.advance(minutes=29)
    assert await known(setup, token) == under(lead)
    setup.clock.advance(minutes=1)

    assert await known(setup, token) is None
    assert await standing(setup) == {lead}


async def test_a_credential_ends_with_its_agent_and_not_with_its_place() -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    token = token_of(setup, lead)
    await deleted_by_hand(setup, lead)

    assert await known(setup, token) is None
    assert await held(setup) == {lead}


@pytest.mark.parametrize("change", [{"deleting": True}, {"virtual_user": "agentspawn:agents:other"}])
async def test_an_agent_that_leaves_or_is_anothers_gives_its_credential_to_nobody(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    changed = replace(await agent_of(setup, lead), **change)

    async def get(*_: object) -> Any:
        return changed

    monkeypatch.setattr(setup.world.agents, "get", get)
    assert await known(setup, token_of(setup, lead)) is None


async def test_a_root_that_is_no_longer_configured_has_no_callers() -> None:
    setup = grove()
    token = token_of(setup, await spawned(setup, "lead"))

    assert await caller_of(replace(setup.services, roots=[]), token) is None


async def test_a_crash_between_credential_and_agent_is_completed_by_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    made = await ready(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(CRASH))
        await crashed(setup, made)
    token = token_of(setup, made.proposal)
    assert await known(setup, token) is None

    assert isinstance(await tried(setup, made), Applied)
    assert token_of(setup, made.proposal) == token
    assert await known(setup, token) == under(made.proposal)
    assert len((await setup.world.ledgers.look(ROOT.name)).live[made.proposal].credentials) == 2


async def test_a_crash_before_the_credential_is_completed_by_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    made = await ready(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.keyring, "put", failing(CRASH))
        await crashed(setup, made)

    assert isinstance(await tried(setup, made), Applied)
    assert await known(setup, token_of(setup, made.proposal)) == under(made.proposal)


async def test_a_crash_between_credential_and_agent_is_cleaned_up_by_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    made = await ready(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(CRASH))
        await crashed(setup, made)
    token = token_of(setup, made.proposal)

    assert await repaired(setup) == []
    setup.clock.advance(seconds=ABANDONED_AFTER.total_seconds())
    assert await repaired(setup) == [("fence", made.proposal)]
    assert (setup.world.keyring.tokens, await held(setup)) == ({}, set())
    assert (await tried(setup, made)).outcome == "stale"
    assert await known(setup, token) is None


async def test_a_crash_between_the_agents_end_and_its_credentials_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    for finish in (repaired, None):
        setup = grove()
        lead = await spawned(setup, "lead")
        with monkeypatch.context() as patch:
            patch.setattr(setup.world.keyring, "remove", failing(CRASH))
            with pytest.raises(OSError, match="killed"):
                await retired(setup, lead)
        assert (await standing(setup), await held(setup)) == (set(), {lead})
        assert (HOME, lead) in setup.world.keyring.tokens

        await (finish(setup) if finish else retired(setup, lead))
        assert (setup.world.keyring.tokens, await held(setup)) == ({}, set())


async def test_a_crash_between_the_credentials_end_and_the_place_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    for finish in (repaired, None):
        setup = grove()
        lead = await spawned(setup, "lead")
        change = setup.world.ledgers.change

        async def after_the_credential(*arguments: Any, keyring: Any = setup.world.keyring, real: Any = change) -> Any:
            if not keyring.tokens:
                raise CRASH
            return await real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(setup.world.ledgers, "change", after_the_credential)
            with pytest.raises(OSError, match="killed"):
                await retired(setup, lead)
        assert (setup.world.keyring.tokens, await held(setup)) == ({}, {lead})

        await (finish(setup) if finish else retired(setup, lead))
        assert await held(setup) == set()


async def test_a_credential_that_can_not_be_removed_keeps_its_place_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    lead = await spawned(setup, "lead")
    await deleted_by_hand(setup, lead)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.keyring, "remove", failing(Refused("forbidden.rbac", "no")))
        assert await repaired(setup) == []
    assert await held(setup) == {lead}

    assert await repaired(setup) == [("release", lead)]
    assert (setup.world.keyring.tokens, await held(setup)) == ({}, set())


async def test_a_credential_that_was_stored_too_late_goes_with_what_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = grove()
    made = await ready(setup)
    put = setup.world.keyring.put

    async def paused(*arguments: Any) -> None:
        setup.clock.advance(seconds=ABANDONED_AFTER.total_seconds())
        await repaired(setup)
        await put(*arguments)
        raise CRASH

    monkeypatch.setattr(setup.world.keyring, "put", paused)
    await crashed(setup, made)
    assert (HOME, made.proposal) in setup.world.keyring.tokens
    assert await known(setup, token_of(setup, made.proposal)) is None

    setup.clock.advance(seconds=(KEPT_FOR + KEPT_FOR).total_seconds())
    assert ("forget", made.proposal) in await repaired(setup)
    assert setup.world.keyring.tokens == {}


@pytest.mark.parametrize("error", [UnknownOutcome("lost"), Unavailable("away")], ids=["unknown", "unavailable"])
async def test_attempts_that_break_off_do_not_pile_credentials_up(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    setup = grove()
    made = await ready(setup)
    with monkeypatch.context() as patch:
        patch.setattr(setup.world.agents, "create", failing(error))
        for _ in range(MOST_CREDENTIALS):
            with pytest.raises(type(error)):
                await tried(setup, made)
    answer = await tried(setup, made)

    assert [reason.code for reason in answer.reasons] == ["proposal.retried"]
    assert len((await setup.world.ledgers.look(ROOT.name)).live[made.proposal].credentials) == MOST_CREDENTIALS


async def test_no_answer_about_a_credential_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = grove()
    token = token_of(setup, await spawned(setup, "lead"))
    monkeypatch.setattr(setup.world.ledgers, "look", failing(Unavailable("no answer")))

    with pytest.raises(Unavailable):
        await known(setup, token)
